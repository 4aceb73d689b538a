"""Airbench: parameters and layers, the whitening, normalized filters, and that it learns."""

import pytest
import torch
from torch import nn

from catalogue import GLYPHS, Member
from thalweg.models.classifiers.airbench import Airbench
from thalweg.nn.whitening import Whitening
from thalweg.problems.supervised import NormalizedFilters
from thalweg.randomness import generator
from thalweg.training.player import Player
from thalweg.training.problem import Batch

CIFAR = (3, 32, 32)


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.system("S30")
@pytest.mark.parametrize(
    ("widths", "depth"), [((64, 256, 256), 2), ((32, 128, 128), 2), ((128, 384, 384), 2), ((128, 384, 512), 3)]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_parameters_are_those_of_the_layers(widths, depth, channels):
    model = Airbench((channels, 32, 32), 10, widths=widths, depth=depth)
    first = 8 * channels
    expected, c_in = first, first  # the bias of the whitening
    for width in widths:
        expected += 9 * (c_in * width + (depth - 1) * width * width) + depth * width  # convolutions and shifts
        c_in = width
    assert count(model) == expected + 10 * widths[-1]
    with pytest.raises(ValueError, match="airbench: got images of 8×8, wanted sides of at least 9"):
        Airbench((channels, 8, 8), 10)
    assert Airbench((channels, 9, 9), 10).eval().logits(torch.zeros(2, channels, 9, 9)).shape == (2, 10)


@pytest.mark.system("S46")
def test_convolutions_begin_as_the_identity_and_scales_stay_one():
    model = Airbench(CIFAR, 10)
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(convs) == len(norms) == 6
    for conv in convs:
        n = conv.in_channels
        center = conv.weight.detach()[:n, :, 1, 1]
        torch.testing.assert_close(center, center[0, 0] * torch.eye(len(center), n))
        assert float(conv.weight.detach()[:n].abs().sum()) == pytest.approx(float(center.abs().sum()))
        assert float(conv.weight.detach().norm()) == pytest.approx(conv.out_channels**0.5, rel=1e-5)
    assert all((norm.eps, norm.momentum, norm.weight.requires_grad) == (1e-12, 0.4, False) for norm in norms)
    head = model.classifier.linear
    assert float(head.weight.detach().std()) == pytest.approx(1, abs=0.06)
    h = torch.randn(3, 256)
    torch.testing.assert_close(model.classifier(h), h @ head.weight.T / 256)


def test_the_third_convolution_is_within_a_shortcut():
    """With a residual branch of zeros a block is its first convolution, pooling, BN and GELU, and another GELU."""
    model = Airbench(CIFAR, 10, widths=(8, 8, 8), depth=3).eval()
    block, x = model.features[2], torch.randn(2, 24, 8, 8, generator=generator(0, "x"))
    with torch.no_grad():
        block[4].layers[-1].weight.zero_()
        torch.testing.assert_close(block(x), nn.functional.gelu(block[:4](x)))


@pytest.mark.system("S31")
@pytest.mark.parametrize("channels", [1, 3])
def test_whitened_patches_of_correlated_images_are_uncorrelated(channels):
    noise = torch.randn(60, channels, 20, 20, generator=generator(0, "x"))
    x = nn.functional.avg_pool2d(noise + noise.mean(1, keepdim=True), 3, 1)
    layer, n = Whitening(channels), 4 * channels
    assert not layer.eval()(x).any()
    layer.train()
    y = layer(x).detach()
    maps = y[:, :n].transpose(0, 1).flatten(1)
    moments = maps @ maps.T / maps.shape[1]
    torch.testing.assert_close(moments, torch.diag(moments.diagonal()), atol=1e-4, rtol=0)
    assert bool((moments.diagonal() > 0.8).all())
    torch.testing.assert_close(y[:, n:], -y[:, :n])
    filters = layer.weight.clone()
    layer(3 * x)  # set once
    assert torch.equal(layer.weight, filters)
    again = Whitening(channels)
    again.load_state_dict(layer.state_dict())
    again.train()(5 * x)
    assert torch.equal(again.weight, filters)
    assert not layer.weight.requires_grad


@pytest.mark.system("S40")
def test_it_learns_and_filters_keep_their_norms():
    run = Member("airbench", GLYPHS, {"variant": "small"}).run()
    (stage,) = run.stages
    assert isinstance(stage.problem, NormalizedFilters)
    config = stage.optimizers["model"]
    assert (config.name, config.vector_lr, config.output_lr) == ("muon", 53.0, 670.0)
    x = torch.randint(0, 256, (64, *GLYPHS.shape), generator=generator(0, "x")).to(torch.uint8)
    classes = len(GLYPHS.classes)
    y = torch.arange(64) % classes
    x = (x // 2 + (100 * y // classes).view(-1, 1, 1, 1)).to(torch.uint8)  # classes differ in brightness
    player = Player(run.model.train(), config, rate=lambda step: 1 - step / 30)
    for step in range(30):
        player.zero_grad()
        stage.problem.loss("model", Batch(x, y)).values.mean().backward()
        player.step(step)
        stage.problem.project("model")
    for conv in (m for m in run.model.modules() if isinstance(m, nn.Conv2d)):
        assert float(conv.weight.detach().norm()) == pytest.approx(conv.out_channels**0.5, rel=1e-5)
    assert float((run.model.eval().logits(x).argmax(1) == y).float().mean()) > 0.9


def test_the_shortcut_of_a_block_of_three_convolutions_is_added():
    block = Airbench((3, 32, 32), 10, widths=(32, 32, 32), depth=3).features[2]
    shortcut = next(layer for layer in block if hasattr(layer, "layers"))
    shortcut.layers[-1].weight.data.zero_()  # f is constant
    shortcut.layers[-1].bias.data.fill_(3.0)
    x = torch.randn(2, 32, 4, 4)
    torch.testing.assert_close(shortcut(x), x + 3)
