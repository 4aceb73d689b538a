"""Wasserstein distances against closed forms, scipy and an assignment; the coverage of the intervals."""

import math

import numpy as np
import pytest
import torch
from scipy import optimize, stats

from thalweg.data import Spec
from thalweg.evaluation import Reference, raw_features, sliced_wasserstein, wasserstein_1d
from thalweg.evaluation.draws import Draws, streamed
from thalweg.evaluation.examples import Examples
from thalweg.evaluation.measures.transport import DIRECTIONS, sliced_measures, transport_measures, wasserstein
from thalweg.randomness import generator

PLAIN = raw_features(Spec(name="plain", kind="vector", shape=(2,)))


def normal(n, d=2, seed=0, mean=0.0, std=1.0):
    return mean + std * torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def quantiles(n, mean=0.0, std=1.0):
    return torch.from_numpy(stats.norm.ppf((np.arange(n) + 0.5) / n, mean, std))


# on the line


@pytest.mark.oracle("O42")
def test_w1_of_two_gaussians():
    # W1(N(0,1), N(0,4)) = E|Z| = √(2/π)
    findings = wasserstein_1d(quantiles(200_000), quantiles(200_000, std=2.0)).item()
    assert findings == pytest.approx(0.7978846, abs=2e-5)
    sampled = wasserstein_1d(normal(100_000, 1), normal(100_000, 1, seed=1, std=2.0)).item()
    assert sampled == pytest.approx(0.7978846, abs=0.02)


@pytest.mark.parametrize(("n", "m"), [(37, 101), (60, 40), (1, 7), (50, 50)])
def test_w1_is_scipys(n, m):
    x, y = normal(n, 3).round(decimals=1), normal(m, 3, seed=1, mean=0.5).round(decimals=1)
    kept = x.clone()
    wanted = [stats.wasserstein_distance(x[:, i], y[:, i]) for i in range(3)]
    assert wasserstein_1d(x, y).tolist() == pytest.approx(wanted, rel=1e-10)
    assert wasserstein_1d(x, x).tolist() == pytest.approx([0.0] * 3, abs=1e-14)
    assert wasserstein_1d(x[:, 0], y[:, 0]).item() == pytest.approx(wanted[0], rel=1e-10)
    assert torch.equal(x, kept)  # sorted are copies
    with pytest.raises(ValueError, match="x, y: got shapes"):
        wasserstein_1d(x, y[:, :2])


@pytest.mark.parametrize("d", [1, 2, 5])
def test_sliced_w1_of_a_shift(d):
    # along θ a shift by v is |⟨θ, v⟩|, of mean |v| Γ(d/2) / (√π Γ((d+1)/2))
    x = normal(20, d)
    generator = torch.Generator().manual_seed(0)
    findings = sliced_wasserstein(x, x + 2.0, projections=20_000, generator=generator)
    wanted = 2 * math.sqrt(d) * math.gamma(d / 2) / (math.sqrt(math.pi) * math.gamma((d + 1) / 2))
    assert findings == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize(("n", "m"), [(30, 30), (30, 41)])
def test_sliced_w1_is_that_along_each_direction(n, m):
    x, y = normal(n, 4, mean=1e4), normal(m, 4, seed=1, mean=1e4 + 0.3)  # far from 0, where float32 is coarse
    findings = sliced_wasserstein(x, y, projections=15, generator=torch.Generator().manual_seed(2))
    ways = torch.randn(15, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    ways = ways / ways.norm(dim=1, keepdim=True)
    wanted = np.mean([stats.wasserstein_distance(x @ way, y @ way) for way in ways])
    assert findings == pytest.approx(wanted, rel=1e-5)


# in more dimensions


def test_exact_w1_is_the_best_assignment():
    x, y = normal(60, 5), normal(60, 5, seed=1, mean=0.5)
    costs = torch.cdist(x, y).numpy()
    rows, columns = optimize.linear_sum_assignment(costs)
    findings = wasserstein(x, y)
    assert findings.value == pytest.approx(costs[rows, columns].mean(), rel=1e-10)
    # the potentials: feasible, and as high as the distance, so both are the best
    assert (findings.of_x[:, None] + findings.of_y <= costs + 1e-10).all()
    assert findings.of_x.mean() + findings.of_y.mean() == pytest.approx(findings.value, rel=1e-10)


@pytest.mark.parametrize(("n", "m"), [(40, 40), (40, 23)])
def test_exact_w1_on_the_line(n, m):
    x, y = normal(n, 1), normal(m, 1, seed=1, std=2.0)
    assert wasserstein(x, y).value == pytest.approx(wasserstein_1d(x, y).item(), rel=1e-10)


def test_exact_w1_of_a_shift():
    x, shift = normal(50, 3), torch.tensor([1.0, 2.0, 2.0])
    assert wasserstein(x, x + shift).value == pytest.approx(3.0, rel=1e-12)
    assert wasserstein(x, x.flip(0)).value == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ValueError, match="x, y: got shapes"):
        wasserstein(x, x[:, :2])


