"""The Fréchet distance against closed forms, the matrix root and torchmetrics; its stream, and its limit."""

import math
import weakref
from functools import reduce
from operator import add

import numpy as np
import pytest
import torch
from scipy import linalg

from thalweg.data import Spec
from thalweg.evaluation import Moments, Reference, draws, frechet, raw_features
from thalweg.evaluation.draws import BLOCKS, Draws, draws_of, streamed
from thalweg.evaluation.examples import Examples
from thalweg.evaluation.measures import frechet as frechet_distance
from thalweg.evaluation.measures.frechet import frechet_measures
from thalweg.evaluation.statistics.moments import _trace_of_root, frechet_of_few

PLAIN = raw_features(Spec(name="plain", kind="vector", shape=(2,)))


def normal(n, d=2, seed=0, mean=0.0, std=1.0):
    return mean + std * torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# the distance


def test_of_two_gaussians():
    a = Moments.known(torch.tensor([1.0, 2.0]), torch.diag(torch.tensor([4.0, 9.0])))
    b = Moments.known(torch.tensor([0.0, 4.0]), torch.diag(torch.tensor([1.0, 25.0])))
    assert frechet(a, b) == pytest.approx(1 + 4 + (2 - 1) ** 2 + (3 - 5) ** 2, rel=1e-12)
    turn = torch.linalg.qr(normal(2)).Q.float().double()
    turned = [Moments.known(turn @ m.mean, turn @ m.covariance @ turn.T) for m in (a, b)]
    assert frechet(*turned) == pytest.approx(frechet(a, b), rel=1e-6)


@pytest.mark.parametrize("d", [1, 3, 30])
def test_is_that_of_the_matrix_root(d):
    x, y = normal(100, d) @ normal(d, d, seed=1), normal(80, d, seed=2, mean=0.3) @ normal(d, d, seed=3)
    covariances = [np.cov(z.numpy().T).reshape(d, d) for z in (x, y)]
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    wanted = ((x.mean(0) - y.mean(0)) ** 2).sum().item() + np.trace(sum(covariances) - 2 * root)
    assert frechet(Moments.of(x), Moments.of(y)) == pytest.approx(wanted, rel=1e-6)


def test_is_torchmetrics():
    from torchmetrics.image.fid import _compute_fid

    x, y = normal(500, 40) @ normal(40, 40, seed=1), normal(400, 40, seed=2, mean=0.1) @ normal(40, 40, seed=3)
    a, b = Moments.of(x), Moments.of(y)
    wanted = _compute_fid(a.mean, torch.cov(x.T), b.mean, torch.cov(y.T)).item()
    assert frechet(a, b) == pytest.approx(wanted, rel=1e-4)


def test_with_fewer_examples_than_features():
    x, y = normal(12, 3), normal(15, 3, seed=1, mean=1.0, std=2.0)
    plane = torch.linalg.qr(normal(400, 3, seed=2)).Q.T
    wanted = frechet(Moments.of(x), Moments.of(y))
    assert frechet(Moments.of(x @ plane), Moments.of(y @ plane)) == pytest.approx(wanted, rel=1e-10)
    assert frechet_of_few(x @ plane, y @ plane) == pytest.approx(wanted, rel=1e-10)
    assert frechet_of_few(x, y) == pytest.approx(wanted, rel=1e-12)


def test_of_a_plane_and_a_full_distribution():
    # the root's trace has as many terms as the plane has directions; rounding must not add those it has not
    d, plane = 300, torch.linalg.qr(normal(300, 3, seed=2)).Q
    mixed = normal(d, d, seed=3)
    a, b = plane @ torch.diag(torch.tensor([1.0, 2.0, 3.0]).double()) @ plane.T, mixed @ mixed.T
    small = plane.T @ b @ plane
    root = linalg.sqrtm(np.diag([1, 2**0.5, 3**0.5]) @ small.numpy() @ np.diag([1, 2**0.5, 3**0.5])).real
    wanted = 6.0 + b.trace().item() - 2 * np.trace(root)
    zero = torch.zeros(d)
    for pair in ((a, b), (b, a)):
        assert frechet(*(Moments.known(zero, c) for c in pair)) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("decay", [0.0, 3.0, 12.0, 40.0])
def test_where_a_covariance_is_nearly_singular(decay):
    # of covariances with the same axes it is Σ (s − t)², whichever of the two ways is taken
    d = 60
    s = torch.exp(-torch.linspace(0, decay, d, dtype=torch.float64))
    t = s * torch.linspace(0.5, 1.5, d, dtype=torch.float64)
    turn = torch.linalg.qr(normal(d, d)).Q
    a, b = ((turn * z.square()) @ turn.T for z in (s, t))
    findings = frechet(Moments.known(torch.zeros(d), a), Moments.known(torch.zeros(d), b))
    assert findings == pytest.approx((s - t).square().sum().item(), rel=1e-9)
    quick = _trace_of_root(a, b, 1e-9 * float(a.trace() + b.trace()))
    assert (quick is None) == (decay > 5)  # only where it is known to be exact
    assert quick is None or quick == pytest.approx((s * t).sum().item(), rel=1e-9)


