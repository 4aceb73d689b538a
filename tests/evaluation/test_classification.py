"""Measures of classifiers against scikit-learn, torchmetrics, direct definitions and simulation."""

import json
import math

import numpy as np
import pytest
import torch
from sklearn import metrics

from thalweg.data import Spec, class_target
from thalweg.evaluation.estimates.estimate import difference
from thalweg.evaluation.estimates.figures import to_json
from thalweg.evaluation.examples import Examples
from thalweg.evaluation.measures.classification import MEANINGS, answers, classification, classification_measures, top_k
from thalweg.evaluation.reference import Reference, raw_features
from thalweg.evaluation.statistics.calibration import calibration, calibration_error

NAMES = tuple("abcdefgh")


def drawn(n=400, classes=8, seed=0, sharpness=1.0, scale=2.0):
    """Logits, and labels drawn from their softmax; with a sharpness of 1 they are calibrated."""
    random = np.random.default_rng(seed)
    z = scale * random.normal(size=(n, classes))
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    y = (p.cumsum(axis=1) > random.random((n, 1))).argmax(axis=1)
    return sharpness * z, y


def softmax(z):
    return torch.from_numpy(z).softmax(dim=1).numpy()


def as_is(x):
    return x


def findings_of(z, y, names=NAMES):
    examples = Examples(z, y, batch_size=37)
    return classification(answers(as_is, examples, len(names) if names else None), examples, names)


def test_is_scikit_learns():
    z, y = drawn()
    y[y == 5] = 4  # a class that never comes
    findings, predicted = findings_of(z, y), z.argmax(axis=1)
    assert findings["accuracy"].value == pytest.approx(100 * metrics.accuracy_score(y, predicted))
    top = metrics.top_k_accuracy_score(y, z, k=5, labels=range(8))
    assert findings["top-5 accuracy"].value == pytest.approx(100 * top)
    assert findings["label loss"].value == pytest.approx(metrics.log_loss(y, softmax(z), labels=range(8)), rel=1e-12)
    table, _ = findings.figures
    assert table.rows == table.columns == list(NAMES)
    assert table.values == metrics.confusion_matrix(y, predicted, labels=range(8)).tolist()
    wanted = metrics.precision_recall_fscore_support(y, predicted, labels=range(8), zero_division=np.nan)
    for k, row in enumerate(table.details):
        assert (row["class"], row["n"]) == (NAMES[k], wanted[3][k])
        for name, values in zip(("precision", "recall", "F1"), wanted, strict=False):
            assert row[name] == (None if np.isnan(values[k]) else pytest.approx(values[k]))
    assert table.details[5]["recall"] is None
    json.dumps([to_json(figure) for figure in findings.figures], allow_nan=False)


@pytest.mark.system("S33")
def test_top_k_of_every_k():
    z, y = drawn()
    rank = answers(as_is, Examples(z, y)).rank
    for k in range(1, 8):
        wanted = metrics.top_k_accuracy_score(y, z, k=k, labels=range(8))
        assert top_k(rank, k).value == pytest.approx(100 * wanted)
    assert top_k(rank, 8).value == 100.0
    with pytest.raises(ValueError, match="k: got 0"):
        top_k(rank, 0)


def test_ties_go_to_the_first_class():
    z = np.zeros((4, 4))
    findings = findings_of(z, np.arange(4), NAMES[:4])
    assert findings["accuracy"].value == 25.0
    assert answers(as_is, Examples(z, np.arange(4))).rank.tolist() == [0, 1, 2, 3]
    assert findings["label loss"].value == pytest.approx(math.log(4), rel=1e-14)


def test_few_classes_have_no_top_five():
    z, y = drawn(classes=5)
    names = [e.name for e in findings_of(z, y, NAMES[:5]).estimates]
    assert names == ["accuracy", "label loss", "Brier score", "calibration error"]


