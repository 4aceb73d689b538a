"""Slices of the loss: a quadratic's closed form, norms of filters, and a model that is the same afterwards."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from probed_networks import Net, images, same, state
from thalweg.interpretability import Probe
from thalweg.interpretability.landscape import gradient_direction, losses_along, random_direction
from thalweg.randomness import generator

pytestmark = pytest.mark.system("S11")
A = torch.linspace(-2, 2, 9).double()


def quadratic():
    """Return a model of 6 weights and its loss ½wᵀHw + bᵀw, with H and b."""
    g = generator(0, "quadratic")
    root, b = torch.randn(6, 6, generator=g).double(), torch.randn(6, generator=g).double()
    model, h = nn.Linear(3, 2, bias=False).double(), root @ root.T

    def loss():
        w = model.weight.flatten()
        return 0.5 * w @ h @ w + b @ w

    return model, loss, h, b


def test_slices_of_a_quadratic():
    """L + a gᵀd + ½a² dᵀHd, and in the plane of d and e also + ab dᵀHe."""
    model, loss, h, b = quadratic()
    w = model.weight.detach().flatten()
    d, e = (random_direction(model, seed)[0].flatten() for seed in (0, 1))
    slope = h @ w + b
    value = loss().detach()

    def along(v):
        return A * (slope @ v) + 0.5 * A**2 * (v @ h @ v)

    line = losses_along(model, loss, [[d.view(2, 3)]], A)
    torch.testing.assert_close(line, value + along(d))
    plane = losses_along(model, loss, [[d.view(2, 3)], [e.view(2, 3)]], A)
    expected = value + along(d)[:, None] + along(e)[None] + A[:, None] * A[None] * (d @ h @ e)
    torch.testing.assert_close(plane, expected)


def test_the_gradients_direction_is_the_steepest():
    """g ‖w‖/‖g‖: the slope along it is ‖g‖‖w‖, at the middle of the slice."""
    model, loss, h, b = quadratic()
    w = model.weight.detach().flatten()
    slope = h @ w + b
    (direction,) = gradient_direction(model, loss)
    torch.testing.assert_close(direction.flatten(), slope * w.norm() / slope.norm())
    near = losses_along(model, loss, [[direction]], torch.tensor([-1e-4, 1e-4]).double())
    torch.testing.assert_close((near[1] - near[0]) / 2e-4, slope.norm() * w.norm())
    assert model.weight.grad is None
    assert model.weight.requires_grad


def test_filters_of_a_direction_have_the_norms_of_the_weights():
    """Of a convolution each of its filters, of a linear layer each row; biases and normalization do not move."""
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(5, 3))
    net[0].weight.data[1] = 0
    direction = dict(zip(dict(net.named_parameters()), random_direction(net, 0), strict=True))
    for name in ("0.weight", "3.weight"):
        own = net.get_parameter(name)
        torch.testing.assert_close(direction[name].flatten(1).norm(dim=1), own.detach().flatten(1).norm(dim=1))
    assert not any(direction[name].any() for name in ("0.bias", "1.weight", "1.bias", "3.bias"))
    assert torch.equal(random_direction(net, 0)[0], direction["0.weight"])
    assert not torch.allclose(random_direction(net, 1)[0], direction["0.weight"])


def network():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(400, 3))
    net[1].running_mean.normal_()
    return net.eval()


@pytest.mark.parametrize("directions", [("gradient",), ("random",), ("gradient", "random"), ("random", "random")])
def test_the_landscape_of_a_probe(directions):
    """At the middle it is the cross-entropy, along the gradient it increases, and the model is as before."""
    net, x, labels = network(), images(6), [0, 1, 2, 0, 1, 2]
    net(x).sum().backward()
    before = state(net)
    probe = Probe(net)
    probe._chunk = 4
    found = probe.landscape(x, labels, directions, reach=0.2, points=5)
    same(before, state(net))
    assert found.values.shape == (5,) * len(directions)
    middle = found.values[(2,) * len(directions)]
    torch.testing.assert_close(middle, F.cross_entropy(net(x), torch.tensor(labels)).detach())
    if directions[0] == "gradient":
        line = found.values if len(directions) == 1 else found.values[:, 2]
        assert line[3] > line[2]
    torch.testing.assert_close(found.extra["distances"], torch.linspace(-0.2, 0.2, 5))
    assert found.image().size == (600, 480)


def test_the_model_is_restored_after_an_error():
    """In training mode, with a loss that fails at the second point and changes a buffer."""
    net = network().train()
    before, calls = state(net), []

    def loss():
        calls.append(net[1].running_mean.add_(1))
        if len(calls) == 2:
            raise RuntimeError("stop")
        return net(images()).sum()

    with pytest.raises(RuntimeError, match="stop"):
        losses_along(net, loss, [random_direction(net, 0)], A)
    same(before, state(net))


BAD = {
    "names": (("up",), {}, "directions: got 'up', wanted one of gradient, random"),
    "text": ("random", {}, "directions: got 'random', wanted one or two"),
    "number": (("random",) * 3, {}, "wanted one or two of gradient and random"),
    "reach": (("random",), {"reach": 0.0}, "reach: got 0.0, wanted a number greater than 0"),
    "points": (("random",), {"points": 0}, "points: got 0"),
    "labels": (("random",), {"labels": [1, 2]}, "target: got 2 classes for 3 images"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments(case):
    directions, settings, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        Probe(Net(nn.ReLU()).eval()).landscape(images(), directions=directions, **{"labels": [0, 1, 2]} | settings)


def test_labels_and_two_points_at_least_are_wanted():
    """The most probable classes change along the slice, so there is no default."""
    probe = Probe(Net(nn.ReLU()).eval())
    with pytest.raises(ValueError, match="labels: got none"):
        probe.landscape(images(2), None)
    with pytest.raises(ValueError, match="points: got 1"):
        probe.landscape(images(2), [0, 1], points=1)