@pytest.mark.parametrize(("n", "d", "mean"), [(500, 10, 0.0), (40, 300, 0.0), (200, 4, 1e4)])
def test_from_itself_is_zero(n, d, mean):
    x = normal(n, d, mean=mean)
    for constant in (False, True):
        x[:, 0] = 3.0 if constant else x[:, 0]
        assert frechet(Moments.of(x), Moments.of(x)) == pytest.approx(0.0, abs=1e-8)
        assert frechet(Moments.of(x), Moments.of(x.flip(0))) == pytest.approx(0.0, abs=1e-8)
        assert frechet_of_few(x, x.flip(0)) == pytest.approx(0.0, abs=1e-8)
    constant = Moments.of(torch.ones(5, d))
    assert frechet(constant, constant) == 0.0
    assert frechet(constant, Moments.of(torch.zeros(5, d))) == d


def test_invalid_arguments_are_refused():
    with pytest.raises(ValueError, match="b: got 3 features, wanted 2"):
        frechet(Moments.of(normal(5, 2)), Moments.of(normal(5, 3)))
    with pytest.raises(ValueError, match="at least 2"):
        frechet(Moments.of(normal(1)), Moments.of(normal(5)))
    with pytest.raises(ValueError, match=r"x: got shape \(3,\)"):
        Moments.of(torch.zeros(3))


# the stream


def test_moments_merge():
    x = normal(1000, 6, mean=50.0).float()  # sums are in float64 whatever comes
    whole = Moments.of(x)
    merged = Moments.of(x[:1]) + Moments.of(x[1:300]) + (Moments.of(x[300:700]) + Moments.of(x[700:]))
    rest = whole - Moments.of(x[:300])
    for findings, wanted in ((merged, whole), (rest, Moments.of(x[300:]))):
        assert findings.count == wanted.count
        assert (findings.mean - wanted.mean).abs().max() < 1e-10
        assert (findings.covariance - wanted.covariance).abs().max() < 1e-10
    assert np.allclose(whole.covariance, np.cov(x.double().numpy().T), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("count", "size"), [(100, 100), (103, 7), (97, 50), (20, 1)])
