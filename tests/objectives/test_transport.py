"""Transport between samples against scipy, POT, closed forms and finite differences."""

import math

import numpy as np
import ot
import pytest
import scipy.stats
import torch
from scipy.optimize import linear_sum_assignment

from thalweg.objectives.f_divergence import f_divergence
from thalweg.objectives.transport import (
    optimal_coupling,
    sinkhorn_divergence,
    sliced_wasserstein,
    wasserstein,
    wasserstein_1d,
)


def points(n, d, seed, shift=0.0, scale=1.0):
    source = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=source, dtype=torch.float64) * scale + shift


@pytest.mark.oracle("O4")
@pytest.mark.system("S92")
def test_an_example_on_three_points():
    at = torch.tensor([0.0, 1.0, 2.0])
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.2, 0.6])
    assert wasserstein_1d(at, at, p, q).item() == pytest.approx(0.7)
    assert wasserstein(at[:, None], at[:, None], p, q).item() == pytest.approx(0.7)


@pytest.mark.parametrize(("n", "m"), [(7, 7), (5, 9), (1, 4)])
@pytest.mark.parametrize("weighted", [False, True])
def test_on_the_line_as_scipy(n, m, weighted):
    x, y = points(n, 1, 0)[:, 0], points(m, 1, 1, shift=0.5)[:, 0]
    a, b = (torch.rand(k, dtype=torch.float64) for k in (n, m))
    a, b = (a / a.sum(), b / b.sum()) if weighted else (None, None)
    expected = scipy.stats.wasserstein_distance(x, y, a, b)
    assert wasserstein_1d(x, y, a, b).item() == pytest.approx(expected, rel=1e-12)
    assert wasserstein(x[:, None], y[:, None], a, b).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.oracle("O42")
def test_gaussians_on_the_line():
    u = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    z = math.sqrt(2) * torch.erfinv(2 * u - 1)
    assert wasserstein_1d(z, 2 * z).item() == pytest.approx(0.7978846, abs=1e-4)
    assert wasserstein_1d(z, z - 1.7).item() == pytest.approx(1.7)


def test_weights_are_shares():
    at, p, q = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([5.0, 3.0, 2.0]), torch.tensor([1.0, 1.0, 3.0])
    assert wasserstein_1d(at, at, p, q).item() == pytest.approx(0.7)
    assert wasserstein(at[:, None], at[:, None], p, q).item() == pytest.approx(0.7)


@pytest.mark.system("S92")
def test_at_most_the_diameter_times_the_total_variation():
    x, source = points(6, 2, 0), torch.Generator().manual_seed(1)
    for _ in range(20):
        p, q = torch.rand(2, 6, generator=source, dtype=torch.float64).softmax(1)
        assert wasserstein(x, x, p, q) <= torch.cdist(x, x).max() * f_divergence("tv").discrete(p, q) + 1e-12


def test_batches_of_lines():
    x, y = points(3, 4, 0), points(3, 6, 1)
    together = wasserstein_1d(x, y)
    assert together.shape == (3,)
    for k in range(3):
        assert together[k] == wasserstein_1d(x[k], y[k])


@pytest.mark.oracle("O41")
@pytest.mark.system("S92")
@pytest.mark.parametrize("theta", [0.3, -0.3, 2.0])
def test_two_parallel_segments(theta):
    """(0, Z) and (θ, Z): W = |θ|, with gradient sign(θ), while every f-divergence is constant for θ ≠ 0."""
    z = torch.linspace(0, 1, 50, dtype=torch.float64)
    parameter = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    still, moved = torch.stack([torch.zeros_like(z), z], 1), torch.stack([parameter.expand(50), z], 1)
    distance = wasserstein(still, moved)
    distance.backward()
    assert distance.item() == pytest.approx(abs(theta))
    assert parameter.grad.item() == pytest.approx(math.copysign(1, theta))


def test_a_split_point_needs_a_plan_not_a_map():
    assert wasserstein(torch.zeros(1, 1), torch.tensor([[-1.0], [1.0]])).item() == 1.0


@pytest.mark.parametrize("power", [1, 2])
def test_the_best_assignment(power):
    x, y = points(30, 3, 0), points(30, 3, 1, shift=0.4)
    cost = torch.cdist(x, y) ** power
    expected = cost[linear_sum_assignment(cost)].mean()
    assert wasserstein(x, y, power=power).item() == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize(
    "distance",
    [
        wasserstein,
        lambda x, y: sliced_wasserstein(x, y, points(20, 2, 5)),
        lambda x, y: sinkhorn_divergence(x, y, blur=1.5, scaling=0.95),
        lambda x, y: sinkhorn_divergence(x, y, blur=1.5, power=1, scaling=0.95),
    ],
)
def test_gradients_are_finite_differences(distance):
    x, y = points(6, 2, 0).requires_grad_(), points(8, 2, 1, shift=1.0).requires_grad_()
    (3 * distance(x, y)).backward()
    for z in (x, y):
        for i, j in ((0, 0), (3, 1)):
            with torch.no_grad():
                z[i, j] += 1e-5
                above = distance(x, y)
                z[i, j] -= 2e-5
                below = distance(x, y)
                z[i, j] += 1e-5
            assert z.grad[i, j].item() == pytest.approx(3 * (above - below).item() / 2e-5, rel=0.02, abs=5e-4)


