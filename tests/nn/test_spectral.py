"""Spectral norms against singular values, and normalization and projection with them."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from thalweg.nn.spectral import SpectralNorm, _Divided, normalize_spectrally, project_spectrally, track_spectral_norms


def conv_matrix(layer, size):
    """The convolution without bias as a matrix, column by column."""
    count = size[0] * size[1] * size[2]
    basis = torch.eye(count, dtype=layer.weight.dtype).reshape(count, *size)
    out = torch.nn.functional.conv2d(basis, layer.weight, stride=layer.stride, padding=layer.padding)
    return out.flatten(1).T


def settle(norm, weight, steps=300):
    norm.train()
    for _ in range(steps):
        result = norm.sigma(weight)
    return result


@pytest.mark.oracle("O55")
@pytest.mark.system("S99")
def test_a_matrix_with_known_norm():
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data.copy_(torch.tensor([[2.0, 1.0], [1.0, 3.0]]))
    assert settle(SpectralNorm(layer), layer.weight).item() == pytest.approx(3.618034, abs=1e-5)


@pytest.mark.system("S99")
@pytest.mark.parametrize("layer", [nn.Linear(7, 5), nn.Linear(5, 7), nn.Conv2d(3, 4, 3)])
def test_is_the_largest_singular_value(layer):
    layer = layer.double()
    expected = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
    assert settle(SpectralNorm(layer), layer.weight).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.oracle("O59")
@pytest.mark.system("S99")
@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 1), (1, 0)])
def test_of_the_map_itself(stride, padding):
    """The norm of a convolution is not that of its reshaped kernel."""
    torch.manual_seed(0)
    layer, size = nn.Conv2d(3, 4, 3, stride=stride, padding=padding, bias=False).double(), (3, 7, 6)
    expected = torch.linalg.matrix_norm(conv_matrix(layer, size), 2)
    result = settle(SpectralNorm(layer, size), layer.weight, 2000)
    assert result.item() == pytest.approx(expected.item(), rel=1e-5)
    reshaped = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
    assert abs(reshaped - expected) > 0.1 * expected


def test_gradient_is_that_of_the_singular_value():
    torch.manual_seed(0)
    layer = nn.Linear(4, 3).double()
    norm = SpectralNorm(layer)
    settle(norm, layer.weight, 500)
    (result,) = torch.autograd.grad(norm.sigma(layer.weight), layer.weight)
    (expected,) = torch.autograd.grad(torch.linalg.matrix_norm(layer.weight, 2), layer.weight)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.system("S99")
def test_agrees_with_pytorch():
    """The same output and gradient as torch's parametrization, after both have converged."""
    torch.manual_seed(0)
    ours, theirs = nn.Linear(6, 5).double(), nn.Linear(6, 5).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 6, dtype=torch.float64)
    normalize_spectrally(ours)
    spectral_norm(theirs, n_power_iterations=300)
    for _ in range(300):
        ours(x)
    out, reference = ours(x), theirs(x)
    torch.testing.assert_close(out, reference)
    out.square().sum().backward()
    reference.square().sum().backward()
    torch.testing.assert_close(ours.parametrizations.weight.original.grad, theirs.parametrizations.weight.original.grad)


def critic():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 8, 4, stride=2, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(8, 8, 3, padding=1), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(128, 1), nn.Flatten(0),
    )  # fmt: skip


@pytest.mark.system("S99")
def test_a_network_normalized_by_its_maps_is_1_lipschitz():
    network = normalize_spectrally(critic(), (1, 8, 8))
    for _ in range(500):
        network(torch.randn(1, 1, 8, 8))
    network.eval()
    x = torch.randn(200, 1, 8, 8).requires_grad_()
    (slope,) = torch.autograd.grad(network(x).sum(), x)
    assert slope.flatten(1).norm(dim=1).max() <= 1 + 1e-4


@pytest.mark.system("S99")
def test_projection_leaves_small_weights_alone():
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    with torch.no_grad():
        network[0].weight.copy_(3 * torch.eye(4))
        network[2].weight.mul_(0.1)
    small, norms = network[2].weight.clone(), track_spectral_norms(network)
    project_spectrally(network, norms)
    torch.testing.assert_close(network[0].weight, torch.eye(4))
    assert network[2].weight.equal(small)


def test_evaluation_changes_nothing_and_the_state_is_restored():
    network = normalize_spectrally(critic())
    x = torch.randn(2, 1, 8, 8)
    network(x)
    again = normalize_spectrally(critic())
    again.load_state_dict(network.state_dict())
    network.eval()
    state = {k: v.clone() for k, v in network.state_dict().items()}
    out = network(x)
    assert all(v.equal(state[k]) for k, v in network.state_dict().items())
    assert again.eval()(x).equal(out)


def test_double_backward():
    network = normalize_spectrally(critic())
    x = torch.randn(2, 1, 8, 8).requires_grad_()
    (slope,) = torch.autograd.grad(network(x).sum(), x, create_graph=True)
    slope.square().sum().backward()
    assert all(p.grad is not None for name, p in network.named_parameters() if "weight" in name)


@pytest.mark.system("S99")
@pytest.mark.parametrize("layer", [nn.Linear(4, 3), nn.Conv2d(2, 3, 2)])
@pytest.mark.parametrize("training", [True, False])
def test_gradients_of_the_divided_weight(layer, training):
    """Of W/σ(W), once u and v are the singular vectors, against those of torch's singular values."""
    layer = layer.double()
    norm, weight = SpectralNorm(layer), layer.weight
    settle(norm, weight, 2000)
    norm.train(training)

    def exact(weight):
        return weight / torch.linalg.matrix_norm(weight.flatten(1), 2)

    side = torch.linspace(-1, 2, weight.numel(), dtype=torch.float64).view_as(weight)
    slopes = []
    for divide in (norm, exact):
        out = divide(weight)
        (slope,) = torch.autograd.grad((out.exp() * side).sum(), weight)
        slopes.append((out.detach(), slope))
    for result, expected in zip(*slopes, strict=True):
        torch.testing.assert_close(result, expected, rtol=1e-6, atol=1e-8)


def test_second_derivatives_with_singular_vectors_held_still():
    weight, u, v = (torch.randn(*shape, dtype=torch.float64) for shape in ((3, 4), (4,), (3, 1)))
    weight.requires_grad_()

    def divided(weight):
        return _Divided.apply(weight, (weight * u * v).sum().detach(), u, v)

    assert torch.autograd.gradcheck(divided, (weight,))
    assert torch.autograd.gradgradcheck(divided, (weight,))


def test_half_precision_does_not_touch_the_norm():
    layer = nn.Linear(64, 64)
    norm = SpectralNorm(layer)
    with torch.autocast("cpu", torch.bfloat16):
        result = settle(norm, layer.weight)
    torch.testing.assert_close(result, torch.linalg.matrix_norm(layer.weight, 2), rtol=1e-4, atol=0)


def test_other_convolutions_are_refused():
    with pytest.raises(ValueError, match="1: got a ConvTranspose2d"):
        normalize_spectrally(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ConvTranspose2d(2, 1, 3)))


@pytest.mark.parametrize("inputs", [None, (1, 5, 5)])
def test_a_weight_of_zeros_is_unchanged(inputs):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(18, 2))
    for layer in (network[0], network[2]):
        nn.init.zeros_(layer.weight)
    normalize_spectrally(network, inputs)
    assert not network[0].weight.any()
    assert not network[2].weight.any()
