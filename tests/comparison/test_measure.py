"""The baselines of a table, and measures that are not computed again."""

import numpy as np
import pytest
import torch

from thalweg.comparison import baselines as room
from thalweg.comparison.measure import Evaluator
from thalweg.comparison.plan import Measuring
from thalweg.config import DataConfig
from thalweg.data import load
from thalweg.evaluation import Findings, mean_of


@pytest.mark.parametrize(
    ("source", "examples", "wanted"),
    [
        ("moons", 70, ["real", "gaussian"]),  # too few for a mixture: it is the Gaussian, which stands there once
        ("moons", 500, ["real", "gaussian", "gaussian-mixture"]),
        ("digits", None, ["real", "uniform", "gaussian", "gaussian-mixture"]),
    ],
)
def test_baselines(source, examples, wanted, tmp_path, monkeypatch):
    data = DataConfig(source=source) if examples is None else DataConfig(source=source, examples=examples)
    measuring = Measuring(limit=30, samples=30, features="pixels" if source == "digits" else "auto")
    evaluator = Evaluator(load(data), measuring, device="cpu", log=lambda _: None)
    result = room.baselines(evaluator.dataset)
    assert list(result) == wanted
    findings = {"model": evaluator.measure(result["gaussian"])}
    first = evaluator.baselines(tmp_path, findings, lambda _: None)
    assert list(first) == wanted
    monkeypatch.setattr(room, "baselines", None)  # nothing is fitted again
    again = evaluator.baselines(tmp_path, findings, lambda _: None)
    assert list(again) == wanted
    for name in wanted:
        assert [e.value for e in again[name]] == [e.value for e in first[name]]


def test_the_number_of_samples_is_that_of_the_real_baseline():
    """`real` has no more samples than there are validation examples; without any, as many as are measured on."""
    evaluator = Evaluator(load(DataConfig(source="moons", examples=500)), Measuring(), device="cpu", log=lambda _: None)
    tested = len(evaluator.dataset.test)
    assert evaluator._samples(tested - 10) == tested - 10
    assert evaluator._samples(tested + 10) == evaluator._samples(0) == tested


def test_the_real_baseline_is_evaluated_without_the_validation_examples(tmp_path, monkeypatch):
    evaluator, calls = (
        Evaluator(load(DataConfig(source="moons", examples=500)), Measuring(), device="cpu", log=lambda _: None),
        {},
    )

    def measure(self, model, *, validation=True):
        calls[type(model).__name__] = validation
        return findings

    findings = Findings([mean_of("log-likelihood", np.arange(9.0), unit="nats", better="higher")])
    monkeypatch.setattr(Evaluator, "measure", measure)
    evaluator.baselines(tmp_path, {"model": findings}, lambda _: None)
    assert calls == {"Real": False, "Gaussians": True}


@pytest.mark.system("S32")
@pytest.mark.parametrize("views", ["one", "flip", "six", "ten-crop"])
def test_views_of_a_classifier_are_in_the_protocol_and_change_its_measures(views):
    from thalweg.models.shallow.softmax_regression import SoftmaxRegression

    dataset = load(DataConfig(source="digits"))
    torch.manual_seed(0)
    model = SoftmaxRegression((1, 8, 8), 10, levels=17).eval()
    torch.nn.init.normal_(model.linear.weight)
    findings = Evaluator(dataset, Measuring(views=views, limit=100), device="cpu", log=lambda _: None).measure(model)
    plain = Evaluator(dataset, Measuring(limit=100), device="cpu", log=lambda _: None).measure(model)
    assert {e.protocol.get("views") for e in findings} == {None if views == "one" else views}
    assert (findings["label loss"].value == plain["label loss"].value) == (views == "one")


@pytest.mark.parametrize(("samples", "trained"), [(False, 0), (True, 1)])
def test_the_feature_network_is_trained_only_for_a_model_that_needs_it(samples, trained, tmp_path, monkeypatch):
    """A classifier and the baselines of classifiers need no features; a model with samples does, once."""
    from thalweg.comparison.class_baselines import CLASS_BASELINES
    from thalweg.recipes import feature_network

    class Model(torch.nn.Module):
        def logits(self, x):
            return x.flatten(1)[:, :10].double()

    if samples:
        Model.sample = lambda self, n, generator=None: torch.randint(0, 17, (n, 1, 8, 8), generator=generator)
    calls = []
    monkeypatch.setattr(feature_network, "_train", lambda *_: calls.append(1))
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "cache"))
    evaluator = Evaluator(
        load(DataConfig(source="digits")), Measuring(limit=30, samples=30), device="cpu", log=lambda _: None
    )
    _, findings = evaluator.measure(Model()), evaluator.measure(Model())
    assert ("Fréchet distance" in {e.name for e in findings}) == samples
    assert len(calls) == trained
    if not samples:
        assert list(evaluator.baselines(tmp_path, {"model": findings}, lambda _: None)) == list(CLASS_BASELINES)
        assert not calls


def test_a_wrong_choice_of_features_is_refused_before_anything_is_evaluated():
    with pytest.raises(ValueError, match="features: got 'pixel'"):
        Evaluator(load(DataConfig(source="digits")), Measuring(features="pixel"), device="cpu", log=lambda _: None)
