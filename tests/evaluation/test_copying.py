"""Data copying: the nearest training example, the rank test and its level, and copies that must be detected."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from thalweg.config import DataConfig
from thalweg.data import Dataset, Spec, Split, load
from thalweg.evaluation import raw_features, sample_measures
from thalweg.evaluation.examples import Examples
from thalweg.evaluation.groups import reference_of
from thalweg.evaluation.measures.copying import FLAG, _copied, closeness, nearest
from thalweg.evaluation.reference import Features

ITSELF = Features("itself", lambda x: x.flatten(1))


def normal(n, d=2, seed=0, mean=0.0, std=1.0):
    return mean + std * torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# the nearest training example


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (1e6, 1.0), (0.0, 1e-12), (0.0, 1e25)])
@pytest.mark.parametrize("batch_size", [7, 500])
def test_the_nearest_is_among_all(mean, std, batch_size):
    x, seen = normal(50, 5, mean=mean, std=std), normal(301, 5, seed=1, mean=mean, std=std)
    findings = nearest(x, Examples(seen.numpy(), batch_size=batch_size), ITSELF)
    apart = (x[:, None] - seen).square().sum(dim=2).sqrt()
    wanted = apart.min(dim=1)
    assert torch.equal(findings.row, wanted.indices)
    assert findings.apart.numpy() == pytest.approx(wanted.values.numpy(), rel=1e-12)


def test_copies_are_at_zero_and_near_copies_at_their_distance():
    seen = normal(2000, 100, mean=3.0, std=2.0)
    x = seen[::20].clone()
    assert nearest(x, Examples(seen.numpy()), ITSELF).apart.max() == 0.0
    x[:, 3] += 1e-9  # far below what float32 sees at this size
    # a batch of nearly as near ones comes first: what float32 cannot tell is measured again
    seen = torch.cat([x + 1e-4, normal(400, 100, mean=3.0, seed=1), seen])
    findings = nearest(x, Examples(seen.numpy()), ITSELF)
    assert findings.row.tolist() == list(range(500, 2500, 20))
    assert findings.apart.numpy() == pytest.approx(np.full(100, 1e-9), rel=1e-5)
    constant = np.ones((30, 2))
    assert nearest(torch.ones(3, 2), Examples(constant), ITSELF).apart.tolist() == [0.0] * 3


# the test


@pytest.mark.parametrize("ties", [False, True])
def test_closeness_is_mann_and_whitneys(ties):
    random = np.random.default_rng(0)
    a, b = random.random(40), random.random(25) + 0.4
    if ties:
        a, b = a.round(1), b.round(1)
    less = stats.mannwhitneyu(a, b, alternative="less", method="asymptotic", use_continuity=False).pvalue
    assert stats.norm.cdf(closeness(a, b)) == pytest.approx(less, rel=1e-9)
    assert closeness(a, b) < 0 < closeness(b, a)  # a is nearer
    assert closeness(np.ones(5), np.ones(7)) == 0.0


def test_closeness_is_standard_normal_for_equal_distributions():
    random = np.random.default_rng(1)
    findings = [closeness(*random.random((2, 60))) for _ in range(2000)]
    assert np.mean(findings) == pytest.approx(0.0, abs=0.07)
    assert np.std(findings) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("levels", [None, 10])
def test_the_test_for_copied_samples_has_its_level(levels):
    random = np.random.default_rng(2)
    values, shares = [], []
    for _ in range(2000):
        a, b = random.random(300), random.random(50)
        if levels:
            a, b = np.floor(a * levels) + 1, np.floor(b * levels) + 1
        findings = _copied(a, b, {"varies": "samples", "n": 300})
        values.append(findings.method["p-value"])
        shares.append(findings.value - findings.method["of the held-out examples, %"])
    assert np.mean(np.array(values) <= 0.05) <= 0.06
    assert np.mean(shares) == pytest.approx(0.0, abs=0.8)
    clear = _copied(np.zeros(100), random.random(200), {"varies": "samples", "n": 100})
    assert (clear.value, clear.method["flag"]) == (100.0, FLAG)
    assert clear.method["p-value"] < 1e-9
    none = _copied(random.random(100) + 1, random.random(200), {"varies": "samples", "n": 100})
    assert (none.value, none.method["p-value"]) == (0.0, 1.0)
    assert "flag" not in none.method


# cheats


class Replay(nn.Module):
    """Gives back examples that it was given, in random order, without repeating one before all were given."""

    def __init__(self, x, noise=0.0):
        super().__init__()
        self.x, self.noise = torch.from_numpy(np.ascontiguousarray(x)), noise

    def sample(self, n, generator=None):
        order = torch.cat([torch.randperm(len(self.x), generator=generator) for _ in range(-(-n // len(self.x)))])
        x = self.x[order[:n]]
        return x + self.noise * torch.randn(x.shape, generator=generator) if self.noise else x


@pytest.fixture(scope="module")
def digits():
    """A third each to learn from, to test on, and for a model that is as good as the data themselves."""
    whole = load(DataConfig(source="digits"))
    x, y = (np.concatenate([getattr(whole.split(s), a) for s in ("train", "validation", "test")]) for a in "xy")
    order = np.random.default_rng(0).permutation(len(x))
    parts = [Split(x[rows], y[rows]) for rows in np.array_split(order, 3)]
    return Dataset(whole.spec, *parts)


@pytest.fixture(scope="module")
def measured(digits):
    reference, x = reference_of(digits), digits.train.x.astype(np.float32)
    models = {
        "copies": Replay(digits.train.x),
        "near copies": Replay(x, noise=0.5),
        "held out": Replay(digits.validation.x),
        "noise": Replay(np.random.default_rng(0).integers(0, 17, digits.train.x.shape).astype(np.uint8)),
        "half": Replay(digits.validation.x[digits.validation.y < 5]),
    }
    return {name: sample_measures(model, reference) for name, model in models.items()}


def test_copies_pass_the_frechet_distance_and_fail_the_copying_test(measured):
    copies, real = measured["copies"], measured["held out"]
    name = "Fréchet distance (n→∞)"
    assert copies[name].low <= 0 <= copies[name].high  # as good as can be
    assert not real["Fréchet distance"].beats(copies["Fréchet distance"])
    assert copies["data copying"].value < -20
    assert copies["copied samples"].value == 100.0
    for measure in ("data copying", "copied samples"):
        assert copies[measure].method["flag"] == FLAG
        assert real[measure].beats(copies[measure])
    assert copies["data copying"].method["C_T"] < -5
    assert copies["data copying"].method["cells"] > 3


def test_a_model_that_copies_everything_has_an_interval(measured):
    """The jackknife has no width there. None of n pairs can be as little as Wilson's z²/(n + z²) of them."""
    findings = measured["copies"]["data copying"]
    n = findings.n
    spread = -0.5 / findings.value  # of a share of 0
    wanted = (1.959963984540054**2 / (n + 1.959963984540054**2) - 0.5) / spread
    assert (findings.low, findings.high) == (pytest.approx(findings.value), pytest.approx(wanted))
    assert findings.value < findings.high < -20