@pytest.mark.parametrize(("p", "n"), [(0.5, 50), (0.9, 180), (0.99, 1000)])
def test_coverage_of_accuracy(p, n):
    random = np.random.default_rng(4)
    covered = []
    for _ in range(300):
        hits = random.random(n) < p
        findings = findings_of(np.eye(2)[(~hits).astype(int)], np.zeros(n, dtype=np.int64), NAMES[:2])["accuracy"]
        covered.append(findings.low <= 100 * p <= findings.high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)


def test_two_classifiers_are_compared_example_by_example():
    z, y = drawn(n=2000)
    worse = z.copy()
    worse[:40] = -worse[:40]  # alike but for forty examples
    a, b = findings_of(z, y), findings_of(worse, y)
    apart = difference(a["accuracy"], b["accuracy"])
    hits = [(x.argmax(axis=1) == y).astype(float) for x in (z, worse)]
    gaps = 100 * (hits[0] - hits[1])
    assert a["accuracy"].parts.tolist() == (100 * hits[0]).tolist()
    assert apart.value == pytest.approx(gaps.mean())
    assert apart.high - apart.value == pytest.approx(1.96 * gaps.std() / math.sqrt(2000), rel=0.01)
    assert a["accuracy"].beats(b["accuracy"])
    assert a["accuracy"].low < b["accuracy"].high  # as two samples they would not be separated
    assert len(a["calibration error"].parts) == 10


# calibration


