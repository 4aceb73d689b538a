"""Measures against closed forms, on models this library never saw."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from thalweg.abilities import ABILITIES, abilities_of, names_of
from thalweg.data import Dataset, Spec, Split, class_target
from thalweg.evaluation import evaluate
from thalweg.evaluation.groups import GROUPS, group_of


def images(levels=256, shape=(1, 4, 4), n=300, seed=0, labels=False):
    x = np.random.default_rng(seed).integers(0, levels, (n, *shape)).astype(np.uint8)
    y = np.arange(n) % 3 if labels else None
    classes = ("a", "b", "c") if labels else None
    spec = Spec(name="noise", kind="image", shape=shape, levels=levels, target=class_target(classes), fingerprint="f00")
    part = Split(x, y)
    return Dataset(spec, part, part, part)


def vectors(x, density=None):
    part = Split(x)
    return Dataset(Spec(name="cloud", kind="vector", shape=x.shape[1:]), part, part, part, density)


def by_name(findings):
    return {e.name: e for e in findings.estimates}


def reasons(findings):
    return {m.name: m.reason for m in findings.missing}


class Uniform(nn.Module):
    """The uniform distribution on integer levels, or its density on dequantized ones."""

    def __init__(self, levels, observation):
        super().__init__()
        self.levels, self.observation = levels, observation

    def log_prob(self, x):
        return torch.full((len(x),), -x[0].numel() * math.log(self.levels), dtype=torch.float64)


class Gaussian(nn.Module):
    """N(mean, std²) in every coordinate; a density."""

    def __init__(self, mean=0.0, std=1.0):
        super().__init__()
        self.distribution = torch.distributions.Normal(torch.tensor(mean).double(), torch.tensor(std).double())

    def log_prob(self, x):
        return self.distribution.log_prob(x.double()).flatten(1).sum(dim=1)


class Linear(nn.Module):
    """A little of everything, with dropout, to see that modes come back."""

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.line = nn.Linear(16, 3)
        self.line.eval()

    def logits(self, x):
        assert not self.training
        assert not torch.is_grad_enabled()
        return self.line(self.drop(x.flatten(1).float()))

    def encode(self, x):
        return x.flatten(1).float()

    def decode(self, z):
        return z.unflatten(1, (1, 4, 4)) + 3.0


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_uniform_noise_has_log2_levels_bits(levels):
    findings = by_name(evaluate(Uniform(levels, "discrete"), images(levels)))
    assert findings["bits/dim"].value == pytest.approx(math.log2(levels), abs=1e-12)
    assert findings["bits/dim"].kind == findings["log-likelihood"].kind == "exact"
    assert findings["log-likelihood"].value == pytest.approx(-16 * math.log(levels), abs=1e-10)


def test_dequantized_is_a_bound_on_the_discrete():
    findings = by_name(evaluate(Uniform(256, "dequantized"), images()))
    assert findings["log-likelihood"].kind == "lower bound"
    assert findings["bits/dim"].kind == "upper bound"
    assert findings["bits/dim"].value == pytest.approx(8.0, abs=1e-12)
    exact = by_name(evaluate(Uniform(256, "discrete"), images()))
    assert findings["bits/dim"].protocol == exact["bits/dim"].protocol


def test_a_gaussian_has_its_entropy_and_no_bits():
    """The expected log-likelihood of the truth is minus its entropy; a density of vectors has no bits/dim."""
    x = np.random.default_rng(3).normal(1.0, 2.0, (20000, 5))
    findings = by_name(evaluate(Gaussian(1.0, 2.0), vectors(x)))
    assert "bits/dim" not in findings
    nats, entropy = findings["log-likelihood"], 2.5 * math.log(2 * math.pi * math.e * 4)
    assert nats.low <= -entropy <= nats.high
    values = -(0.5 * ((x - 1.0) / 2.0) ** 2 + math.log(2.0) + 0.5 * math.log(2 * math.pi)).sum(axis=1)
    assert nats.value == pytest.approx(values.mean(), rel=1e-12)


def test_binarized_and_image_densities_have_no_bits():
    for observation in ("binarized", "continuous"):
        findings = by_name(evaluate(Uniform(2, observation), images()))
        assert set(findings) == {"log-likelihood"}
    distributions = {o: by_name(evaluate(Uniform(2, o), images()))["log-likelihood"] for o in ("binarized", "discrete")}
    with pytest.raises(ValueError, match="quantity is"):
        distributions["binarized"].beats(distributions["discrete"])


def test_elbo_is_a_bound_and_log_prob_is_preferred():
    class Bounded(Gaussian):
        def elbo(self, x):
            return self.log_prob(x) - 1.0

    x = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    exact = by_name(evaluate(Bounded(), vectors(x)))["log-likelihood"]
    only = OnlyElbo(lambda x: Gaussian().log_prob(x) - 1.0)
    bound = by_name(evaluate(only, vectors(x)))
    assert exact.kind == "exact"
    assert bound["log-likelihood"].kind == "lower bound"
    assert bound["log-likelihood"].value == pytest.approx(exact.value - 1.0)


class OnlyElbo(nn.Module):
    observation = "continuous"

    def __init__(self, elbo):
        super().__init__()
        self.elbo = elbo


def test_divergence_from_a_known_density():
    truth = Gaussian(0.0, 1.0)
    x = np.random.default_rng(5).normal(size=(40000, 1)).astype(np.float32)
    density = SimpleNamespace(log_prob=lambda x: truth.log_prob(torch.as_tensor(x)))
    findings = by_name(evaluate(Gaussian(1.0, 2.0), vectors(x, density)))["KL from truth"]
    assert findings.low <= 0.4431472 <= findings.high  # KL(N(0,1) ‖ N(1,4))
    assert by_name(evaluate(truth, vectors(x, density)))["KL from truth"].value == 0.0


def test_accuracy_reconstruction_and_psnr():
    dataset = images(levels=17, labels=True)
    model = Linear()
    findings = by_name(evaluate(model, dataset, batch_size=37))
    logits = model.line(torch.from_numpy(dataset.test.x).flatten(1).float()).double()
    y = torch.from_numpy(dataset.test.y)
    assert findings["accuracy"].value == pytest.approx(100 * (logits.argmax(1) == y).double().mean().item())
    assert findings["label loss"].value == pytest.approx(nn.functional.cross_entropy(logits, y).item())
    assert findings["squared error"].value == pytest.approx(9.0)
    assert findings["PSNR"].value == pytest.approx(10 * math.log10(16**2 / 9))


def test_psnr_is_averaged_over_images_not_pooled():
    dataset = images(n=2)

    class Halves(nn.Module):
        def encode(self, x):
            return x.float()

        def decode(self, z):
            z[0] += 1.0
            z[1] += 10.0
            return z

    findings = by_name(evaluate(Halves(), dataset))["PSNR"]
    assert findings.value == pytest.approx((10 * math.log10(255**2) + 10 * math.log10(255**2 / 100)) / 2)


def test_model_is_left_as_it_was():
    model = Linear()
    before = {name: module.training for name, module in model.named_modules()}
    state = torch.random.get_rng_state()
    evaluate(model, images(labels=True))
    assert {name: module.training for name, module in model.named_modules()} == before
    assert model.line.weight.requires_grad
    assert model.line.weight.grad is None
    assert bool((torch.random.get_rng_state() == state).all())
    assert torch.is_grad_enabled()


def test_the_training_mode_is_restored_after_an_error():
    model = Linear()
    assert reasons(evaluate(model, Dataset(*_four_classes())))["classification"].startswith("logits: got shape")
    assert model.training
    assert model.drop.training
    assert not model.line.training


def _four_classes():
    dataset = images(labels=True)
    spec = Spec(name="four", kind="image", shape=(1, 4, 4), levels=256, target=class_target(("a", "b", "c", "d")))
    return spec, dataset.train, dataset.validation, dataset.test


class Noisy(nn.Module):
    """Spends torch's global generator, as a dequantizing flow does."""

    observation = "dequantized"

    def log_prob(self, x):
        return -torch.rand(len(x))


