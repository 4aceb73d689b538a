"""Measures of codes against scikit-learn on the features themselves, and codes whose variances are known."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from torch.distributions import Independent, Normal

from thalweg.config import DataConfig
from thalweg.data import Dataset, Spec, Split, class_target, load
from thalweg.evaluation.estimates.intervals import rate
from thalweg.evaluation.examples import Examples
from thalweg.evaluation.groups import reference_of
from thalweg.evaluation.measures.latents import MEANINGS, active_units, latent_measures


class Identity:
    """Its codes are the values themselves."""

    def encode(self, x):
        return x.float()


class Scaled(Identity):
    """Codes on the scale of a prior."""

    def __init__(self, scale):
        self.scale = torch.as_tensor(scale)

    @property
    def prior(self):
        return Independent(Normal(torch.zeros(4), torch.ones(4)), 1)

    def encode(self, x):
        return x.float() * self.scale


def test_probes_are_those_of_scikit_learn_on_digits():
    digits = load(DataConfig(source="digits"))
    findings = latent_measures(Identity(), reference_of(digits))
    train, test = (split.x.reshape(len(split), -1).astype(np.float64) for split in (digits.train, digits.test))
    scaler = StandardScaler().fit(train)
    probe = LogisticRegression(max_iter=500).fit(scaler.transform(train), digits.train.y)
    nearest = KNeighborsClassifier(5).fit(train, digits.train.y)
    for name, predicted in (
        ("linear-probe accuracy", probe.predict(scaler.transform(test))),
        ("kNN accuracy", nearest.predict(test)),
    ):
        wanted = rate(name, int((predicted == digits.test.y).sum()), len(test))
        assert (findings[name].value, findings[name].low, findings[name].high) == (
            wanted.value,
            wanted.low,
            wanted.high,
        )
        assert findings[name].value > 90
        assert findings[name].protocol["fitted on"] == len(train)
    assert findings["linear-probe accuracy"].method["converged"]
    assert set(MEANINGS) == {
        "active units",
        *(e.name for e in findings.estimates),
    }  # no prior, no scale: no active units


def labeled(n, seed=0, test=None):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, 4)).astype(np.float32), rng.integers(0, 2, n)
    x[:, 0] += 4 * y
    part = Split(x, y)
    return Dataset(
        Spec(name="two", kind="vector", shape=(4,), target=class_target(("a", "b"))), part, part, test or part
    )


def test_a_probe_is_fitted_on_at_most_5000_examples_and_evaluated_on_others():
    rng = np.random.default_rng(9)
    y = rng.integers(0, 2, 300)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    x[:, 0] += 4 * (1 - y)  # the test examples have the labels the other way round
    findings = latent_measures(Identity(), reference_of(labeled(6000, test=Split(x, y))))
    for name in ("linear-probe accuracy", "kNN accuracy"):
        assert findings[name].protocol["fitted on"] == 5000
        assert findings[name].value < 10
        assert findings[name].n == 300


def test_codes_of_any_scale_are_standardized_for_the_line_only():
    dataset = labeled(400)
    plain, stretched = (latent_measures(Scaled(s), reference_of(dataset)) for s in ([1.0] * 4, [1e-3, 1, 1, 1]))
    assert plain["linear-probe accuracy"].value == pytest.approx(stretched["linear-probe accuracy"].value, abs=0.6)
    assert plain["kNN accuracy"].value > stretched["kNN accuracy"].value + 10


def test_active_units_are_those_whose_mean_varies():
    dataset = labeled(2000, test=Split(np.random.default_rng(1).normal(size=(2000, 4)).astype(np.float32)))
    findings = latent_measures(Scaled([1.0, 0.2, 0.05, 0.0]), reference_of(dataset))
    units = findings["active units"]  # variances 1, .04, .0025 and 0
    assert (units.value, units.low, units.high) == (2, 2, 2)
    assert units.method["of"] == 4
    np.testing.assert_allclose(findings.tables["latents"]["variances"], [1, 0.04, 0.0025, 0], rtol=0.1)
    assert [e.name for e in findings.estimates] == ["active units"]  # without labels no probe


@pytest.mark.parametrize("distribution", ["normal", "laplace"])
def test_the_interval_of_active_units_covers_the_number_of_the_distribution(distribution):
    """Ten units of variances on both sides of the threshold: in at least 95 of 100 repeats; never wide for nothing."""
    deviations = np.sqrt(0.01 * np.array([0.2, 0.5, 0.8, 0.9, 0.97, 1.03, 1.1, 1.3, 2.0, 5.0]))
    inside, width = 0, 0.0
    for repeat in range(200):
        rng = np.random.default_rng(repeat)
        draws = rng.normal(size=(500, 10)) if distribution == "normal" else rng.laplace(size=(500, 10)) / np.sqrt(2)
        findings = active_units(draws * deviations, Examples(draws))
        inside += findings.low <= 5 <= findings.high
        variance, fourth = (stats.moment(draws * deviations, k) for k in (2, 4))
        half = stats.norm.isf(0.05 / 10 / 2) * np.sqrt((fourth - variance**2) / 500)
        assert findings.low == (variance - half > 0.01).sum()
        assert findings.high == (variance + half > 0.01).sum()
        width += (findings.high - findings.low) / 200
    assert inside >= 190
    assert 2 < width < 8


def test_missing_measures_have_a_reason_of_one_line():
    dataset = labeled(50)
    alone = Dataset(dataset.spec, *[Split(dataset.train.x, np.zeros(50, dtype=np.int64))] * 3)
    findings = latent_measures(Identity(), reference_of(alone))
    assert not findings.estimates
    assert [(m.name, m.reason) for m in findings.missing] == [
        ("linear-probe accuracy", "labels: got one class, wanted at least two to tell apart by the codes")
    ]

    class Broken(Identity):
        def encode(self, x):
            return x / 0

    with pytest.raises(FloatingPointError, match="the codes of 50 of 50 examples are not finite"):
        latent_measures(Broken(), reference_of(dataset))
    one = reference_of(Dataset(dataset.spec, dataset.train, dataset.train, Split(dataset.train.x[:1])))
    assert "wanted at least 2" in latent_measures(Scaled([1.0] * 4), one).missing[0].reason
