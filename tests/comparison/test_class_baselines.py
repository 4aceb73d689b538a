"""Baselines of classifiers against scikit-learn, and in a comparison."""

import json

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from thalweg.cli import main
from thalweg.comparison import class_baselines
from thalweg.comparison.class_baselines import CLASS_BASELINES, LinearBaseline, class_baseline
from thalweg.config import DataConfig
from thalweg.data import load
from thalweg.evaluation import raw_features


@pytest.fixture(scope="module")
def digits():
    return load(DataConfig(source="digits"))


def predicted(model, x):
    return model.logits(torch.from_numpy(x)).argmax(1).numpy()


def test_the_majority_class_has_the_shares_of_the_training_examples(digits):
    p = class_baseline("majority-class", digits).logits(torch.from_numpy(digits.test.x)).softmax(1)[0].numpy()
    np.testing.assert_allclose(p, np.bincount(digits.train.y, minlength=10) / len(digits.train.y))


def test_the_nearest_neighbor_is_that_of_scikit_learn(digits, monkeypatch):
    known = KNeighborsClassifier(1).fit(digits.train.x.reshape(len(digits.train.x), -1) / 16, digits.train.y)
    expected = known.predict(digits.test.x.reshape(len(digits.test.x), -1) / 16)
    model = class_baseline("nearest-neighbor", digits)
    assert (predicted(model, digits.test.x) == expected).mean() > 0.995  # but for equal distances
    monkeypatch.setattr(class_baselines, "CHUNK", 5_000)
    assert (predicted(model, digits.test.x) == expected).mean() > 0.995


def test_the_linear_classifier_is_that_of_scikit_learn(digits, monkeypatch):
    monkeypatch.setattr(class_baselines, "PENALTIES", (1e-2,))
    monkeypatch.setattr(class_baselines, "ITERATIONS", 300)
    model = LinearBaseline(raw_features(digits.spec).extract, digits, seed=0)
    z = digits.train.x.reshape(len(digits.train.x), -1) / 16
    z = (z - model.mean.numpy()) / model.std.numpy()
    known = LogisticRegression(C=1 / (2 * 1e-2 * len(z)), max_iter=5_000, tol=1e-8).fit(z, digits.train.y)
    np.testing.assert_allclose(model.weight.numpy(), known.coef_, atol=2e-3)


def test_they_stand_beside_classifiers_in_a_comparison(tmp_path, capsys):
    arguments = ["softmax-regression", "--data", "digits", "--steps", "20", "--features", "pixels"]
    assert main(["compare", *arguments, "--out", str(tmp_path / "c"), "--device", "cpu"]) == 0
    capsys.readouterr()
    report = json.loads((tmp_path / "c/report.json").read_text())
    (row,) = [row for row in report["measures"] if row["name"] == "accuracy"]
    values = {name: cell["estimate"]["value"] for name, cell in row["cells"].items() if "estimate" in cell}
    assert set(values) == {"softmax-regression", *CLASS_BASELINES}
    assert values["majority-class"] < 20 < 90 < values["nearest-neighbor"]
    assert not row["cells"]["nearest-neighbor"]["best"]  # a baseline is not a rival
