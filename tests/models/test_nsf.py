"""Rational-quadratic splines: the paper's formula bin by bin, derivatives, round-off; the flow made of them."""

import math

import numpy as np
import pytest
import torch

from thalweg.models.flows.nsf import NSF
from thalweg.nn.elementwise import SplineMap
from thalweg.nn.spline import MIN_SIZE, rational_quadratic
from thalweg.randomness import generator

K, BOUND = 5, 3.0


def knots(raw):
    """Knots and slopes of one spline, in numpy."""

    def grid(share):
        share = np.exp(share) / np.exp(share).sum()
        return np.concatenate([[0], np.cumsum(MIN_SIZE + (1 - MIN_SIZE * K) * share)]) * 2 * BOUND - BOUND

    inner = np.logaddexp(0, raw[2 * K :] + np.log(np.expm1(1 - MIN_SIZE))) + MIN_SIZE
    return grid(raw[:K]), grid(raw[K : 2 * K]), np.concatenate([[1], inner, [1]])


def by_the_paper(x, raw):
    """Equations 4 and 5 of the paper, one value at a time."""
    xs, ys, d = knots(raw)
    if abs(x) >= BOUND:
        return x, 0.0
    k = np.searchsorted(xs, x, side="right") - 1
    s, xi = (ys[k + 1] - ys[k]) / (xs[k + 1] - xs[k]), (x - xs[k]) / (xs[k + 1] - xs[k])
    under = s + (d[k + 1] + d[k] - 2 * s) * xi * (1 - xi)
    y = ys[k] + (ys[k + 1] - ys[k]) * (s * xi**2 + d[k] * xi * (1 - xi)) / under
    slope = s**2 * (d[k + 1] * xi**2 + 2 * s * xi * (1 - xi) + d[k] * (1 - xi) ** 2) / under**2
    return y, math.log(slope)


def draw(n, scale=1.0, dtype=torch.float64, bins=K):
    noise = generator(0, "spline")
    x = 4 * torch.rand(n, generator=noise, dtype=torch.float64) * 2 - 4
    return x.to(dtype), (scale * torch.randn(3 * bins - 1, n, generator=noise, dtype=torch.float64)).to(dtype)


@pytest.mark.system("S88")
def test_it_is_the_formula_of_the_paper():
    x, raw = draw(200)
    y, log_slope = rational_quadratic(x, raw, BOUND)
    expected = np.array([by_the_paper(float(v), r.numpy()) for v, r in zip(x, raw.T, strict=True)])
    np.testing.assert_allclose(np.stack([y, log_slope], 1), expected, rtol=1e-10, atol=1e-12)
    back = rational_quadratic(y, raw, BOUND, inverse=True)
    torch.testing.assert_close(back.value, x, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(back.log_slope, log_slope, rtol=1e-9, atol=1e-9)


@pytest.mark.system("S88")
def test_it_passes_through_the_knots_with_their_slopes():
    _, raw = draw(1)
    xs, ys, d = (torch.from_numpy(a) for a in knots(raw[:, 0].numpy()))
    y, log_slope = rational_quadratic(xs, raw, BOUND)
    torch.testing.assert_close(y, ys)
    torch.testing.assert_close(log_slope.exp(), d)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("n", [8, 1])  # a spline a value; one for all
def test_derivatives(inverse, n):
    x, raw = draw(8)
    assert torch.autograd.gradcheck(
        lambda x, raw: tuple(rational_quadratic(x, raw, BOUND, inverse=inverse)),
        (x.requires_grad_(), raw[:, :n].clone().requires_grad_()),
    )
    value, log_slope = rational_quadratic(x, raw[:, :n], BOUND, inverse=inverse)
    slope = torch.autograd.grad(value.sum(), x)[0].log()
    torch.testing.assert_close(slope, -log_slope if inverse else log_slope)


@pytest.mark.parametrize("scale", [1, 10, 100])
@pytest.mark.parametrize("bins", [2, 8, 100])
def test_rounding_never_raises_an_error(bins, scale):
    x, raw = draw(5000, scale, torch.float32, bins)
    x[:4] = torch.tensor([BOUND, -BOUND, np.nextafter(np.float32(BOUND), 0), np.nextafter(np.float32(-BOUND), 0)])
    y, log_slope = rational_quadratic(x, raw, BOUND)
    back = rational_quadratic(y, raw, BOUND, inverse=True)
    for values in (y, log_slope, *back):
        assert values.isfinite().all()
    lost = torch.finfo(torch.float32).eps * BOUND * (1 + (-log_slope).exp())
    if scale < 100:
        assert ((back.value - x).abs() <= 8 * lost).all()
    outside = x.abs() >= BOUND
    assert torch.equal(y[outside], x[outside])
    assert (log_slope[outside] == 0).all()
    gradients = torch.autograd.grad(
        sum(v.sum() for v in rational_quadratic(y, raw.requires_grad_(), BOUND, inverse=True)), raw
    )
    assert gradients[0].isfinite().all()


def test_outside_nothing_depends_on_the_parameters():
    x, raw = torch.tensor([3.0, 3.5, -3.0, -7.0], requires_grad=True), draw(4)[1].float().requires_grad_()
    for inverse in (False, True):
        value, log_slope = rational_quadratic(x, raw, BOUND, inverse=inverse)
        of_x, of_raw = torch.autograd.grad((value + 3 * log_slope)[[1, 3]].sum(), (x, raw))
        assert of_x.tolist() == [0, 1, 0, 1]
        assert of_raw.abs().max() < 1e-5


def test_zeros_are_the_identity():
    x = torch.linspace(-4, 4, 41, dtype=torch.float64)
    y, log_slope = rational_quadratic(x, torch.zeros(3 * K - 1, 1, dtype=torch.float64), BOUND)
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(log_slope, torch.zeros_like(x))
    flow = NSF((3,), hidden=8, mean=[0.0] * 3, std=[1.0] * 3)
    points = torch.randn(5, 3)
    expected = torch.distributions.Normal(0, 1).log_prob(points).sum(1)
    torch.testing.assert_close(flow.log_prob(points), expected)


def test_refusals():
    with pytest.raises(ValueError, match="bins: got 1"):
        SplineMap(bins=1)
    with pytest.raises(ValueError, match="bound: got -1"):
        SplineMap(bound=-1.0)
    with pytest.raises(ValueError, match="at least 2"):
        NSF((1,), mean=[0.0], std=[1.0])
