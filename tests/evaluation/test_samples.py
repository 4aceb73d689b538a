"""All measures of samples of a model: correct and wrong models, protocols, seeds, and errors."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from thalweg.config import DataConfig
from thalweg.data import Dataset, Spec, Split, load
from thalweg.evaluation import evaluate, frechet, mmd2, prdc, rate, sample_measures
from thalweg.evaluation.draws import drawn
from thalweg.evaluation.groups import reference_of
from thalweg.evaluation.measures.samples import MEANINGS, MEASURES
from thalweg.evaluation.measures.transport import wasserstein
from thalweg.evaluation.reference import Features
from thalweg.evaluation.statistics.moments import Moments

ALWAYS = [
    "Fréchet distance",
    "Fréchet distance (n→∞)",
    "KID",
    "MMD²",
    "W1",
    "sliced W1",
    "precision",
    "recall",
    "density",
    "coverage",
    "C2ST accuracy",
    "data copying",
    "copied samples",
]
NEAR = ALWAYS[:6]


def normal(n, d=2, seed=0, mean=0.0, std=1.0):
    return mean + std * torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


class Sampler(nn.Module):
    """N(mean, std²) in the units of the data; images are rounded."""

    def __init__(self, shape=(2,), mean=0.0, std=1.0, levels=None):
        super().__init__()
        self.shape, self.distribution, self.levels = shape, (mean, std), levels
        self.drop = nn.Dropout(0.5)

    def sample(self, n, generator=None):
        x = self.distribution[0] + self.distribution[1] * self.drop(torch.randn(n, *self.shape, generator=generator))
        return x.round().clamp(0, self.levels - 1).to(torch.uint8) if self.levels else x


def cloud(n=600, seed=0, mean=(0.0, 0.0), std=(1.0, 1.0)):
    parts = [normal(n, 2, seed=seed + i) * torch.tensor(std) + torch.tensor(mean) for i in range(3)]
    train, validation, test = (Split(x.float().numpy()) for x in parts)
    return Dataset(Spec(name="cloud", kind="vector", shape=(2,), mean=mean, std=std), train, validation, test)


def measured(model, dataset, **settings):
    return sample_measures(model, reference_of(dataset, **settings))


# right and wrong


def test_a_correct_model_is_better_than_a_shifted_one():
    right, wrong = (measured(Sampler(mean=m), cloud()) for m in (0.0, 1.0))
    assert [e.name for e in right] == ALWAYS
    assert not right.missing
    assert all(wrong[name].value > right[name].value for name in NEAR)
    assert all(right[name].beats(wrong[name]) for name in NEAR)
    assert all(wrong[name].value < right[name].value for name in ("precision", "recall", "density", "coverage"))
    for name in ("Fréchet distance", "Fréchet distance (n→∞)"):
        assert wrong[name].low <= 2.0 <= wrong[name].high
    for name in ("MMD²", "KID", "Fréchet distance (n→∞)"):
        assert right[name].low < 0 < right[name].high
        assert wrong[name].low > 0
    assert right["MMD²"].method["p-value"] > 0.05
    assert wrong["MMD²"].method["p-value"] == 0.005
    assert wrong["C2ST accuracy"].low > 60
    assert right["C2ST accuracy"].method["p-value"] > 0.05 > 1e-6 > wrong["C2ST accuracy"].method["p-value"]


def test_fields_of_an_estimate():
    findings = measured(Sampler(mean=1.0), cloud())
    assert {e.kind for e in findings} == {"estimate"}
    assert {e.varies for e in findings} == {"samples"}
    assert {e.n for e in findings} == {600}
    text = {"features": "standardized columns", "n_real": 600, "n_fake": 600, "seed": 0, "split": "test"}
    assert all(text.items() <= e.protocol.items() for e in findings)
    assert findings["coverage"].protocol["k"] == 5
    lower = {e.name for e in findings if e.better == "lower"}
    assert lower == {*NEAR, "C2ST accuracy", "copied samples"}
    units = {"Fréchet distance": "units²", "W1": "units", "precision": "%", "KID": "", "MMD²": "", "data copying": "σ"}
    assert all(findings[name].unit == unit for name, unit in units.items())
    for name in ("precision", "recall", "coverage"):
        wilson = rate(name, round(6 * findings[name].value), 600)
        assert findings[name].low <= wilson.low < wilson.high <= findings[name].high
    for name in ("Fréchet distance", "KID", "MMD²", "sliced W1", "precision", "density", "coverage"):
        assert "jackknife" in findings[name].method["interval"]
        assert len(findings[name].parts) == 10  # two models are paired by them


def test_values_are_those_of_the_functions():
    dataset, model = cloud(), Sampler(mean=0.5, std=1.5)
    reference = reference_of(dataset)
    findings = sample_measures(model, reference)
    x = torch.from_numpy(dataset.test.x).double()
    y = drawn(model, 600, dataset.spec, reference.test, 0).double()
    assert findings["Fréchet distance"].value == pytest.approx(frechet(Moments.of(x), Moments.of(y)), rel=1e-9)
    assert findings["W1"].value == pytest.approx(wasserstein(x, y).value, rel=1e-9)
    bandwidth = findings["MMD²"].method["bandwidth"]
    assert findings["MMD²"].value == pytest.approx(mmd2(x, y, bandwidth=bandwidth, permutations=0).value, rel=1e-9)
    wanted = prdc(x, y)
    assert [findings[name].value for name in ("precision", "recall", "coverage")] == pytest.approx(
        [100 * wanted.precision, 100 * wanted.recall, 100 * wanted.coverage]
    )
    assert findings["density"].value == pytest.approx(wanted.density)


def test_every_measure_has_a_meaning():
    names = [name for names, _ in MEASURES for name in names]
    assert sorted(names) == sorted(MEANINGS)
    assert len(set(names)) == len(names)
    assert all(meaning.endswith(".") for meaning in MEANINGS.values())


# features


def test_columns_are_standardized():
    a = measured(Sampler(), cloud())
    b = measured(Sampler(mean=7.0, std=100.0), cloud(mean=(7.0, 7.0), std=(100.0, 100.0)))
    for findings in a:
        if findings.name not in ("C2ST accuracy", "data copying", "copied samples"):  # by ranks, which rounding moves
            assert b[findings.name].value == pytest.approx(findings.value, rel=1e-3, abs=1e-5)


def test_pixels():
    x = np.random.default_rng(0).integers(0, 17, (100, 1, 4, 4)).astype(np.uint8)
    part = Split(x)
    dataset = Dataset(Spec(name="noise", kind="image", shape=(1, 4, 4), levels=17), part, part, part)

    class Black(nn.Module):
        def sample(self, n, generator=None):
            return torch.zeros(n, 1, 4, 4, dtype=torch.uint8)

    findings = measured(Black(), dataset)
    pixels = x.reshape(100, -1) / 16
    wanted = (pixels.mean(0) ** 2).sum() + pixels.var(0, ddof=1).sum()
    assert findings["Fréchet distance"].value == pytest.approx(wanted, rel=1e-10)
    assert findings["Fréchet distance"].protocol["features"] == "pixels"
    assert findings["W1"].value == pytest.approx(np.linalg.norm(pixels, axis=1).mean(), rel=1e-10)
    assert findings["coverage"].value == findings["recall"].value == 0.0
    assert findings["coverage"].high > 1.0  # Wilson's: none of 100 is not "none ever"
    assert findings["C2ST accuracy"].value == 100.0


def test_digits_with_a_networks_features():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU()).eval()
    features = Features("a small network", lambda x: network(x.float() / 16))
    digits = load(DataConfig(source="digits"))
    real = SimpleNamespace(sample=lambda n, generator=None: torch.from_numpy(digits.validation.x[:n]))
    findings = measured(real, digits, features=features)
    assert [e.name for e in findings] == ALWAYS
    assert {e.protocol["features"] for e in findings} == {"a small network"}
    noise = measured(Sampler((1, 8, 8), mean=5.0, std=6.0, levels=17), digits, features=features)
    assert all(findings[name].beats(noise[name]) for name in [*NEAR, "C2ST accuracy"])
    assert findings["C2ST accuracy"].low < 50
    assert findings.figure("samples").values.shape == (64, 1, 8, 8)


# how many, and of which seed


@pytest.mark.parametrize("n", [300, 900])
def test_fewer_or_more_samples_than_examples(n):
    findings = measured(Sampler(), cloud(), samples=n)
    text = {e.name: (e.n, e.protocol["n_real"], e.protocol["n_fake"]) for e in findings}
    paired = min(n, 600)
    assert text.pop("W1") == (paired, paired, paired)
    assert text.pop("C2ST accuracy") == (paired, paired, paired)
    assert set(text.values()) == {(n, 600, n)}
    assert not findings.missing
    assert findings["MMD²"].low < 0 < findings["MMD²"].high


def test_many_samples_are_streamed_and_few_are_kept():
    findings = measured(Sampler(), cloud(400), samples=6000, batch_size=1000)
    assert findings["Fréchet distance"].n == 6000
    assert findings["precision"].n == findings["KID"].n == 5000
    assert findings["W1"].n == findings["C2ST accuracy"].n == 400


def test_samples_are_a_function_of_the_seed_and_the_model_is_unchanged():
    state, model = torch.random.get_rng_state(), Sampler()
    a, b, other = (measured(model, cloud(200), seed=seed) for seed in (0, 0, 1))
    assert a.estimates == b.estimates
    assert a["sliced W1"].value != other["sliced W1"].value
    assert model.drop.training
    assert bool((torch.random.get_rng_state() == state).all())


def test_the_model_may_be_any_object():
    plain = SimpleNamespace(sample=lambda n, generator=None: torch.randn(n, 2, generator=generator))
    findings = measured(plain, cloud(200))
    assert findings.estimates == measured(Sampler().eval(), cloud(200)).estimates


# broken


def reasons(findings):
    return {m.name: m.reason for m in findings.missing}


def test_tokens_have_no_measures_of_samples():
    findings = sample_measures(Sampler(), SimpleNamespace(spec=SimpleNamespace(kind="tokens"), density=None))
    assert (findings.estimates, findings.missing) == ([], [])


@pytest.mark.parametrize(
    ("model", "settings", "examples", "reason"),
    [
        (Sampler(), {}, 19, "test examples: got 19, wanted at least 20"),
        (Sampler(), {"samples": 5}, 100, "samples: got 5, wanted at least 20"),
        (Sampler((3,)), {}, 100, "sample: got shape (100, 3), wanted (100, 2)"),
        (Sampler(mean=math.nan), {}, 100, "sample: 100 of 100 samples are not finite"),
    ],
)
def test_without_samples_every_measure_is_missing(model, settings, examples, reason):
    findings = measured(model, cloud(examples), **settings)
    assert findings.estimates == []
    assert reasons(findings) == dict.fromkeys(ALWAYS, reason)
    assert findings.figures == []


def test_a_few_samples_that_are_not_finite():
    class Broken(Sampler):
        def sample(self, n, generator=None):
            x = super().sample(n, generator)
            x[:1] = math.inf
            return x

    findings = measured(Broken(), cloud(100), batch_size=40)
    assert reasons(findings) == dict.fromkeys(ALWAYS, "sample: 3 of 100 samples are not finite")


def test_an_error_of_the_model_leaves_the_other_measures():
    class Raises(nn.Module):
        observation = "continuous"

        def sample(self, n, generator=None):
            raise RuntimeError("no\nmemory")

        def log_prob(self, x):
            return -0.5 * x.square().sum(dim=1)

    findings = evaluate(Raises(), cloud(100))
    assert findings["log-likelihood"].n == 100
    assert {name: reasons(findings)[name] for name in ALWAYS} == dict.fromkeys(ALWAYS, "RuntimeError: no memory")


def test_fewer_samples_than_features():
    spec = Spec(name="wide", kind="vector", shape=(50,))
    parts = [Split(normal(40, 50, seed=i).float().numpy()) for i in range(3)]
    findings = measured(Sampler((50,)), Dataset(spec, *parts))
    assert set(reasons(findings)) == {"Fréchet distance (n→∞)"}
    assert [e.name for e in findings] == [name for name in ALWAYS if name != "Fréchet distance (n→∞)"]
    assert 0 < findings["Fréchet distance"].low < findings["Fréchet distance"].high < 200


def test_twenty_examples_are_enough():
    findings = measured(Sampler(), cloud(20))
    assert [e.name for e in findings] == ALWAYS
    assert all(math.isfinite(e.value) for e in findings)


@pytest.mark.parametrize("value", [0.0, 2.0])
def test_constant_features(value):
    part = Split(np.zeros((100, 2), dtype=np.float32))
    dataset = Dataset(Spec(name="dark", kind="vector", shape=(2,)), part, part, part)
    findings = measured(Sampler(mean=value, std=0.0), dataset)
    wanted = {"precision", "recall", "density", "coverage", "copied samples"}
    assert {m.name for m in findings.missing} == wanted
    assert "at distance 0" in findings.missing[0].reason
    assert findings["Fréchet distance"].value == pytest.approx(2 * value**2)
    assert findings["W1"].value == pytest.approx(math.sqrt(2) * value)
    assert findings["C2ST accuracy"].value == (100.0 if value else 50.0)
    assert findings["data copying"].value == 0.0
