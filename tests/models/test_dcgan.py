"""DCGAN: the sizes of the paper, initial weights, and a short training on digits."""

import pytest
import torch
from torch import nn

from thalweg.config import DataConfig, RunConfig, TrainConfig
from thalweg.data import load
from thalweg.models.gans.dcgan import conv_networks
from thalweg.randomness import generator
from thalweg.recipes.runs import open_run, train

pytestmark = pytest.mark.system("S96")


def sizes(network, kinds, x):
    """Output shapes of the network's layers of those kinds."""
    result, hooks = [], []
    for layer in network.modules():
        if isinstance(layer, kinds):
            hooks.append(layer.register_forward_hook(lambda _, __, out: result.append(tuple(out.shape[1:]))))
    network(x)
    for hook in hooks:
        hook.remove()
    return result


def test_the_papers_sizes():
    """Figure 1 of the paper: 4×4×1024 to 64×64×3; the critic has the reverse sizes."""
    networks = conv_networks((3, 64, 64), latent_dim=100, hidden=1024)
    expected = [(1024, 4, 4), (512, 8, 8), (256, 16, 16), (128, 32, 32), (3, 64, 64)]
    assert sizes(networks.generator, (nn.Unflatten, nn.ConvTranspose2d), torch.zeros(2, 100)) == expected
    judged = [(128, 32, 32), (256, 16, 16), (512, 8, 8), (1024, 4, 4)]
    assert sizes(networks.critic, nn.Conv2d, torch.zeros(2, 3, 64, 64)) == judged


@pytest.mark.parametrize(
    ("side", "expected"), [(32, [4, 8, 16, 32]), (28, [4, 7, 14, 28]), (16, [2, 4, 8, 16]), (8, [2, 4, 8])]
)
def test_smaller_images_have_fewer_layers(side, expected):
    made_by = conv_networks((1, side, side), latent_dim=10, hidden=64).generator
    result = sizes(made_by, (nn.Unflatten, nn.ConvTranspose2d), torch.zeros(2, 10))
    assert [shape[-1] for shape in result] == expected


@pytest.mark.parametrize("shape", [(3, 30, 30), (1, 8, 8), (3, 64, 64), (3, 96, 80), (2, 9, 64)])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_any_size(shape, batch_norm):
    generator, critic = conv_networks(shape, latent_dim=3, hidden=8, batch_norm=batch_norm)
    expected = generator(torch.randn(2, 3))
    assert expected.shape == (2, *shape)
    assert critic(expected).shape == (2,)


def test_number_of_channels():
    result = sizes(conv_networks((1, 8, 8), latent_dim=3, hidden=4).critic, nn.Conv2d, torch.zeros(2, 1, 8, 8))
    assert result == [(4, 4, 4), (4, 2, 2)]


def test_number_of_weights_is_that_of_the_pytorch_example():
    """PyTorch's example of DCGAN, 64 channels: 3,576,704 and 2,765,568 weights; its convolutions have no biases."""
    counts = []
    for network in conv_networks((3, 64, 64), latent_dim=100, hidden=512):
        layers = [layer for layer in network.modules() if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d))]
        biases = sum(layer.bias.numel() for layer in layers)
        counts.append(sum(p.numel() for p in network.parameters()) - biases)
    assert counts == [3_576_704, 2_765_568]


def test_weights_start_small_and_normalization_is_nowhere_at_the_ends():
    networks = conv_networks((3, 64, 64), latent_dim=100, hidden=512)
    for network in networks:
        for layer in network.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
                assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
                assert not layer.bias.any()
            if isinstance(layer, nn.BatchNorm2d):
                assert layer.weight.mean().item() == pytest.approx(1, abs=0.01)
    assert isinstance(networks.generator[-1], nn.Tanh)
    kinds = [type(layer) for layer in networks.critic]
    assert kinds[:2] == [nn.Conv2d, nn.LeakyReLU]  # the first is not normalized
    assert networks.critic[1].negative_slope == 0.2
    assert kinds.count(nn.BatchNorm2d) == 3
    assert kinds[-2:] == [nn.Linear, nn.Flatten]


def test_learns_digits(tmp_path):
    """The mean image after a few seconds of training."""
    data = DataConfig(source="digits")
    config = RunConfig(recipe="dcgan", data=data, options={"hidden": 64}, train=TrainConfig(steps=300, device="cpu"))
    model = open_run(train(config, tmp_path / "run")).model
    samples = model.sample(500, generator(0, "test")).float()
    real = torch.from_numpy(load(data).test.x).float()
    both = torch.stack([samples.mean(0).flatten(), real.mean(0).flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.8
    assert samples.std(0).mean() > 0.5 * real.std(0).mean()  # not one image