def test_noise_is_a_function_of_the_seed():
    dataset = images()
    a, b, other = (by_name(evaluate(Noisy(), dataset, seed=seed))["log-likelihood"] for seed in (0, 0, 1))
    assert a == b
    assert a.value != other.value


def test_draws_are_averaged_and_their_number_is_in_the_method():
    dataset = images()
    findings = by_name(evaluate(Noisy(), dataset, draws=20))["log-likelihood"]
    single = by_name(evaluate(Noisy(), dataset))["log-likelihood"]
    assert findings.method["draws"] == 20
    assert findings.high - findings.low < 0.4 * (single.high - single.low)


def test_limit_selects_examples_and_is_in_the_protocol():
    findings = by_name(evaluate(Uniform(256, "discrete"), images(), limit=10))["bits/dim"]
    assert findings.n == 10
    assert findings.protocol["examples"] == 10
    assert findings.protocol["of"] == 300
    with pytest.raises(ValueError, match="limit: got 0"):
        evaluate(Uniform(256, "discrete"), images(), limit=0)


def test_a_model_without_abilities_cannot_be_measured():
    with pytest.raises(ValueError, match="nothing to measure on noise"):
        evaluate(nn.Linear(2, 2), images())


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Uniform(256, "gaussian"), "observation: got 'gaussian'"),
        (Uniform(256, None), "observation: Uniform states none"),
    ],
)
def test_a_missing_measure_has_a_reason(model, words):
    findings = evaluate(model, images())
    assert not findings.estimates
    assert reasons(findings)["likelihood"].startswith(words)


