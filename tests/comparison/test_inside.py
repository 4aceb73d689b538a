"""The section of the report that shows what classifiers of images look at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from thalweg.comparison.inside import inside
from thalweg.comparison.measure import Evaluator
from thalweg.comparison.plan import Measuring
from thalweg.config import DataConfig, RunConfig, TrainConfig
from thalweg.evaluation.estimates.figures import ImageGrid
from thalweg.interpretability import Probe
from thalweg.interpretability.methods import executed, last_hidden, searched
from thalweg.recipes.runs import open_run, train
from thalweg.report.inside import looks_at
from thalweg.report.svg import styles

pytestmark = [pytest.mark.system("S105"), pytest.mark.system("S107")]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two models of digits after two steps, opened."""
    root = tmp_path_factory.mktemp("runs")
    for recipe in ("lenet5", "softmax-regression"):
        config = RunConfig(recipe=recipe, data=DataConfig(source="digits"), train=TrainConfig(steps=2, device="cpu"))
        train(config, root / recipe)
    return {recipe: open_run(root / recipe, device="cpu") for recipe in ("lenet5", "softmax-regression")}


def captions(findings):
    assert all(isinstance(figure, ImageGrid) and figure.section == "inside" for figure in findings.figures)
    return [figure.caption for figure in findings.figures]


def test_figures_are_the_maps_and_neighbors_of_the_probe(runs):
    """The first six test images with their maps, and the training images that a direct search finds."""
    data = runs["lenet5"].data()
    findings = inside(runs["lenet5"], data, "test", 0)
    first, *others = captions(findings)
    assert first.startswith("predicted: ")
    assert others == ["saliency", "occlusion", "nearest", "second nearest", "third nearest"]
    images, saliency, occlusion, *nearest = (figure.values for figure in findings.figures)
    assert np.array_equal(images, data.test.x[:6])
    probe = Probe.of(runs["lenet5"])
    x = torch.from_numpy(data.test.x[:6].astype(np.float32)) / 16
    wanted = probe.saliency(x).values
    for shown, values in zip(saliency[:, 0], wanted, strict=True):
        assert np.corrcoef(shown.ravel(), values.ravel())[0, 1] > 0.97  # but for the brightest half percent
        assert shown.max() == 16
    attribution = probe.occlusion(x).extra["attribution"].numpy()
    assert np.array_equal(np.sign(occlusion[:, 0] - 8), np.sign(attribution))
    features = []
    with torch.no_grad():  # the layer before the last linear one, by hand
        for raw in (data.test.x[:6], data.train.x):
            model = runs["lenet5"].model
            flat = model.features(model.preprocess(torch.from_numpy(raw))).flatten(1)
            features.append(model.classifier[:-1](flat))
    index = torch.cdist(*(f.double() for f in features)).topk(3, largest=False).indices
    assert [np.array_equal(nearest[j], data.train.x[index[:, j]]) for j in range(3)] == [True] * 3
    assert "inside" not in findings.tables


def test_a_model_without_hidden_layer_has_the_reason(runs):
    """And its maps."""
    findings = inside(runs["softmax-regression"], runs["softmax-regression"].data(), "test", 0)
    assert captions(findings)[1:] == ["saliency", "occlusion"]
    assert list(findings.tables["inside"]) == ["nearest training images"]
    report = {"tables": {"<b>": findings.tables}, "data": {"levels": 17}}
    model = {"models": [{"name": "<b>", "family": "classifiers"}]}
    page = looks_at(report, {"<b>": findings.figures}, styles(model))
    assert "nearest training images: layer: got a network without hidden layer" in page
    assert page.count("data:image/png") == 3
    assert "<b><b>" not in page


class Breaks(nn.Module):
    def logits(self, x):
        raise MemoryError("no\nmemory")


class Steps(nn.Module):
    def logits(self, x):
        return (x.flatten(1)[:, :10] > 0.5).float()


@pytest.mark.parametrize(
    ("model", "reasons", "shown"),
    [
        (Breaks(), {"saliency": "no memory", "occlusion": "no memory", "nearest training images": "no memory"}, []),
        (Steps(), {"saliency": "got scores without a gradient in the images", "nearest training images": "layer: "}, 1),
        (nn.BatchNorm2d(1), None, []),
    ],
)
def test_no_defect_of_a_model_fails(model, reasons, shown, runs):
    """Models that raise, that have no gradient, and that do not classify."""
    findings = inside(replace(runs["lenet5"], model=model), runs["lenet5"].data(), "test", 0)
    table = findings.tables.get("inside")
    assert (table is None) == (reasons is None)
    for what, reason in (reasons or {}).items():
        assert reason in table[what]
    assert captions(findings) == ([] if shown == [] else ["occlusion"])


def test_an_evaluation_keeps_the_figures(runs, tmp_path):
    """The second time from the stored findings; baselines have none."""
    evaluator = Evaluator(runs["lenet5"].data(), Measuring(limit=20), device="cpu", log=lambda text: None)
    first = evaluator.run(runs["lenet5"].path, tmp_path / "lenet5")
    again = evaluator.run(runs["lenet5"].path, tmp_path / "lenet5")
    known = [[f.values for f in findings.figures if f.section == "inside"] for findings in (first, again)]
    assert [len(figures) for figures in known] == [6, 6]
    assert all(np.array_equal(a, b) for a, b in zip(*known, strict=True))
    baselines = evaluator.baselines(tmp_path, {"lenet5": first}, lambda text: None)
    assert baselines
    assert not [f for findings in baselines.values() for f in findings.figures if f.section == "inside"]


def test_the_last_hidden_layer_is_what_the_output_layer_receives():
    """Also where pooling follows the last convolution, and where the output layer is a convolution."""
    head = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    x = torch.rand(2, 1, 8, 8)
    assert last_hidden(Probe(head), x) == "3"
    assert [layer.shape for layer in executed(Probe(head), x)] == [(3, 6, 6), (3, 6, 6), (3, 1, 1), (3,), (2,)]
    pooled = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert last_hidden(Probe(pooled), x) == "1"
    with pytest.raises(ValueError, match="without hidden layer"):
        last_hidden(Probe(nn.Sequential(nn.Flatten(), nn.Linear(64, 2))), x)


def test_at_most_2000_images_are_searched():
    """Distinct ones in their order, by the seed."""
    x = np.arange(2500).reshape(-1, 1, 1, 1)
    chosen = searched(x, 2).flatten()
    assert len(chosen) == 2000
    assert (chosen.diff() > 0).all()
    assert not torch.equal(chosen, searched(x, 2, seed=1).flatten())
    assert torch.equal(searched(x[:5], 5).flatten(), torch.arange(5) / 4)
