"""Each toy density integrates to 1, its samples follow it, and they are a function of the seed."""

import math

import numpy as np
import pytest
import torch

from thalweg.data.densities import Curves
from thalweg.data.toy import DENSITIES, density

NAMES = list(DENSITIES)


def grid(distribution, n):
    """Midpoints of a grid over the extent, and the area of a cell."""
    h = 2 * distribution.extent / n
    axis = -distribution.extent + h * (torch.arange(n, dtype=torch.float64) + 0.5)
    return torch.cartesian_prod(*[axis] * distribution.dim).reshape(-1, distribution.dim), h**distribution.dim


@pytest.mark.parametrize("name", NAMES)
def test_integrates_to_one(name):
    points, cell = grid(density(name), 160)
    assert float(density(name).log_prob(points).exp().sum() * cell) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_samples_follow_the_density(name):
    """χ² of a histogram against the integral of the density over its cells."""
    distribution, n, bins, fine = density(name), 20_000, 16, 10
    points, cell = grid(distribution, bins * fine)
    mass = (distribution.log_prob(points).exp() * cell).reshape([bins, fine] * distribution.dim)
    expected = mass.sum(dim=[2 * i + 1 for i in range(distribution.dim)]).flatten().numpy() * n
    edges = [np.linspace(-distribution.extent, distribution.extent, bins + 1)] * distribution.dim
    seen = np.histogramdd(distribution.sample(n, seed=1).astype(np.float64), edges)[0].flatten()
    kept = expected > 5
    seen, expected = np.append(seen[kept], seen[~kept].sum()), np.append(expected[kept], expected[~kept].sum() + 1e-9)
    chi2 = ((seen - expected) ** 2 / np.maximum(expected, 1)).sum()
    freedom = len(seen) - 1
    assert abs(chi2 - freedom) < 4.5 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("name", NAMES)
def test_mean_log_prob_of_samples_is_minus_the_entropy(name):
    distribution = density(name)
    points, cell = grid(distribution, 160)
    log_prob = distribution.log_prob(points)
    entropy = float(torch.special.entr(log_prob.exp()).sum() * cell)
    values = distribution.log_prob(torch.from_numpy(distribution.sample(20_000, seed=2)))
    assert values.isfinite().all()
    assert float(values.mean()) == pytest.approx(-entropy, abs=1e-3 + 4.5 * float(values.std()) / math.sqrt(20_000))


@pytest.mark.parametrize("name", NAMES)
def test_sample_is_a_function_of_the_seed(name):
    distribution = density(name)
    a, b, c = distribution.sample(50, seed=3), distribution.sample(50, seed=3), distribution.sample(50, seed=4)
    assert a.shape == (50, distribution.dim)
    assert a.dtype == np.float32
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize("name", [n for n, distribution in DENSITIES.items() if isinstance(distribution, Curves)])
def test_quadrature_has_converged(name):
    distribution = density(name)
    finer = Curves(name=name, shape=distribution.shape, std=distribution.std, nodes=4 * distribution.nodes)
    points = torch.cat(
        [
            torch.from_numpy(distribution.sample(500, seed=5)),
            torch.rand(500, 2, generator=torch.Generator().manual_seed(0)) * 10 - 5,
        ]
    )
    torch.testing.assert_close(distribution.log_prob(points), finer.log_prob(points), rtol=1e-9, atol=1e-8)


@pytest.mark.system("S74")
@pytest.mark.oracle("O43")
def test_mixture_at_the_origin():
    assert float(density("three-gaussians").log_prob(torch.zeros(1, 2))) == pytest.approx(-2.9358187, abs=1e-7)


def test_checkerboard_is_zero_off_the_dark_squares():
    values = density("checkerboard").log_prob(torch.tensor([[-3.0, -3.0], [-1.0, -3.0], [-1.0, -1.0], [5.0, 5.0]]))
    assert values.tolist() == [-math.log(32), -math.inf, -math.log(32), -math.inf]


def test_refusals():
    with pytest.raises(ValueError, match="did you mean 'moons'"):
        density("moon")
    with pytest.raises(ValueError, match=r"wanted \(B, 2\)"):
        density("moons").log_prob(torch.zeros(3))