def test_an_error_of_one_ability_leaves_the_other_measures():
    class Broken(Linear):
        observation = "discrete"

        def log_prob(self, x):
            raise RuntimeError("no\nmemory")

    findings = evaluate(Broken(), images(labels=True))
    assert reasons(findings) == {"likelihood": "RuntimeError: no memory"}
    assert {"accuracy", "PSNR"} <= by_name(findings).keys()


def test_values_that_are_not_one_per_example_are_refused():
    model = OnlyElbo(lambda x: x)
    findings = evaluate(model, vectors(np.zeros((5, 2), dtype=np.float32)))
    assert reasons(findings)["likelihood"].startswith("elbo: got values of shape (5, 2), wanted (5,)")


def test_sums_are_in_float64():
    class Far(nn.Module):
        observation = "continuous"

        def log_prob(self, x):
            return torch.full((len(x),), 1.0e8) + x[:, 0]

    x = np.zeros((1000, 1), dtype=np.float32)
    x[::2] = 8.0
    assert by_name(evaluate(Far(), vectors(x)))["log-likelihood"].value == 1.0e8 + 4.0


def test_the_split_is_in_the_protocol():
    findings = evaluate(Linear(), images(labels=True), split="validation")
    judged = [e for e in findings if group_of(e.name).section != "cost"]
    assert {e.varies for e in judged} == {"validation examples"}
    assert {e.protocol["split"] for e in judged} == {"validation"}


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_a_group_applies_to_models_with_one_of_its_alternatives(group):
    for wanted in group.needs:
        names = names_of(wanted)
        assert group.applies(SimpleNamespace(**dict.fromkeys(names, lambda *a: None)))
        assert abilities_of(SimpleNamespace(**dict.fromkeys(names, lambda *a: None))) == tuple(
            name for name in ABILITIES if name in names
        )
        for name in names:
            less = SimpleNamespace(**{n: (lambda *a: None) for n in names if n != name})
            assert group.applies(less) == any(set(names_of(other)) < set(names) - {name} for other in group.needs)


def test_an_error_of_one_property_leaves_the_other_measures():
    class Broken(Gaussian):
        @property
        def prior(self):
            raise RuntimeError("no prior today")

        def encode(self, x):
            return x

    x = np.random.default_rng(0).normal(size=(50, 2))
    findings = evaluate(Broken(), vectors(x))
    assert findings["log-likelihood"].value == pytest.approx(float(Gaussian().log_prob(torch.from_numpy(x)).mean()))
    assert set(reasons(findings).values()) == {"RuntimeError: no prior today"}


def test_every_ability_is_of_some_model_and_some_group():
    needed = {name for group in GROUPS for wanted in group.needs for name in names_of(wanted)}
    assert needed | {"observe"} == set(ABILITIES)