def test_zero_gradient_where_points_coincide():
    """The optimal plan is the identity, and the gradient of |x − y| at x = y is set to zero, not 0/0."""
    x = points(50, 2, 0).requires_grad_()
    distance = wasserstein(x, x.detach().flip(0))
    distance.backward()
    assert distance.item() == 0.0
    assert x.grad.equal(torch.zeros_like(x))


def test_far_from_the_origin():
    x, y = points(100, 30, 0).float(), points(80, 30, 1, shift=0.5).float()
    exact = wasserstein(x.double(), y.double()).item()
    assert wasserstein(x + 1e4, y + 1e4).item() == pytest.approx(exact, rel=1e-3)


def test_sliced_on_the_line_is_exact():
    x, y = points(9, 1, 0), points(9, 1, 1)
    assert sliced_wasserstein(x, y, torch.full((4, 1), -3.0, dtype=torch.float64)).item() == pytest.approx(
        wasserstein_1d(x[:, 0], y[:, 0]).item()
    )


@pytest.mark.system("S92")
class TestSinkhorn:
    @pytest.mark.parametrize("power", [1, 2])
    def test_as_pot(self, power):
        x, y, blur = points(40, 2, 0), points(50, 2, 1, shift=0.5, scale=0.7), 0.3

        def entropic(x, y):
            cost = (torch.cdist(x, y) ** power / power).numpy()
            a, b = np.full(len(x), 1 / len(x)), np.full(len(y), 1 / len(y))
            plan = ot.sinkhorn(a, b, cost, blur**power, method="sinkhorn_log", numItermax=20_000, stopThr=1e-8)
            return (plan * cost).sum() + blur**power * (plan * np.log(plan / np.outer(a, b))).sum()

        expected = entropic(x, y) - entropic(x, x) / 2 - entropic(y, y) / 2
        result = sinkhorn_divergence(x, y, blur=blur, power=power, scaling=0.99)
        assert result.item() == pytest.approx(expected, rel=1e-3)
        assert sinkhorn_divergence(x, y, blur=blur, power=power).item() == pytest.approx(expected, rel=0.05)

    def test_zero_between_a_sample_and_itself(self):
        x = points(40, 2, 0).requires_grad_()
        distance = sinkhorn_divergence(x, x.detach())
        distance.backward()
        assert distance.item() == pytest.approx(0.0, abs=1e-12)
        assert x.grad.abs().max() < 1e-12

    def test_small_blur_is_transport_and_large_blur_the_means(self):
        x, y = points(60, 2, 0), points(60, 2, 1, shift=2.0)
        exact = wasserstein(x, y, power=2) / 2
        assert sinkhorn_divergence(x, y, blur=0.01, scaling=0.95).item() == pytest.approx(exact.item(), rel=2e-3)
        means = (x.mean(0) - y.mean(0)).square().sum() / 2
        assert sinkhorn_divergence(x, y, blur=300.0).item() == pytest.approx(means.item(), rel=1e-3)

    def test_far_apart_in_floats(self):
        x, y = points(300, 2, 0).float(), points(200, 2, 1, shift=1000.0).float()
        result = sinkhorn_divergence(x, y, blur=0.01, power=1)
        assert result.item() == pytest.approx(1000 * math.sqrt(2), rel=1e-3)

    def test_mistakes(self):
        with pytest.raises(ValueError, match="power: got '3', wanted one of 1, 2"):
            sinkhorn_divergence(points(2, 1, 0), points(2, 1, 0), power=3)
        with pytest.raises(ValueError, match=r"scaling: got 1.0, wanted a number between 0 and 1"):
            sinkhorn_divergence(points(2, 1, 0), points(2, 1, 0), scaling=1.0)
        with pytest.raises(ValueError, match="blur: got 0"):
            sinkhorn_divergence(points(2, 1, 0), points(2, 1, 0), blur=0.0)