def test_near_copies_are_detected(measured):
    findings = measured["near copies"]
    assert findings["data copying"].method["flag"] == findings["copied samples"].method["flag"] == FLAG


def test_held_out_data_are_no_copies(measured):
    findings = measured["held out"]
    copying, copied = findings["data copying"], findings["copied samples"]
    assert copying.low <= -1e-9
    assert "flag" not in copying.method
    assert "flag" not in copied.method
    assert abs(copying.method["Z"]) < 3
    assert abs(copying.method["C_T"]) < 1.5
    assert copied.low <= 1.0 <= copied.high
    assert copying.protocol["training"] == 599


def test_bad_samples_are_no_copies_and_no_better_than_good_ones(measured):
    findings = measured["noise"]["data copying"]
    assert (findings.value, findings.low, findings.high) == (0.0, 0.0, 0.0)
    assert findings.method["Z"] > 20
    assert not findings.beats(measured["held out"]["data copying"])
    assert measured["noise"]["copied samples"].value == 0.0
    assert measured["noise"]["C2ST accuracy"].value > 99


def test_half_of_the_classes_missing_is_detected(measured):
    half, real = measured["half"], measured["held out"]
    for name in ("recall", "coverage"):
        assert half[name].value < real[name].value - 25
        assert real[name].beats(half[name])
    assert half["precision"].value > 85
    assert "flag" not in half["data copying"].method


def test_pictures_of_the_nearest_training_examples(measured, digits):
    nearest = measured["copies"].figure("nearest")
    assert (nearest.values.shape, nearest.layout) == ((8, 2, 1, 8, 8), "pairs")
    assert (nearest.values[:, 0] == nearest.values[:, 1]).all()
    assert measured["copies"].figure("samples").values.shape == (64, 1, 8, 8)
    apart = np.abs(measured["held out"].figure("nearest").values.astype(float)).reshape(8, 2, -1)
    lengths = np.linalg.norm(np.diff(apart, axis=1)[:, 0], axis=1)
    assert (np.diff(lengths) >= 0).all()
    assert lengths[0] > 0
    known = {image.tobytes() for image in digits.train.x}
    assert all(image.tobytes() in known for image in measured["held out"].figure("nearest").values[:, 1])


def test_copying_is_not_measured_against_training_examples_themselves():
    part = Split(normal(100).float().numpy())
    dataset = Dataset(Spec(name="cloud", kind="vector", shape=(2,)), part, part, part)
    findings = sample_measures(Replay(part.x), reference_of(dataset, split="train"))
    reasons = {m.name: m.reason for m in findings.missing}
    assert set(reasons) == {"data copying", "copied samples"}
    assert "got the training examples" in reasons["data copying"]
    without = reference_of(Dataset(dataset.spec, Split(part.x[:0]), part, part))
    findings = sample_measures(Replay(part.x), without)
    assert not [e for e in findings if "cop" in e.name]
    assert not findings.missing
    assert raw_features(dataset.spec).name == "columns"