def test_an_unexplained_measure_is_refused():
    with pytest.raises(KeyError, match="beauty: no group of measures explains it, wanted one of log-likelihood"):
        group_of("beauty")
    assert group_of("anomaly AUROC: noise").name == "anomaly"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sampels": 3}, r"settings: got 'sampels', wanted one of features, .* \(did you mean 'samples'\?\)"),
        ({"test": 3}, "settings: got 'test', wanted one of features, anomalies, draws, samples, temperatures"),
        ({"draws": 0}, "draws: got 0, wanted a number greater than 0"),
        ({"samples": -1}, "samples: got -1, wanted a number greater than 0"),
        ({"temperatures": -1}, "temperatures: got -1, wanted a number of at least 0"),
        ({"limit": 0}, "limit: got 0, wanted a number greater than 0"),
        ({"split": "tset"}, "split: got 'tset', wanted one of train"),
    ],
)
def test_settings_that_no_evaluation_has_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        evaluate(Gaussian(), vectors(np.zeros((30, 2))), **settings)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (np.zeros((30, 2)), "dataset: got ndarray, wanted a Dataset, as thalweg.data.load returns it"),
        (vectors(np.zeros((30, 2))).test, "dataset: got Split, wanted a Dataset"),
        (
            vectors(np.zeros((30, 3))),
            r"dataset: got cloud with examples of shape \(3,\), wanted \(2,\), the `shape` of",
        ),
        (images(), r"dataset: got noise with examples of shape \(1, 4, 4\), wanted \(2,\), the `shape` of Gaussian"),
    ],
)
def test_data_that_are_not_those_of_the_model_are_refused(dataset, message):
    model = Gaussian()
    model.shape = (2,)
    with pytest.raises(ValueError, match=message):
        evaluate(model, dataset)
    assert evaluate(model, vectors(np.zeros((30, 2))))["log-likelihood"].n == 30


class Defective(nn.Module):
    """A model of levels with a constant log_prob, or elbo, and samples of a constant value."""

    def __init__(self, observation, value=-1.0, level=3, ability="log_prob"):
        super().__init__()
        self.observation, self.level = observation, level
        setattr(self, ability, lambda x: torch.full((len(x),), value))

    def sample(self, n, generator=None):
        x = torch.zeros(n, 1, 4, 4)
        x[0, 0, 0, 0] = self.level
        return x


@pytest.mark.parametrize("ability", ["log_prob", "elbo"])
@pytest.mark.parametrize("observation", ["discrete", "binarized", "dequantized", "continuous"])
@pytest.mark.parametrize("value", [-1.0, 1e-6, 0.5])  # 1e-6: rounding
def test_a_probability_above_one_is_no_likelihood(ability, observation, value):
    findings = evaluate(Defective(observation, value, ability=ability), images())
    if value == 0.5 and observation in ("discrete", "binarized"):
        which = "a value" if ability == "log_prob" else "a mean"
        reason = f"log-likelihood: got {which} of 0.5 nats, wanted at most 0, as no probability exceeds 1"
        assert reasons(findings)["likelihood"] == reason
        assert "log-likelihood" not in by_name(findings)
    else:
        assert findings["log-likelihood"].value == pytest.approx(value)
    assert {"Fréchet distance", "precision"} <= set(by_name(findings))  # the other measures are there


def test_one_bound_above_zero_is_no_error_and_one_probability_is():
    model = Defective("discrete")
    model.log_prob = lambda x: torch.tensor([0.5, *[-1.0] * (len(x) - 1)])
    assert "a value of 0.5 nats" in reasons(evaluate(model, images()))["likelihood"]
    model.elbo = model.log_prob
    del model.log_prob
    assert evaluate(model, images())["log-likelihood"].value == pytest.approx(-1 + 1.5 / 300)


@pytest.mark.parametrize("observation", ["discrete", "binarized", "dequantized", "continuous"])
@pytest.mark.parametrize("level", [0, 255, 256, -1, math.inf])
def test_samples_outside_the_levels_are_not_measured(observation, level):
    findings = evaluate(Defective(observation, level=level), images())
    missing = reasons(findings)
    if math.isinf(level):
        assert missing["Fréchet distance"] == "sample: 1 of 300 samples are not finite"
    elif level in (256, -1) and observation != "continuous":
        wanted = f"sample: got values from {min(level, 0)} to {max(level, 0)}, wanted 0 to 255"
        assert missing["Fréchet distance"] == missing["Parzen window"] == missing["precision"] == wanted
    else:
        assert "Fréchet distance" in by_name(findings)
    assert findings["log-likelihood"].value == -1