def assignment(x, y, power=1):
    """The best assignment's mean cost, of differences in float64."""
    cost = (x[:, None] - y[None]).square().sum(-1).sqrt() ** power
    return cost[linear_sum_assignment(cost)].mean().item()


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("factor", [1e-150, 1e-14, 1e-8, 1.0, 1e8, 1e14, 1e150])
def test_whatever_the_unit(factor, power):
    """W_p(cx, cy) = |c| W_p(x, y)."""
    x, y = points(40, 3, 0), points(40, 3, 1, shift=0.4)
    result = wasserstein(factor * x, factor * y, power=power).item() / factor**power
    assert result == pytest.approx(assignment(x, y, power), rel=1e-9)
    ways = points(20, 3, 5)
    expected = sliced_wasserstein(x, y, ways).item()
    assert sliced_wasserstein(factor * x, factor * y, ways / factor).item() / factor == pytest.approx(
        expected, rel=1e-9
    )


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("offset", [1e4, 1e8])
def test_whatever_the_origin(offset, power):
    x, y = (z.mul(2**20).round().div(2**20) for z in (points(40, 3, 0), points(40, 3, 1, shift=0.4)))  # sums are exact
    expected = assignment(x, y, power)
    assert wasserstein(x + offset, y + offset, power=power).item() == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("far", [1e4, 1e8, 1e12])
def test_a_far_point_of_both(far, power):
    """It is transported to itself: the others are transported as without it."""
    x, y, point = points(40, 3, 0), points(40, 3, 1, shift=0.4), torch.full((1, 3), far, dtype=torch.float64)
    both = torch.cat([x, point]), torch.cat([y, point])
    rest = 40 / 41 * assignment(x, y, power)
    assert wasserstein(*both, power=power).item() == pytest.approx(rest, rel=1e-9)
    ways = points(20, 3, 5)
    expected = 40 / 41 * sliced_wasserstein(x, y, ways).item()
    assert sliced_wasserstein(*both, ways).item() == pytest.approx(expected, rel=1e-3)
    without = 40 / 41 * sinkhorn_divergence(x, y, power=power, scaling=0.9).item()
    assert sinkhorn_divergence(*both, power=power, scaling=0.9).item() == pytest.approx(without, rel=0.02)


@pytest.mark.parametrize("power", [1, 2])
def test_a_far_point_of_one(power):
    x, y = points(40, 3, 0), points(40, 3, 1, shift=0.4)
    x[7] = 1e6
    assert wasserstein(x, y, power=power).item() == pytest.approx(assignment(x, y, power), rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("factor", [1e2, 1e6, 1e10])
def test_sinkhorn_where_the_blur_is_nothing(factor, power, dtype):
    """A shift by v costs |v|^p/p, and the divergence of a sample from itself is 0."""
    x = (points(30, 2, 0) * factor).to(dtype)
    shift = 1e-2 * factor
    result = sinkhorn_divergence(x, x + shift, power=power, scaling=0.9).item()
    assert result == pytest.approx((math.sqrt(2) * shift) ** power / power, rel=1e-3)
    assert abs(sinkhorn_divergence(x, x.flip(0), power=power).item()) < 1e-6 * result


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("factor", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize(("n", "m"), [(20, 20), (20, 33)])
def test_the_potentials_prove_the_plan(n, m, factor, power):
    """f_i + g_j ≤ c_ij, equal where the plan is: no plan of these weights costs less."""
    x, y = points(n, 3, 0) * factor, points(m, 3, 1, shift=0.4) * factor
    a, b = torch.rand(2, 40, generator=torch.Generator().manual_seed(2), dtype=torch.float64).add(0.1)
    plan, of_x, of_y = optimal_coupling(x, y, a[:n], b[:m], power=power)
    cost = (x[:, None] - y[None]).square().sum(-1).sqrt().numpy() ** power
    slack = (cost - of_x[:, None] - of_y) / factor**power
    assert slack.min() > -1e-9
    assert slack[plan > 0].max() < 1e-9
    assert plan.sum(1) == pytest.approx((a[:n] / a[:n].sum()).numpy())
    assert plan.sum(0) == pytest.approx((b[:m] / b[:m].sum()).numpy())


def test_far_points_of_one_and_a_farther_one_of_both():
    """Distant points compete for the points on their side, at costs that are large except relative to the farthest
    point."""
    x, y = points(40, 3, 0), points(40, 3, 1, shift=0.4)
    x[:5] = 1e5 * (1 + points(5, 3, 2).abs())
    expected = 40 / 41 * assignment(x, y, 2)
    both = [torch.cat([z, torch.full((1, 3), 1e12, dtype=z.dtype)]) for z in (x, y)]
    plan = torch.from_numpy(optimal_coupling(*both, power=2).plan)
    cost = (both[0][:, None] - both[1][None]).square().sum(-1)
    assert (plan * cost).sum().item() == pytest.approx(expected, rel=1e-13)