def test_moments_of_batches_are_those_of_all_examples(count, size):
    x = normal(count, 3, mean=10.0)
    findings = streamed(x.split(size), count, PLAIN, fewest=count, name="sample", kept=30)
    edges = [math.ceil(b * count / BLOCKS) for b in range(BLOCKS + 1)]
    assert [m.count for m in findings.moments] == np.diff(edges).tolist()
    for b, moments in enumerate(findings.moments):
        wanted = Moments.of(x[edges[b] : edges[b + 1]])
        assert (moments.mean - wanted.mean).abs().max() < 1e-10
        assert (moments.scatter - wanted.scatter).abs().max() < 1e-10
    assert torch.equal(findings.features, x[:30])
    assert torch.equal(findings.raw, x[:30])
    halves = [streamed(half.split(size), len(half), PLAIN, fewest=9, name="sample") for half in x.split(count // 2)]
    merged = reduce(add, (moments for half in halves for moments in half.moments))
    assert (merged.covariance - Moments.of(x).covariance).abs().max() < 1e-10


def test_a_stream_keeps_no_batches_in_memory():
    alive, most, result = [], [], 200

    def batches():
        for i in range(result):
            batch = np.random.default_rng(i).standard_normal((50, 3))
            alive.append(weakref.ref(batch))
            yield torch.from_numpy(batch)
            del batch
            most.append(sum(ref() is not None for ref in alive))

    findings = streamed(batches(), 50 * result, PLAIN, fewest=1000, name="sample", kept=100)
    assert len(most) == result
    assert max(most) <= 2
    assert sum(m.count for m in findings.moments) == 50 * result
    assert findings.features.untyped_storage().nbytes() == 100 * 3 * 8
    assert findings.raw.untyped_storage().nbytes() == 100 * 3 * 8


def test_samples_of_a_model_are_not_kept_in_memory():
    alive, most = [], []

    class Model:
        def sample(self, n, generator=None):
            most.append(sum(ref() is not None for ref in alive))
            batch = np.random.default_rng(generator.initial_seed()).standard_normal((n, 2))
            alive.append(weakref.ref(batch))
            return torch.from_numpy(batch)

    spec = Spec(name="plain", kind="vector", shape=(2,))
    test = Examples(normal(300).numpy(), protocol={"split": "test"}, batch_size=100)
    reference = Reference(spec=spec, test=test, features=PLAIN, samples=20_000)
    result = draws_of(Model(), reference)
    assert len(most) == 200
    assert max(most) <= 2
    findings = frechet_measures(result)["Fréchet distance"]
    assert (findings.n, findings.protocol["n_real"], findings.protocol["n_fake"]) == (20_000, 300, 20_000)
    assert len(result.fake.features) == 5_000


# its interval and its limit


def draws_from(x, y):
    """Draws of features that are given."""
    test = Examples(x.numpy(), protocol={"split": "test"})
    spec = Spec(name="plain", kind="vector", shape=x.shape[1:])
    fewest = min(len(x), len(y))
    streams = [streamed([z], len(z), PLAIN, fewest=fewest, name="sample") for z in (x, y)]
    return Draws(*streams, Reference(spec=spec, test=test, features=PLAIN))


def test_the_interval_is_the_jackknifes():
    x, y = normal(203, 3), normal(118, 3, seed=1, mean=0.5, std=1.3)
    findings = frechet_measures(draws_from(x, y))
    left_out = []
    for b in range(BLOCKS):
        edges = [[math.ceil(e * len(z) / BLOCKS) for e in (b, b + 1)] for z in (x, y)]
        rest = [torch.cat([z[: e[0]], z[e[1] :]]) for z, e in zip((x, y), edges, strict=True)]
        left_out.append(frechet(*(Moments.of(z) for z in rest)))
    whole = frechet(Moments.of(x), Moments.of(y))
    distance, limit = findings["Fréchet distance"], findings["Fréchet distance (n→∞)"]
    assert distance.value == pytest.approx(whole, rel=1e-10)
    spread = 2.262157 * math.sqrt((BLOCKS - 1) * np.var(left_out))
    assert distance.high - distance.value == pytest.approx(spread, rel=1e-5)
    # the line through (1/n, whole) and (10/9n, mean of left out) at 0
    slope = (np.mean(left_out) - whole) / (10 / 9 - 1)
    assert limit.value == pytest.approx(whole - slope, rel=1e-8)
    assert limit.high - limit.value == pytest.approx(spread, rel=1e-5)
    assert limit.value < distance.value


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_the_limit_is_unbiased_and_its_interval_covers(shift):
    # N(0, I) and N(shift, 1.1² I) or N(0, I): the distance of the distributions is d (shift² + (std − 1)²)
    d, n, std = 8, 150, 1.1 if shift else 1.0
    true, covered, values, biased = d * (shift**2 + (std - 1) ** 2), [], [], []
    for trial in range(300):
        x, y = normal(n, d, seed=2 * trial), normal(n, d, seed=2 * trial + 1, mean=shift, std=std)
        findings = frechet_measures(draws_from(x, y))
        limit = findings["Fréchet distance (n→∞)"]
        covered.append(limit.low <= true <= limit.high)
        values.append(limit.value)
        biased.append(findings["Fréchet distance"].value)
    error = np.std(values) / math.sqrt(len(values))
    assert np.mean(values) == pytest.approx(true, abs=3 * error + 0.002)
    assert np.mean(biased) > true + 10 * error  # what is taken out
    # where the distributions are one, the first-order term is 0 and the jackknife is too wide; never too narrow
    assert np.mean(covered) >= 0.92
    assert shift == 0.0 or np.mean(covered) <= 0.98


def test_few_examples_have_no_limit():
    x, y = normal(60, 60), normal(60, 60, seed=1)
    findings = frechet_measures(draws_from(x, y))
    assert findings["Fréchet distance"].value == pytest.approx(frechet_of_few(x, y), rel=1e-10)
    assert [m.name for m in findings.missing] == ["Fréchet distance (n→∞)"]
    assert "got 60 examples of 60 features, wanted at least 67" in findings.missing[0].reason
    assert not frechet_measures(draws_from(normal(67, 60), normal(67, 60, seed=1))).missing


def test_very_many_features_are_not_squared(monkeypatch):
    for room in (draws, frechet_distance):
        monkeypatch.setattr(room, "MAX_FEATURES", 20)
    monkeypatch.setattr(frechet_distance, "FEW", 22)
    x, y = normal(60, 21), normal(60, 21, seed=1)
    result = draws_from(x, y)
    assert result.real.moments == result.fake.moments == ()
    findings = frechet_measures(result)
    wanted = frechet(Moments.of(x[:22]), Moments.of(y[:22]))
    assert findings["Fréchet distance"].value == pytest.approx(wanted, rel=1e-10)
    assert findings["Fréchet distance"].protocol["n_real"] == findings["Fréchet distance"].n == 22
    assert findings.missing[0].reason == "got 21 features, wanted at most 20 to take the moments of"


def test_constant_features_are_at_distance_zero():
    findings = frechet_measures(draws_from(torch.ones(50, 3), torch.ones(50, 3)))
    assert [(e.value, e.low, e.high) for e in findings] == [(0.0, 0.0, 0.0)] * 2
