"""Modes of known mixtures: which are found, and how many samples are near one."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats

from thalweg.data import Dataset, Spec, Split
from thalweg.data.toy import density
from thalweg.evaluation import sample_measures
from thalweg.evaluation.groups import reference_of
from thalweg.evaluation.measures.modes import nearest_mode


class Drawn:
    """Samples that were drawn before."""

    def __init__(self, x):
        self.x = torch.from_numpy(x)

    def sample(self, n, generator=None):
        return self.x[:n]


def measured(x, distribution):
    test = Split(distribution.sample(len(x), seed=1))
    spec = Spec(name=distribution.name, kind="vector", shape=(distribution.dim,))
    dataset = Dataset(spec, Split(distribution.sample(200, seed=2)), test, test, distribution)
    return sample_measures(Drawn(x), reference_of(dataset))


def test_samples_of_the_true_distribution_cover_all_modes():
    distribution = density("eight-gaussians")
    findings = measured(distribution.sample(400), distribution)
    assert str(findings["modes found"]) == "8 of 8 modes"
    good = findings["good samples"]
    assert good.low <= 100 * stats.chi2.cdf(9, 2) <= good.high
    assert good.method["of the truth itself, %"] == pytest.approx(98.89, abs=0.01)
    assert (good.n, good.varies, good.protocol["radius"]) == (400, "samples", "3 standard deviations of the mode")
    assert "features" not in good.protocol


def test_lost_modes_and_bad_samples_are_counted():
    distribution = density("eight-gaussians")
    means = np.array(distribution.means, dtype=np.float32)
    x = np.concatenate([means[np.arange(100) % 5], np.zeros((20, 2), dtype=np.float32)])
    x[0] = means[7] + [0.0, 0.89]  # a single one, within 3 · 0.3
    x[1] = means[6] + [0.0, 0.91]
    findings = measured(x, distribution)
    modes, good = findings["modes found"], findings["good samples"]
    assert (modes.value, modes.unit, modes.better) == (6.0, "of 8 modes", "higher")
    assert modes.low < 6 <= modes.high <= 8  # the single one might be missed
    assert good.value == pytest.approx(100 * 99 / 120)
    assert good.better == "higher"


def test_a_single_mode_has_good_samples_and_low_recall():
    distribution = density("grid-gaussians")
    x = (np.random.default_rng(0).standard_normal((300, 2)) * 0.15).astype(np.float32)
    findings, truth = measured(x, distribution), measured(distribution.sample(300), distribution)
    assert str(findings["modes found"]) == "1 of 25 modes"
    assert str(truth["modes found"]) == "25 of 25 modes"
    assert findings["good samples"].value > 97
    for name in ("recall", "coverage"):
        assert truth[name].beats(findings[name])


def test_the_nearest_mode_is_in_its_own_deviations():
    distribution = SimpleNamespace(means=[[0.0], [4.0]], stds=[0.5, 2.0])
    mode, apart = nearest_mode(torch.tensor([[1.0], [-1.0], [4.5]]), distribution)
    assert mode.tolist() == [1, 0, 1]
    assert apart.tolist() == [1.5, 2.0, 0.25]
    with pytest.raises(ValueError, match=r"x: got shape \(2, 3\), wanted \(n, 1\) as the modes"):
        nearest_mode(torch.zeros(2, 3), distribution)


def test_other_distributions_have_no_modes():
    distribution = density("moons")
    assert not [e for e in measured(distribution.sample(100), distribution) if "modes" in e.name or "good" in e.name]
