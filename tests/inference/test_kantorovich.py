"""Trained critics against exact transport: two Gaussians, and two segments side by side."""

import pytest
import torch
from torch import nn

from thalweg.inference.kantorovich import dual_distance
from thalweg.nn.spectral import normalize_spectrally, project_spectrally, track_spectral_norms
from thalweg.objectives.transport import wasserstein

pytestmark = [pytest.mark.system("S98"), pytest.mark.system("S99")]


def critic(width=64, activation=nn.ReLU, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(2, width), activation(), nn.Linear(width, width), activation(), nn.Linear(width, 1), nn.Flatten(0)
    )


class Sorted(nn.Module):
    """Sort pairs: the slope is one everywhere, so that layers of norm one can represent any such function."""

    def forward(self, x):
        return x.unflatten(1, (-1, 2)).sort(2).values.flatten(1)


def gaussians():
    source = torch.Generator().manual_seed(0)
    return torch.randn(400, 2, generator=source) + torch.tensor([2.0, 1.0]), torch.randn(400, 2, generator=source)


def segments():
    z = torch.linspace(0, 1, 400)
    return torch.stack([torch.full_like(z, 0.7), z], 1), torch.stack([torch.zeros_like(z), z], 1)


@pytest.mark.parametrize("samples", [gaussians, segments])
def test_with_a_gradient_penalty(samples):
    x, y = samples()
    result = dual_distance(critic(), x, y, penalty=50.0, steps=600, lr=2e-3)
    assert result.item() == pytest.approx(wasserstein(x, y).item(), rel=0.05)


@pytest.mark.parametrize("samples", [gaussians, segments])
def test_with_spectral_norms_of_one(samples):
    x, y = samples()
    network = normalize_spectrally(critic(activation=Sorted))
    result = dual_distance(network, x, y, steps=800, lr=5e-3)
    exact = wasserstein(x, y).item()
    assert 0.95 * exact < result.item() <= 1.005 * exact


@pytest.mark.parametrize("samples", [gaussians, segments])
def test_with_projection(samples):
    x, y = samples()
    network = critic(activation=Sorted)
    norms = track_spectral_norms(network)
    project = lambda: project_spectrally(network, norms)  # noqa: E731
    result = dual_distance(network, x, y, project=project, steps=800, lr=5e-3)
    exact = wasserstein(x, y).item()
    # Here it converges to a linear function, and the distance of the means
    assert 0.9 * exact < result.item() <= 1.01 * exact


def test_a_negative_penalty():
    with pytest.raises(ValueError, match=r"penalty: got -1.0, wanted a number of at least 0"):
        dual_distance(critic(), *segments(), penalty=-1.0)


def test_clipping_stays_within_its_constant():
    x, y = gaussians()
    network, c = critic(width=16), 0.3

    def clip():
        for p in network.parameters():
            p.clamp_(-c, c)

    result = dual_distance(network, x, y, project=clip, steps=300, lr=5e-3).item()
    weights = [layer.weight for layer in network if isinstance(layer, nn.Linear)]
    constant = torch.stack([torch.linalg.matrix_norm(w, 2) for w in weights]).prod().item()
    exact = wasserstein(x, y).item()
    assert 0 < result <= constant * exact
    assert abs(result - exact) > 0.05 * exact  # clipping yields some multiple
