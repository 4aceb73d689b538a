"""The distribution of the codes against that of the prior: closed forms, and tests of equality."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import (
    Categorical,
    Independent,
    Laplace,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from thalweg.data import Dataset, Spec, Split
from thalweg.evaluation import evaluate
from thalweg.evaluation.estimates.estimate import differences
from thalweg.evaluation.examples import Examples
from thalweg.evaluation.groups import reference_of
from thalweg.evaluation.measures.aggregate import MEANINGS, aggregate_kl, aggregate_measures, aggregate_mmd2
from thalweg.randomness import generator

pytestmark = pytest.mark.system("S100")


def normal(size, sigma=1.0):
    return Independent(Normal(torch.zeros(size), sigma), 1)


def drawn(n, size, seed=0, shift=0.0, scale=1.0):
    return shift + scale * torch.randn(n, size, generator=generator(seed, "codes"), dtype=torch.float64)


def examples(n, seed=0):
    return Examples(np.zeros((n, 1)), seed=seed)


class Coded:
    """Its codes are the values themselves, scaled."""

    def __init__(self, scale=1.0, sigma=1.0, size=3):
        self.scale, self.prior = scale, normal(size, sigma)

    def encode(self, x):
        return self.scale * x


class Noisy(Coded):
    """A variational model: q(z|x) = N(scale · x, deviation²)."""

    def __init__(self, scale, deviation):
        super().__init__(scale)
        self.deviation = deviation

    def posterior(self, x):
        return Independent(Normal(self.scale * x, self.deviation), 1)


def dataset(n=1500, size=3):
    part = Split(np.random.default_rng(0).normal(size=(n, size)).astype(np.float32))
    return Dataset(Spec(name="normal", kind="vector", shape=(size,)), part, part, part)


@pytest.mark.parametrize(("size", "shift"), [(1, 1.0), (4, 0.5)])
def test_mmd_of_shifted_codes_is_the_closed_form(size, shift):
    findings = aggregate_mmd2(drawn(2000, size, shift=shift), normal(size), examples(2000))
    s2 = findings.method["bandwidth"] ** 2
    apart = 1 - math.exp(-size * shift**2 / (2 * (s2 + 2)))
    expected = 2 * (s2 / (s2 + 2)) ** (size / 2) * apart  # E k(x, y) of Gaussians
    assert findings.value == pytest.approx(expected, rel=0.12)
    assert findings.low < expected < findings.high
    assert findings.low > 0
    assert findings.method["p-value"] == 1 / 200


def test_kl_of_shifted_and_stretched_codes_is_the_closed_form():
    turn = torch.tensor([[1.0, 0.0], [0.8, 0.6]], dtype=torch.float64)
    mean, prior = torch.tensor([0.3, -1.0], dtype=torch.float64), normal(2, 2.0)
    codes = mean + drawn(4000, 2) @ turn.T
    distribution = MultivariateNormal(mean.float(), (turn @ turn.T).float())
    expected = float(kl_divergence(distribution, MultivariateNormal(torch.zeros(2), 4 * torch.eye(2))))
    findings = aggregate_kl(codes, prior, examples(4000))
    assert findings.value == pytest.approx(expected, rel=0.05)
    assert findings.low < expected < findings.high
    assert findings.method["of the means"] == pytest.approx((0.09 + 1) / 8, rel=0.12)
    full = MultivariateNormal(torch.zeros(2), torch.tensor([[4.0, 0.0], [0.0, 4.0]]))
    assert aggregate_kl(codes, full, examples(4000)).value == pytest.approx(findings.value)


@pytest.mark.parametrize("size", [2, 12])
def test_codes_of_the_prior_are_at_zero_however_few(size):
    """Without their bias: of 100 codes of 12 numbers it would be ½ (12/100 + 78/100) = 0.45 nats and more."""
    divergences, distances, inside = [], [], 0
    for seed in range(60):
        codes, few = drawn(100, size, seed), examples(100, seed)
        divergence = aggregate_kl(codes, normal(size), few)
        distance = aggregate_mmd2(codes, normal(size), few) if seed < 20 else None
        divergences.append(divergence.value)
        inside += divergence.low <= 0 <= divergence.high
        distances += [] if distance is None else [distance.value]
    for values in (divergences, distances):
        assert abs(np.mean(values)) < 4 * np.std(values) / math.sqrt(len(values)) + 1e-12
        assert min(values) < 0 < max(values)
    assert inside >= 50


def test_mmd_detects_codes_with_the_moments_of_the_prior_but_another_distribution():
    """Codes of the prior's mean and variance, but of another distribution: the kernel sees them, the moments do not."""
    codes = Laplace(0.0, math.sqrt(0.5))
    torch.manual_seed(0)
    z = codes.sample((2000, 1)).double()
    assert aggregate_mmd2(z, normal(1), examples(2000)).method["p-value"] < 0.02
    assert abs(aggregate_kl(z, normal(1), examples(2000)).value) < 0.01


def test_models_are_asked_for_draws_of_their_posteriors():
    """Of x ~ N(0, 1): codes x, and posteriors N(0.6 x, 0.8²), are together N(0, 1), the means 0.6 x alone are not."""
    reference = reference_of(dataset())
    for model in (Coded(), Noisy(0.6, 0.8)):
        for findings in aggregate_measures(model, reference).estimates:
            assert findings.low < 0 < findings.high, findings
    narrow = aggregate_measures(Coded(0.6), reference)
    assert narrow["aggregate KL"].value == pytest.approx(1.5 * (0.36 - 1 - math.log(0.36)), rel=0.1)
    assert narrow["aggregate MMD²"].low > 0
    assert aggregate_measures(Coded(2.0, sigma=2.0), reference)["aggregate KL"].value == pytest.approx(0, abs=0.02)
    assert {e.name for e in narrow.estimates} == set(MEANINGS)


def test_evaluate_includes_both_measures_and_is_reproducible():
    findings, again = (evaluate(Coded(1.1), dataset(300), seed=5) for _ in range(2))
    for name in MEANINGS:
        assert findings[name].better == "lower"
        assert findings[name].varies == "test examples"
        assert findings[name].value == again[name].value
    assert findings["aggregate MMD²"].protocol["kernel"] == "Gaussian, of the median distance of the prior"


@pytest.mark.parametrize("measure", [aggregate_kl, aggregate_mmd2])
def test_codes_of_another_length_share_no_row(measure):
    """The kernel is as wide as draws of the prior are apart, which grows with the length; the KL is a sum over it."""
    short, long = (measure(drawn(40, size), normal(size), examples(40)) for size in (2, 3))
    assert differences(short, long) == ["latent dimensions"]


def test_missing_measures_have_reasons_and_invalid_arguments_are_refused():
    reference = reference_of(dataset(30))
    wide = aggregate_measures(Coded(size=2), reference)
    assert [m.reason for m in wide.missing] == ["prior: got events of shape (2,), wanted (3,) as codes"] * 2
    with pytest.raises(ValueError, match="got 30, wanted more of them for a covariance of 40 numbers"):
        aggregate_kl(drawn(30, 40), normal(40), examples(30))
    with pytest.raises(ValueError, match="got 5, wanted at least 20"):
        aggregate_mmd2(drawn(5, 2), normal(2), examples(5))
    two = MixtureSameFamily(Categorical(torch.ones(2)), Independent(Normal(torch.zeros(2, 2), 1.0), 1))
    with pytest.raises(ValueError, match="prior: got MixtureSameFamily, wanted one with a known covariance"):
        aggregate_kl(drawn(30, 2), two, examples(30))