def direct(confidence, hits, bins=15):
    """The definition, bin by bin."""
    total = 0.0
    for b in range(bins):
        inside = (confidence > b / bins) & (confidence <= (b + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(hits[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_calibration_is_its_definition(bins):
    z, y = drawn(sharpness=2.0)
    p = softmax(z)
    confidence, hits = p.max(axis=1), p.argmax(axis=1) == y
    findings = calibration(confidence, hits, bins)
    assert findings.error == pytest.approx(direct(confidence, hits, bins), rel=1e-12)
    assert sum(findings.n) == len(y)
    edges = np.array([0.2, 0.4, 0.4 + 1e-12, 1.0])  # an edge belongs to the bin below it
    assert calibration(edges, edges > 0.3, bins=5).n == [1, 1, 1, 1]
    assert calibration(np.zeros(3), np.zeros(3)).error == 0.0


def test_calibration_is_torchmetrics():
    functional = pytest.importorskip("torchmetrics.functional.classification")
    z, y = drawn(n=2000, sharpness=1.5)
    p = torch.from_numpy(softmax(z))
    wanted = functional.multiclass_calibration_error(p, torch.from_numpy(y), num_classes=8, n_bins=15, norm="l1")
    findings = findings_of(z, y)
    assert findings["calibration error"].value == pytest.approx(100 * wanted.item(), rel=1e-6)
    _, curve = findings.figures
    bins = np.ceil(p.max(dim=1).values.numpy() * 15 - 1e-9).astype(int)
    hits = p.argmax(dim=1).numpy() == y
    confidence = [p.max(dim=1).values.numpy()[bins == b].mean() for b in np.unique(bins)]
    np.testing.assert_allclose(curve.x, confidence, rtol=1e-6)
    np.testing.assert_allclose(curve.y, [hits[bins == b].mean() for b in np.unique(bins)], rtol=1e-12)
    assert (curve.x_axis.label, curve.y_axis.label, curve.diagonal) == ("confidence", "accuracy", True)
    gaps = np.abs(np.subtract(curve.x, curve.y))
    assert 100 * np.average(gaps, weights=curve.sizes) == pytest.approx(findings["calibration error"].value)


@pytest.mark.parametrize(("sharpness", "true"), [(1.0, 0.0), (2.0, None)])
def test_the_interval_of_calibration_holds_the_truth(sharpness, true):
    # the error of a calibrated classifier comes out at 4 %, of 1,000 examples: 0 has to be within reach all the same
    if true is None:
        z, y = drawn(n=400_000, sharpness=sharpness)
        p = softmax(z)
        true = 100 * calibration(p.max(axis=1), p.argmax(axis=1) == y).error
    covered, values = [], []
    for seed in range(200):
        z, y = drawn(n=1000, sharpness=sharpness, seed=seed + 1)
        p = softmax(z)
        findings = calibration_error(p.max(axis=1), p.argmax(axis=1) == y)
        covered.append(findings.low <= true <= findings.high)
        values.append(findings.value)
    assert np.mean(covered) >= 0.94
    assert np.mean(values) > true + 0.1  # biased upwards, as its method says
    assert "upwards" in findings.method["bias"]
    if sharpness == 1.0:
        assert np.mean(values) == pytest.approx(findings.method["of a calibrated classifier, by chance"], rel=0.1)


def test_blocks_of_calibration_are_random():
    # sorted by class, blocks in order would be of one class each
    z, y = drawn(n=1000, sharpness=2.0)
    order = np.argsort(y)
    a, b = findings_of(z, y)["calibration error"], findings_of(z[order], y[order])["calibration error"]
    assert a.value == pytest.approx(b.value)
    assert b.high - b.value == pytest.approx(a.high - a.value, rel=0.6)


# what cannot be had


def test_infinite_and_missing_logits():
    z, y = drawn(n=20)
    z[3, y[3]] = -np.inf  # the right class is called impossible
    findings = findings_of(z, y)
    assert findings["label loss"].value == math.inf
    z[4, 0] = np.nan
    with pytest.raises(FloatingPointError, match="logits: NaN for 1 of 20 examples"):
        findings_of(z, y)


@pytest.mark.parametrize(
    ("z", "y", "names", "words"),
    [
        (np.zeros((5, 1)), np.zeros(5), NAMES[:1], "logits: got 1 class, wanted at least 2"),
        (np.zeros((5, 3)), np.full(5, 3), NAMES[:3], "labels: got 3 to 3, wanted 0 to 2, one of the 3 logits"),
        (np.zeros((5, 3)), np.full(5, -1), NAMES[:3], "labels: got -1 to -1, wanted 0 to 2"),
        (np.zeros((5, 3)), np.zeros(5), NAMES[:4], r"logits: got shape \(5, 3\), wanted \(5, 4\)"),
        (np.zeros((5, 3)), None, NAMES[:3], "got examples without labels"),
    ],
)
def test_what_is_refused(z, y, names, words):
    with pytest.raises(ValueError, match=words):
        findings_of(z, y, names)


def test_no_examples():
    with pytest.raises(ValueError, match="split: got no examples"):
        Examples(np.zeros((0, 3)), np.zeros(0))


def test_one_example_has_no_calibration():
    findings = findings_of(np.eye(3)[:1], np.array([0]), NAMES[:3])
    assert findings["accuracy"].value == 100.0
    assert [(m.name, m.reason) for m in findings.missing] == [
        ("calibration error", "calibration error: got 1 example, wanted at least 2")
    ]


def test_a_group_asks_for_labels():
    z, y = drawn()
    z = z.astype(np.float32)
    spec = Spec(name="z", kind="vector", shape=(8,), mean=(0.0,) * 8, std=(1.0,) * 8, target=class_target(NAMES))

    class Same:
        def logits(self, x):
            return x

    def reference(y, **others):
        return Reference(spec=spec, test=Examples(z, y, {"split": "test"}), features=raw_features(spec), **others)

    held_out = Examples(z[:200], y[:200], {"split": "validation"})
    names = {e.name for e in classification_measures(Same(), reference(y, validation=held_out)).estimates}
    assert names == set(MEANINGS)
    findings = classification_measures(Same(), reference(y))
    assert names - {e.name for e in findings} == {n for n in names if n.startswith("scaled")} | {"temperature"}
    assert {e.varies for e in findings.estimates} == {"test examples"}
    assert findings["calibration error"].protocol == {"split": "test", "bins": 15}
    assert not classification_measures(Same(), reference(None)).estimates