def draws_from(x, y):
    """Draws of features that are given."""
    spec = Spec(name="plain", kind="vector", shape=x.shape[1:])
    streams = [streamed([z], len(z), PLAIN, fewest=len(z), name="sample") for z in (x, y)]
    reference = Reference(spec=spec, test=Examples(x.numpy(), protocol={"split": "test"}), features=PLAIN)
    return Draws(*streams, reference)


def measured(x, y):
    return transport_measures(draws_from(x, y))[0]


def test_the_sliced_ones_interval_is_the_jackknifes():
    x, y = normal(63, 3), normal(48, 3, seed=1, mean=0.5)
    findings = sliced_measures(draws_from(x, y))[0]

    def sliced(out):
        rest = [z[torch.arange(len(z)) % 10 != out] for z in (x, y)]
        return sliced_wasserstein(*rest, projections=DIRECTIONS, generator=generator(0, "directions"))

    left_out = np.array([sliced(block) for block in range(10)])
    assert findings.value == pytest.approx(sliced(-1), rel=1e-9)
    assert findings.parts == pytest.approx(10 * findings.value - 9 * left_out, rel=1e-6)


@pytest.mark.parametrize(("mean", "std", "d"), [(1.0, 1.0, 2), (0.0, 1.5, 2), (0.0, 1.5, 8), (0.0, 1.0, 2)])
def test_the_interval_covers_the_mean_of_so_many_samples(mean, std, d):
    findings = [
        measured(normal(80, d, seed=2 * s), normal(80, d, seed=2 * s + 1, mean=mean, std=std)) for s in range(300)
    ]
    centre = np.mean([e.value for e in findings])
    covered = np.mean([e.low <= centre <= e.high for e in findings])
    assert covered >= 0.91
    assert (
        covered <= 0.98 or (mean, std) == (0.0, 1.0) or d == 8
    )  # wide, never narrow, where the distributions are near
    halves = np.mean([(e.high - e.low) / 2 for e in findings])
    assert halves < 2 * 1.96 * np.std([e.value for e in findings])


def test_two_models_on_the_same_examples_are_paired():
    x = normal(300, 2)
    near, far = (measured(x, normal(300, 2, seed=1, mean=mean)) for mean in (0.5, 1.0))
    assert near.beats(far)
    assert near.unit == "units"
    assert near.parts.mean() == pytest.approx(near.value)
    same = measured(x, x)
    assert same.value == pytest.approx(0.0, abs=1e-12)
    assert same.low >= 0.0


@pytest.mark.parametrize("factor", [1e-150, 1e-14, 1e-8, 1.0, 1e8, 1e14, 1e150])
@pytest.mark.parametrize("far", [None, 1e4, 1e8, 1e12])
def test_far_points_in_both_samples_and_any_unit(factor, far):
    x, y = normal(40, 3), normal(40, 3, seed=1, mean=0.5)
    costs = (x[:, None] - y[None]).square().sum(dim=-1).sqrt().numpy()
    wanted = costs[optimize.linear_sum_assignment(costs)].mean()
    slices = sliced_wasserstein(x, y, generator=generator(0, "directions"))
    if far:
        x, y = (torch.cat([z, torch.full((1, 3), far, dtype=z.dtype)]) for z in (x, y))
        wanted, slices = 40 / 41 * wanted, 40 / 41 * slices
    findings = wasserstein(factor * x, factor * y)
    assert findings.value / factor == pytest.approx(wanted, rel=1e-9)
    assert (findings.of_x.mean() + findings.of_y.mean()) / factor == pytest.approx(wanted, rel=1e-9)
    sliced = sliced_wasserstein(factor * x, factor * y, generator=generator(0, "directions")) / factor
    assert sliced == pytest.approx(slices, rel=1e-3)
