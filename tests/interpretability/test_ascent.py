"""Gradient ascent on images against the closed form of linear scores, and its regularizers."""

import pytest
import torch
from torch import nn

from probed_networks import Net
from thalweg.interpretability import Probe
from thalweg.interpretability.occlusion import blurred

pytestmark = pytest.mark.system("S109")

SHAPE = (1, 5, 6)


def linear() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(30, 3))


@pytest.mark.oracle("O54")
@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_a_linear_score_has_its_maximum_at_a_over_two_lambda(weight):
    """X − ½ = a/(2λ) with the value ‖a‖²/(4λ); without the penalty's gradient X would leave every bound."""
    network = linear()
    a = network[1].weight.detach()[1].view(SHAPE)
    found = Probe(network).ascend(1, SHAPE, l2=weight, steps=300, rate=0.01, bounded=False)
    torch.testing.assert_close(found.values[0], a / (2 * weight), atol=3e-3, rtol=0)
    gray = float(network(torch.full((1, *SHAPE), 0.5)).detach()[0, 1])
    value = found.settings["score"] - gray - found.settings["penalty"]
    assert value == pytest.approx(float(a.square().sum()) / (4 * weight), rel=1e-3)


def test_the_penalty_is_a_share_of_the_score():
    """λ adapts: a network whose scores are a hundred times as large has a λ a hundred times as large."""
    weights = []
    for factor in (1.0, 100.0):
        network = linear()
        with torch.no_grad():
            network[1].weight.mul_(factor)
            network[1].bias.zero_()
        found = Probe(network).ascend(2, SHAPE, steps=100)
        weights.append(found.settings["l2"])
        assert 0.05 < found.settings["penalty"] / found.settings["score"] < 0.6
    assert weights[1] / weights[0] == pytest.approx(100, rel=0.2)


def test_the_image_raises_the_class_and_stays_in_bounds():
    """A class of a network, and a unit of a layer, exceed their value at gray."""
    net = Net(nn.ReLU()).eval()
    probe, gray = Probe(net), torch.full((1, 1, 12, 12), 0.5)
    found = probe.ascend(2, (1, 12, 12), steps=60)
    assert found.settings["score"] > float(net(gray).detach()[0, 2])
    assert found.input.min() >= 0
    assert found.input.max() <= 1
    assert found.target == (2,)
    unit = probe.ascend("conv2:3", (1, 12, 12), steps=60, l2=0.0)
    at_gray = net.conv2(net.pool(torch.relu(net.conv1(gray))))[0, 3].mean()
    assert unit.settings["score"] > float(at_gray.detach())
    assert unit.target is None
    assert [p.grad for p in net.parameters()] == [None] * 8


def test_it_is_deterministic_by_its_seed():
    """Equal twice, different for another seed."""
    probe = Probe(Net(nn.ReLU()).eval())
    a, b, c = (probe.ascend(0, (1, 12, 12), steps=5, l2=0.1, seed=s).input for s in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_regularizers():
    """Clipped pixels are gray; blur lowers the difference of neighbors."""
    probe = Probe(Net(nn.ReLU()).eval())
    plain = probe.ascend(0, (1, 12, 12), steps=30, l2=0.0).input
    clipped = probe.ascend(0, (1, 12, 12), steps=30, l2=0.0, clip_norm=0.5).input
    assert (clipped == 0.5).float().mean() >= 0.45
    contributing = probe.ascend(0, (1, 12, 12), steps=30, l2=0.0, clip_contribution=0.5).input
    assert (contributing == 0.5).float().mean() >= 0.4
    smooth = probe.ascend(0, (1, 12, 12), steps=30, l2=0.0, blur=1.0, blur_every=1).input

    def rough(x):
        return float(x.diff(dim=-1).square().mean() / (x - 0.5).square().mean())

    assert rough(smooth) < 0.5 * rough(plain)


def test_blur_keeps_the_mean_inside_and_constants_everywhere():
    """A point becomes a Gaussian with the standard deviation."""
    image = torch.zeros(1, 41, 41)
    image[0, 20, 20] = 1
    out = blurred(image, 2.0)
    places = torch.arange(41) - 20.0
    assert float(out.sum()) == pytest.approx(1, abs=1e-4)
    assert float((out[0].sum(0) * places**2).sum()) == pytest.approx(4, rel=0.03)
    torch.testing.assert_close(blurred(torch.full((2, 9, 9), 0.3), 1.0), torch.full((2, 9, 9), 0.3))


def test_saturation_is_said_and_settings_are_checked():
    """Without a penalty most pixels end at the bounds."""
    probe = Probe(linear())
    found = probe.ascend(0, SHAPE, l2=0.0, steps=100)
    assert found.settings["saturated"] > 0.9
    assert "of the pixels are saturated" in found.warnings[0]
    for settings, message in (({"steps": 0}, "steps"), ({"rate": -1.0}, "rate"), ({"clip_norm": 2.0}, "clip_norm"),
                              ({"l2": -1.0}, "l2"), ({"blur": -1.0}, "blur")):  # fmt: skip
        with pytest.raises(ValueError, match=f"{message}: got"):
            probe.ascend(0, SHAPE, **settings)
    with pytest.raises(ValueError, match="shape: got none"):
        probe.ascend(0)
    with pytest.raises(ValueError, match="target: got '7'"):
        probe.ascend(7, SHAPE)


def test_the_blur_is_that_of_every_nth_step():
    """With more steps between blurs than there are, nothing is blurred; with a blur in the last step, the image is."""
    probe = Probe(Net(nn.ReLU()).eval())
    plain, never, last = (
        probe.ascend(0, (1, 12, 12), steps=5, l2=0.0, **settings).input
        for settings in ({}, {"blur": 2.0, "blur_every": 6}, {"blur": 2.0, "blur_every": 5})
    )
    assert torch.equal(plain, never)
    torch.testing.assert_close(last, blurred(plain[0], 2.0)[None].clamp(0, 1))
