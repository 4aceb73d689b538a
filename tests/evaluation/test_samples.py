"""Measures of samples against closed forms, direct definitions and scipy; a test's size, the reach of intervals."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import linalg, stats
from torch import nn

from thalweg.data import Dataset, Spec, Split
from thalweg.evaluation import (
    Moments,
    evaluate,
    frechet,
    mmd2,
    prdc,
    rate,
    sample_measures,
    sliced_wasserstein,
    wasserstein_1d,
)
from thalweg.evaluation.examples import Examples
from thalweg.evaluation.moments import frechet_of_few
from thalweg.evaluation.samples import _half


def normal(n, d=2, seed=0, mean=0.0, std=1.0):
    return mean + std * torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def quantiles(n, mean=0.0, std=1.0):
    return torch.from_numpy(stats.norm.ppf((np.arange(n) + 0.5) / n, mean, std))


# Fréchet


def test_frechet_of_two_gaussians():
    a = Moments.given(torch.tensor([1.0, 2.0]), torch.diag(torch.tensor([4.0, 9.0])))
    b = Moments.given(torch.tensor([0.0, 4.0]), torch.diag(torch.tensor([1.0, 25.0])))
    assert frechet(a, b) == pytest.approx(1 + 4 + (2 - 1) ** 2 + (3 - 5) ** 2, rel=1e-12)
    turn = torch.linalg.qr(normal(2)).Q.float().double()
    turned = [Moments.given(turn @ m.mean, turn @ m.covariance @ turn.T) for m in (a, b)]
    assert frechet(*turned) == pytest.approx(frechet(a, b), rel=1e-6)


@pytest.mark.parametrize("d", [1, 3, 30])
def test_frechet_is_that_of_the_matrix_root(d):
    x, y = normal(100, d) @ normal(d, d, seed=1), normal(80, d, seed=2, mean=0.3) @ normal(d, d, seed=3)
    covariances = [np.cov(z.numpy().T).reshape(d, d) for z in (x, y)]
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    wanted = ((x.mean(0) - y.mean(0)) ** 2).sum().item() + np.trace(sum(covariances) - 2 * root)
    assert frechet(Moments.of(x), Moments.of(y)) == pytest.approx(wanted, rel=1e-6)


def test_frechet_with_fewer_examples_than_features():
    x, y = normal(12, 3), normal(15, 3, seed=1, mean=1.0, std=2.0)
    plane = torch.linalg.qr(normal(400, 3, seed=2)).Q.T
    wanted = frechet(Moments.of(x), Moments.of(y))
    assert frechet(Moments.of(x @ plane), Moments.of(y @ plane)) == pytest.approx(wanted, rel=1e-10)
    assert frechet_of_few(x @ plane, y @ plane) == pytest.approx(wanted, rel=1e-10)
    assert frechet_of_few(x, y) == pytest.approx(wanted, rel=1e-12)


def test_frechet_of_a_plane_and_a_full_law():
    # the root's trace has as many terms as the plane has directions; rounding must not add those it has not
    d, plane = 300, torch.linalg.qr(normal(300, 3, seed=2)).Q
    mixed = normal(d, d, seed=3)
    a, b = plane @ torch.diag(torch.tensor([1.0, 2.0, 3.0]).double()) @ plane.T, mixed @ mixed.T
    small = plane.T @ b @ plane
    root = linalg.sqrtm(np.diag([1, 2**0.5, 3**0.5]) @ small.numpy() @ np.diag([1, 2**0.5, 3**0.5])).real
    wanted = 6.0 + b.trace().item() - 2 * np.trace(root)
    zero = torch.zeros(d)
    assert frechet(Moments.given(zero, a), Moments.given(zero, b)) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(("n", "d", "mean"), [(500, 10, 0.0), (40, 300, 0.0), (200, 4, 1e4)])
def test_frechet_from_itself_is_zero(n, d, mean):
    x = normal(n, d, mean=mean)
    x[:, 0] = 3.0  # a constant feature
    assert frechet(Moments.of(x), Moments.of(x)) == pytest.approx(0.0, abs=1e-8)
    assert frechet(Moments.of(x), Moments.of(x.flip(0))) == pytest.approx(0.0, abs=1e-8)
    assert frechet_of_few(x, x.flip(0)) == pytest.approx(0.0, abs=1e-8)
    constant = Moments.of(torch.ones(5, d))
    assert frechet(constant, constant) == 0.0


def test_frechet_says_what_it_cannot():
    with pytest.raises(ValueError, match="b: got 3 features, wanted 2"):
        frechet(Moments.of(normal(5, 2)), Moments.of(normal(5, 3)))
    with pytest.raises(ValueError, match="at least 2"):
        frechet(Moments.of(normal(1)), Moments.of(normal(5)))
    with pytest.raises(ValueError, match=r"x: got shape \(3,\)"):
        Moments.of(torch.zeros(3))


def test_moments_merge():
    x = normal(1000, 6, mean=50.0).float()  # sums are in float64 whatever comes
    whole = Moments.of(x)
    merged = Moments.of(x[:1]) + Moments.of(x[1:300]) + (Moments.of(x[300:700]) + Moments.of(x[700:]))
    assert merged.count == 1000
    assert (merged.mean - whole.mean).abs().max() < 1e-10
    assert (merged.covariance - whole.covariance).abs().max() < 1e-10
    assert np.allclose(whole.covariance, np.cov(x.double().numpy().T), rtol=0, atol=1e-10)


# Wasserstein


@pytest.mark.oracle("O42")
def test_w1_of_two_gaussians():
    # W1(N(0,1), N(0,4)) = E|Z| = √(2/π)
    found = wasserstein_1d(quantiles(200_000), quantiles(200_000, std=2.0)).item()
    assert found == pytest.approx(0.7978846, abs=2e-5)
    sampled = wasserstein_1d(normal(100_000, 1), normal(100_000, 1, seed=1, std=2.0)).item()
    assert sampled == pytest.approx(0.7978846, abs=0.02)


def test_w1_is_scipys_for_samples_of_two_sizes():
    x, y = normal(37, 3).round(decimals=1), normal(101, 3, seed=1, mean=0.5).round(decimals=1)
    wanted = [stats.wasserstein_distance(x[:, i], y[:, i]) for i in range(3)]
    assert wasserstein_1d(x, y).tolist() == pytest.approx(wanted, rel=1e-10)
    assert wasserstein_1d(x, x).tolist() == pytest.approx([0.0] * 3, abs=1e-14)
    with pytest.raises(ValueError, match="x, y: got shapes"):
        wasserstein_1d(x, y[:, :2])


@pytest.mark.parametrize("d", [1, 2, 5])
def test_sliced_w1_of_a_shift(d):
    # along θ a shift by v is |⟨θ, v⟩|, of mean |v| Γ(d/2) / (√π Γ((d+1)/2))
    x = normal(20, d)
    generator = torch.Generator().manual_seed(0)
    found = sliced_wasserstein(x, x + 2.0, projections=20_000, generator=generator)
    wanted = 2 * math.sqrt(d) * math.gamma(d / 2) / (math.sqrt(math.pi) * math.gamma((d + 1) / 2))
    assert found == pytest.approx(wanted, rel=0.02)


# MMD


def slow_mmd2(x, y, sigma):
    def k(a, b):
        return math.exp(-((a - b) ** 2).sum().item() / (2 * sigma**2))

    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j)
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j)
    return xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


@pytest.mark.system("S93")
@pytest.mark.parametrize("chunk", [1, 7, 1024])
def test_mmd_is_its_definition(chunk):
    x, y = normal(23, 3), normal(31, 3, seed=1, mean=0.4)
    found = mmd2(x, y, bandwidth=1.3, blocks=4, permutations=0, chunk=chunk)
    assert found.value == pytest.approx(slow_mmd2(x, y, 1.3), rel=1e-10)
    for block in range(4):
        left_x, left_y = (z[torch.arange(len(z)) % 4 != block] for z in (x, y))
        assert found.left_out[block] == pytest.approx(slow_mmd2(left_x, left_y, 1.3), rel=1e-10)


@pytest.mark.system("S93")
@pytest.mark.oracle("O42")
def test_mmd_of_two_gaussians():
    n = 3000
    x, y = quantiles(n)[:, None], quantiles(n, mean=1.0)[:, None]
    # quantiles have the law's mean kernel with the diagonal, which the unbiased form leaves out
    diagonal = 2 * (1 - 1 / math.sqrt(3)) / (n - 1)
    found = mmd2(x, y, bandwidth=1.0, permutations=0).value
    assert found + diagonal == pytest.approx(0.1772676, abs=5e-5)
    sampled = mmd2(normal(n, 1), normal(n, 1, seed=1, mean=1.0), bandwidth=1.0, permutations=0, blocks=10)
    assert abs(sampled.value - 0.1772676) < _half(list(sampled.left_out)) < 0.03


@pytest.mark.system("S93")
def test_mmd_is_unbiased_and_its_test_has_its_size():
    # equal laws: of mean 0, so negative about half of the time, and rejected at 5 % in 5 % of the trials
    found = []
    for trial in range(400):
        generator = torch.Generator().manual_seed(trial)
        x, y = torch.randn(2, 25, 2, generator=generator)
        found.append(mmd2(x, y, permutations=99, generator=generator))
    values = np.array([f.value for f in found])
    assert abs(values.mean()) < 3 * values.std() / math.sqrt(400)
    assert 0.3 < (values < 0).mean() < 0.8
    assert np.mean([f.p_value <= 0.05 for f in found]) == pytest.approx(0.05, abs=0.02)
    assert mmd2(normal(25), normal(25, seed=1, mean=3.0), permutations=99).p_value == 0.01


def test_mmd_interval_covers():
    held, generator = [], torch.Generator().manual_seed(0)
    for _ in range(1000):
        x, y = torch.randn(2, 150, 1, generator=generator)
        found = mmd2(x, y + 1.0, bandwidth=1.0, permutations=0, blocks=10)
        held.append(abs(found.value - 0.1772676) <= _half(list(found.left_out)))
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)


def test_mmd_of_constant_features():
    x = torch.ones(30, 2)
    found = mmd2(x, x)
    assert (found.value, found.p_value, found.bandwidth) == (0.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="bandwidth: got 0"):
        mmd2(x, x, bandwidth=0.0)
    with pytest.raises(ValueError, match="n, m ≥ 2"):
        mmd2(x[:1], x)


# neighbors


def slow_prdc(real, fake, k):
    def distance(a, b):
        return math.sqrt(((a - b) ** 2).sum())

    def reach(points):
        return [sorted(distance(p, q) for j, q in enumerate(points) if j != i)[k - 1] for i, p in enumerate(points)]

    reals, fakes = reach(real), reach(fake)
    precision = np.mean([any(distance(r, f) <= d for r, d in zip(real, reals, strict=True)) for f in fake])
    recall = np.mean([any(distance(r, f) <= d for f, d in zip(fake, fakes, strict=True)) for r in real])
    density = np.mean([sum(distance(r, f) <= d for r, d in zip(real, reals, strict=True)) for f in fake]) / k
    coverage = np.mean([any(distance(r, f) <= d for f in fake) for r, d in zip(real, reals, strict=True)])
    return precision, recall, density, coverage


@pytest.mark.parametrize("k", [1, 3, 5])
def test_prdc_is_its_definition(k):
    real, fake = normal(40, 3), normal(30, 3, seed=1, mean=0.8, std=0.7)
    found = prdc(real, fake, k)
    assert found == pytest.approx(slow_prdc(real.numpy(), fake.numpy(), k), abs=1e-12)
    assert 0 < found.precision < 1 or 0 < found.recall < 1


@pytest.mark.parametrize(("d", "k"), [(3, 3), (2, 1), (2, 3)])
def test_prdc_on_a_lattice_where_distances_are_equal(d, k):
    random = np.random.default_rng(0)
    real, fake = (random.integers(0, 4, (60, d)).astype(float) for _ in range(2))
    fake += d * (fake == 3)
    found = prdc(*(torch.from_numpy(z) / 255 + 1.7 for z in (real, fake)), k=k)
    assert found == pytest.approx(slow_prdc(real, fake, k), abs=1e-12)


def test_prdc_of_copies():
    x = normal(200, 3, mean=1e3)
    x[:20] = x[0]
    found = prdc(x, x)
    assert (found.precision, found.recall, found.coverage) == (1.0, 1.0, 1.0)
    repeated = normal(10, 50, mean=3.0).repeat(6, 1)  # every ball is a point
    assert prdc(repeated, repeated[torch.arange(59, -1, -3)]) == pytest.approx((1.0, 1.0, 1.2, 1.0))
    with pytest.raises(ValueError, match="k: got 5"):
        prdc(x, x[:5])


def ring(n, modes, seed):
    angle = torch.arange(n) % modes * (math.pi / 4)
    return 5 * torch.stack([angle.cos(), angle.sin()], dim=1) + normal(n, 2, seed=seed, std=0.3)


def test_missing_modes_are_seen():
    full, half = prdc(ring(800, 8, 0), ring(800, 8, 1)), prdc(ring(800, 8, 0), ring(800, 4, 1))
    assert min(full.precision, full.recall, full.coverage) > 0.9
    assert full.density == pytest.approx(1.0, abs=0.15)
    assert half.precision > 0.9
    assert max(half.recall, half.coverage) < 0.55
    collapsed = prdc(ring(800, 8, 0), ring(1, 1, 1).repeat(800, 1))
    assert collapsed.recall == 0.0
    assert collapsed.coverage < 0.1


# all of them, of a model


class Sampler(nn.Module):
    """N(mean, std²) in the units of the data; images are rounded."""

    def __init__(self, shape=(2,), mean=0.0, std=1.0, levels=None):
        super().__init__()
        self.shape, self.law, self.levels = shape, (mean, std), levels
        self.drop = nn.Dropout(0.5)

    def sample(self, n, generator=None):
        x = self.law[0] + self.law[1] * self.drop(torch.randn(n, *self.shape, generator=generator))
        return x.round().clamp(0, self.levels - 1).to(torch.uint8) if self.levels else x


def cloud(n=600, seed=0, mean=(0.0, 0.0), std=(1.0, 1.0)):
    x = normal(n, 2, seed=seed) * torch.tensor(std) + torch.tensor(mean)
    part = Split(x.float().numpy())
    return Dataset(Spec(name="cloud", kind="vector", shape=(2,), mean=mean, std=std), part, part, part)


def by_name(found):
    return {e.name: e for e in found.estimates}


def test_a_right_model_and_a_wrong_one():
    right, wrong = (by_name(evaluate(Sampler(mean=m), cloud())) for m in (0.0, 1.0))
    assert list(right) == ["Fréchet distance", "MMD²", "sliced W1", "precision", "recall", "density", "coverage"]
    assert all(wrong[name].value > right[name].value for name in ("Fréchet distance", "MMD²", "sliced W1"))
    assert all(wrong[name].value < right[name].value for name in ("precision", "recall", "density", "coverage"))
    assert wrong["Fréchet distance"].low <= 2.0 <= wrong["Fréchet distance"].high
    assert right["MMD²"].low < 0 < right["MMD²"].high
    assert right["MMD²"].method["p-value"] > 0.05
    assert wrong["MMD²"].method["p-value"] == 0.005
    assert {e.kind for e in right.values()} == {"estimate"}
    assert {(e.varies, e.n) for e in right.values()} == {("samples", 600)}
    assert all("jackknife" in e.method["interval"] for e in right.values())
    for name in ("precision", "recall", "coverage"):
        found = wrong[name]
        wilson = rate(name, round(6 * found.value), 600)
        assert found.low <= wilson.low < wilson.high <= found.high
    coverage = wrong["coverage"]  # the jackknife's, wider than Wilson's
    assert coverage.high - coverage.value == pytest.approx(coverage.value - coverage.low)
    assert right["coverage"].protocol["k"] == 5
    told = {"features": "standardized columns", "n_real": 600, "n_fake": 600, "seed": 0, "split": "test"}
    assert told.items() <= right["Fréchet distance"].protocol.items()


def test_columns_are_standardized():
    a = by_name(evaluate(Sampler(), cloud()))
    spec, wide = (7.0, 7.0), (100.0, 100.0)
    b = by_name(evaluate(Sampler(mean=7.0, std=100.0), cloud(mean=spec, std=wide)))
    for name, found in a.items():
        assert b[name].value == pytest.approx(found.value, rel=1e-3, abs=1e-5)


def test_pixels():
    x = np.random.default_rng(0).integers(0, 17, (100, 1, 4, 4)).astype(np.uint8)
    part = Split(x)
    dataset = Dataset(Spec(name="noise", kind="image", shape=(1, 4, 4), levels=17), part, part, part)

    class Black(nn.Module):
        def sample(self, n, generator=None):
            return torch.zeros(n, 1, 4, 4, dtype=torch.uint8)

    found = by_name(evaluate(Black(), dataset))
    pixels = x.reshape(100, -1) / 16
    wanted = (pixels.mean(0) ** 2).sum() + pixels.var(0, ddof=1).sum()
    assert found["Fréchet distance"].value == pytest.approx(wanted, rel=1e-10)
    assert found["Fréchet distance"].protocol["features"] == "pixels"
    assert found["coverage"].value == found["recall"].value == 0.0
    assert found["coverage"].high > 1.0  # Wilson's: none of 100 is not "none ever"


def test_samples_are_a_function_of_the_seed_and_the_model_is_still():
    a, b, other = (by_name(evaluate(Sampler(), cloud(), seed=seed)) for seed in (0, 0, 1))
    assert a == b
    assert a["sliced W1"].value != other["sliced W1"].value
    state, model = torch.random.get_rng_state(), Sampler()
    direct = by_name(sample_measures(model, Examples(cloud().test.x), cloud().spec))
    assert {name: e.value for name, e in direct.items()} == {name: e.value for name, e in a.items()}
    assert {e.n for e in sample_measures(model, Examples(cloud().test.x), cloud().spec, n=300, seed=3)} == {300}
    assert model.drop.training
    assert bool((torch.random.get_rng_state() == state).all())


def test_what_has_no_measure():
    with pytest.raises(ValueError, match=r"Sampler has nothing to measure on cloud.*sample and 20 examples"):
        evaluate(Sampler(), cloud(19))
    with pytest.raises(ValueError, match="n: got 700, wanted from 20 to the 600"):
        sample_measures(Sampler(), Examples(cloud().test.x), cloud().spec, n=700)
    tokens = SimpleNamespace(kind="tokens", shape=(8,))
    assert sample_measures(Sampler(), Examples(np.zeros((50, 8))), tokens) == []


@pytest.mark.parametrize(
    ("model", "error", "words"),
    [
        (Sampler((3,)), ValueError, r"sample: got shape \(500, 3\), wanted \(500, 2\)"),
        (Sampler(mean=math.nan), FloatingPointError, "sample: 600 of 600 samples are not finite"),
    ],
)
def test_broken_samples(model, error, words):
    with pytest.raises(error, match=words):
        evaluate(model, cloud())
