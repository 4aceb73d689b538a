"""The rate of kernel density estimation: exact errors against quadrature and simulation, slopes against the theory."""

import math

import pytest
import torch
from scipy.stats import norm

from thalweg.data.toy import density
from thalweg.inference.kernel_density import GaussianMixture, mise, rate, smoothed
from thalweg.models.mixtures.kde import KDE
from thalweg.models.mixtures.kernels import rule_of_thumb
from thalweg.randomness import generator

NORMAL = GaussianMixture.of([[0.0]], [1.0], [1.0])
UNEVEN = GaussianMixture.of([[-1.5], [0.5], [2.0]], [0.5, 0.3, 0.4], [0.5, 0.2, 0.3])
PLANE = GaussianMixture.of([[0.0, 0.0], [1.0, 2.0]], [1.0, 0.6], [0.6, 0.4])
GRID = torch.linspace(-8, 8, 4001, dtype=torch.float64)[:, None]


def estimate(x, h):
    kde = KDE((x.shape[1],), mean=[0.0] * x.shape[1], std=[1.0] * x.shape[1], bandwidth=h)
    kde.fit(x, None, x[:, :0])
    return kde


@pytest.mark.system("S73")
def test_smoothed_gaussian_is_gaussian():
    """Gaussian density, Gaussian kernel: p_h = N(0, σ² + h²)."""
    mixture = smoothed(GaussianMixture.of([[0.0]], [1.5], [1.0]), 0.8)
    expected = torch.from_numpy(norm(scale=math.hypot(1.5, 0.8)).pdf(GRID[:, 0].numpy()))
    torch.testing.assert_close(mixture.prob(GRID), expected)
    x = 1.5 * torch.randn(40_000, 1, generator=generator(0, "x"), dtype=torch.float64)
    at = torch.tensor([[-2.0], [0.0], [1.0]], dtype=torch.float64)
    result = estimate(x, 0.8).log_prob(at).double().exp()
    torch.testing.assert_close(result, mixture.prob(at), rtol=0.03, atol=0)


@pytest.mark.system("S73")
@pytest.mark.parametrize("h", [0.1, 0.5])
def test_exact_error_is_variance_and_bias_by_quadrature(h):
    """E(p̂ − p)² = (p_h − p)² + (E K_h² − p_h²)/n, and K_h² is a Gaussian of half the variance."""
    n, step = 50, float(GRID[1] - GRID[0])
    bias = smoothed(UNEVEN, h).prob(GRID) - UNEVEN.prob(GRID)
    square = smoothed(UNEVEN, h / math.sqrt(2)).prob(GRID) / (2 * h * math.sqrt(math.pi))
    variance = (square - smoothed(UNEVEN, h).prob(GRID) ** 2) / n
    assert mise(UNEVEN, n, h) == pytest.approx(float((bias**2 + variance).sum()) * step, rel=1e-9)


@pytest.mark.system("S73")
@pytest.mark.parametrize(("mixture", "slope"), [(UNEVEN, -4 / 5), (PLANE, -4 / 6)], ids=["d=1", "d=2"])
def test_slope_of_the_best_error(mixture, slope):
    """MISE ≍ n^{−2β/(2β+d)}, β = 2, at h ≍ n^{−1/(2β+d)}."""
    result = rate(mixture, [10**k for k in range(6, 11)])
    assert result.slope == pytest.approx(slope, abs=0.01)
    d = mixture.means.shape[1]
    ratio = math.log(result.bandwidth[-1] / result.bandwidth[0]) / math.log(10**4)
    assert ratio == pytest.approx(-1 / (4 + d), abs=0.005)


@pytest.mark.system("S73")
def test_slope_of_measured_errors():
    counts, step = [100, 1000, 10_000], 0.04
    exact = rate(UNEVEN, counts)
    grid = torch.arange(-6, 6, step, dtype=torch.float64)[:, None]
    errors = []
    truth = density("mixture-1d")
    for n, h, times in zip(counts, exact.bandwidth, (60, 12, 3), strict=True):
        each = [
            float((estimate(torch.from_numpy(truth.sample(n, seed)), h).log_prob(grid).exp() - UNEVEN.prob(grid))
                  .square().sum()) * step for seed in range(times)
        ]  # fmt: skip
        errors.append(sum(each) / times)
    assert errors == pytest.approx(exact.mise, rel=0.2)
    slope = math.log(errors[-1] / errors[0]) / math.log(100)
    assert slope == pytest.approx(-4 / 5, abs=0.08)


@pytest.mark.system("S73")
def test_silverman_is_best_for_a_gaussian_and_its_constant():
    assert rule_of_thumb("silverman", 1, 1) == pytest.approx(1.0592, abs=1e-4)
    n = 10**9
    assert rate(NORMAL, [n, 2 * n]).bandwidth[0] == pytest.approx(rule_of_thumb("silverman", n, 1), rel=1e-3)
    plane = GaussianMixture.of([[0.0, 0.0]], [1.0], [1.0])
    assert rate(plane, [n, 2 * n]).bandwidth[0] == pytest.approx(rule_of_thumb("silverman", n, 2), rel=1e-2)
