"""MMD² and the integral probability metrics against closed forms and direct sums."""

import math

import pytest
import torch

from thalweg.objectives.ipm import integral_probability_metric
from thalweg.objectives.mmd import inverse_multiquadric, mmd2, rbf

P, Q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.2, 0.6])
LINE = torch.tensor([[0.0], [1.0], [2.0]])


def points(n, d, seed, shift=0.0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


@pytest.mark.system("S93")
@pytest.mark.parametrize("kernel", [rbf(0.7), inverse_multiquadric(3, std=2.0)])
@pytest.mark.parametrize(("n", "m"), [(5, 8), (130, 70)])
def test_direct_sums_and_gradients(kernel, n, m):
    x, y = points(n, 3, 0).requires_grad_(), points(m, 3, 1, 0.5).requires_grad_()

    def total(a, b):
        return kernel((a[:, None] - b[None]).square().sum(-1))

    xx, yy = total(x, x), total(y, y)
    own = [(k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1)) for k in (xx, yy)]
    expected = sum(own) - 2 * total(x, y).mean()
    result = mmd2(x, y, kernel)
    assert result.item() == pytest.approx(expected.item(), rel=1e-9)
    for a, b in zip(torch.autograd.grad(result, (x, y)), torch.autograd.grad(expected, (x, y)), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.oracle("O42")
@pytest.mark.system("S93")
def test_unbiased():
    """E over samples is the closed form, (0.1772676 for N(0,1), N(1,1) and bandwidth 1), and 0 of equal
    distributions."""
    exact = 2 / math.sqrt(3) * (1 - math.exp(-1 / 6))
    assert exact == pytest.approx(0.1772676, abs=1e-7)
    values = torch.stack([mmd2(points(6, 1, k), points(6, 1, k + 5000, 1.0), rbf(1.0)) for k in range(500)])
    error = values.std() / math.sqrt(len(values))
    assert abs(values.mean() - exact) < 4 * error
    same = torch.stack([mmd2(points(6, 1, k), points(6, 1, k + 5000), rbf(1.0)) for k in range(500)])
    assert abs(same.mean()) < 4 * same.std() / math.sqrt(len(same))
    assert (same < 0).float().mean() > 0.3


def test_the_multiquadrics_constants():
    kernel = inverse_multiquadric(4, std=3.0, scales=(0.5, 2.0))
    assert kernel(torch.tensor(36.0)).item() == pytest.approx(36 / 72 + 144 / 180)


@pytest.mark.oracle("O4")
@pytest.mark.system("S93")
def test_the_function_class_defines_the_metric():
    assert integral_probability_metric(P, Q, "bounded").item() == pytest.approx(0.8)
    assert integral_probability_metric(P, Q, "unit").item() == pytest.approx(0.4)
    assert integral_probability_metric(P, Q, "lipschitz", LINE).item() == pytest.approx(0.7)
    assert integral_probability_metric(P, Q, "lipschitz", 3 * LINE).item() == pytest.approx(2.1)


@pytest.mark.parametrize("functions", ["unit", "bounded", "lipschitz", "rkhs"])
def test_no_function_of_the_class_does_better(functions):
    kernel = rbf(1.0)
    metric = integral_probability_metric(P, Q, functions, LINE, kernel)
    gram = kernel(torch.cdist(LINE, LINE).square())
    source, best = torch.Generator().manual_seed(0), 0.0
    for _ in range(20_000):
        values = torch.rand(3, generator=source)
        if functions == "bounded":
            values = 2 * values - 1
        if functions == "lipschitz":
            values = torch.cat([torch.zeros(1), (2 * values[:2] - 1).cumsum(0)])
        if functions == "rkhs":
            weights = 2 * values - 1
            values = gram @ weights / (weights @ gram @ weights).sqrt()
        best = max(best, float((P - Q) @ values))
    assert 0.9 * metric < best <= metric + 1e-6


def test_what_is_missing():
    with pytest.raises(ValueError, match="points: got none"):
        integral_probability_metric(P, Q, "lipschitz")
    with pytest.raises(ValueError, match="kernel: got none"):
        integral_probability_metric(P, Q, "rkhs", LINE)
    with pytest.raises(ValueError, match="functions: got 'lipshitz'"):
        integral_probability_metric(P, Q, "lipshitz")
    with pytest.raises(ValueError, match="x, y: got 1 and 3 points"):
        mmd2(LINE[:1], LINE, rbf(1.0))
    with pytest.raises(ValueError, match="std: got 0"):
        inverse_multiquadric(2, std=0.0)
    with pytest.raises(ValueError, match="scales: got 0"):
        inverse_multiquadric(2, scales=(0.0,))


@pytest.mark.parametrize("far", [1e4, 1e8, 1e12])
def test_a_far_point_of_both(far):
    """Its kernel with the others is 0, with itself 1."""
    x, y, point = points(30, 3, 0), points(30, 3, 1, 0.5), torch.full((1, 3), far, dtype=torch.float64)
    kernel = rbf(1.0)

    def mean(a, b, own=False):
        k = kernel((a[:, None] - b[None]).square().sum(-1))
        return (k.sum() - (k.diagonal().sum() if own else 0)) / (31 * 30 if own else 31 * 31)

    expected = mean(x, x, True) + mean(y, y, True) - 2 * (mean(x, y) + 1 / 31**2)
    assert mmd2(torch.cat([x, point]), torch.cat([y, point]), kernel).item() == pytest.approx(expected.item(), rel=1e-9)
