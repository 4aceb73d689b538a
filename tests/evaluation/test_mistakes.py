"""The most confident mistakes and the most frequent confusions, against sorting by hand and the confusion matrix."""

import json

import numpy as np
import pytest
import torch

from thalweg.data import Dataset, Spec, Split, class_target
from thalweg.evaluation import evaluate
from thalweg.evaluation.estimates.figures import ImageGrid
from thalweg.evaluation.examples import Examples
from thalweg.evaluation.measures.classification import answers, classification, confusion
from thalweg.evaluation.measures.mistakes import confident_mistakes, confused_pairs, mistakes
from thalweg.evaluation.subset import subset

NAMES = ("a", "b", "c", "d")


def known(n=300, seed=0):
    random = np.random.default_rng(seed)
    y, predicted = random.integers(0, 4, n), random.integers(0, 4, n)
    return y, predicted, random.random(n).round(2)  # some are equal


def test_the_most_confident_mistakes_come_first_and_equal_ones_in_order():
    y, predicted, confidence = known()
    wanted = sorted((i for i in range(300) if y[i] != predicted[i]), key=lambda i: (-confidence[i], i))
    assert confident_mistakes(y, predicted, confidence).tolist() == wanted[:16]
    assert confident_mistakes(y, predicted, confidence, most=1000).tolist() == wanted


def test_confused_pairs_are_the_largest_entries_off_the_diagonal():
    y, predicted, _ = known()
    counts = confusion(y, predicted, 4) * (1 - np.eye(4, dtype=int))
    pairs = confused_pairs(y, predicted)
    assert [len(rows) for _, _, rows in pairs] == sorted(counts.ravel(), reverse=True)[:6]
    for label, other, rows in pairs:
        assert counts[label, other] == len(rows)
        assert rows.tolist() == np.flatnonzero((y == label) & (predicted == other)).tolist()
    ties = confused_pairs(np.array([3, 0, 2]), np.array([0, 3, 1]))
    assert [(label, other) for label, other, _ in ties] == [(0, 3), (2, 1), (3, 0)]


def test_without_mistakes_both_tables_are_empty():
    y = np.arange(4)
    findings = mistakes(y, y, np.ones(4), Examples(np.zeros((4, 1, 2, 2)), y), NAMES, images=True)
    assert (findings.tables, findings.figures) == ({"mistakes": [], "confusions": []}, [])


def test_images_and_indices_are_those_of_the_mistakes():
    """Each image has its place in the split as its level, also where the examples are a part of it."""
    x = np.arange(300, dtype=np.uint16)[:, None, None, None] * np.ones((1, 3, 2, 4), dtype=np.uint16)
    y, predicted, confidence = known()
    few = subset(Examples(x, y), 200)
    at = few.x[:, 0, 0, 0].astype(int)
    findings = mistakes(few.y, predicted[at], confidence[at], few, NAMES, images=True)
    table, confusions = findings.tables["mistakes"], findings.tables["confusions"]
    assert len(table) == 16
    for entry, figure in zip(table, findings.figures[:16], strict=True):
        i = entry["index"]
        assert (figure.values == i).all()
        assert entry == {"index": i, "label": NAMES[y[i]], "predicted": NAMES[predicted[i]],
                         "probability": confidence[i]}  # fmt: skip
        assert figure.caption == f"{NAMES[y[i]]} → {NAMES[predicted[i]]}, {100 * confidence[i]:.1f} %"
    for entry, figure in zip(confusions, findings.figures[16:], strict=True):
        assert figure.values.shape == (8, 3, 2, 4)
        assert figure.values[:, 0, 0, 0].tolist() == entry["indices"]
        assert {(NAMES[y[i]], NAMES[predicted[i]]) for i in entry["indices"]} == {(entry["label"], entry["predicted"])}
        assert figure.caption == f"{entry['label']} → {entry['predicted']}, {entry['count']} examples"
    json.dumps(findings.tables)


@pytest.mark.parametrize(("kind", "shape"), [("image", (1, 1, 3)), ("vector", (3,))])
def test_vectors_have_the_tables_but_no_images(kind, shape):
    x = np.array([[0, 9, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9]], dtype=np.uint8).reshape(-1, *shape)
    part = Split(x, np.array([0, 0, 1, 0]))
    spec = Spec(
        name="x", kind=kind, shape=shape, levels=10 if kind == "image" else None, target=class_target(NAMES[:3])
    )

    class Model(torch.nn.Module):
        def logits(self, x):
            return x.double().flatten(1)

    findings = evaluate(Model(), Dataset(spec, part, part, part), limit=3, seed=1)
    indices = [entry["index"] for entry in findings.tables["mistakes"]]
    assert indices  # examples 0 and 3 are wrong, of which three are chosen
    assert set(indices) <= {0, 3}
    shown = [figure for figure in findings.figures if isinstance(figure, ImageGrid)]
    assert len(shown) == (len(indices) + len(findings.tables["confusions"]) if kind == "image" else 0)


def test_one_example_is_in_the_singular():
    examples = Examples(np.eye(3), np.array([0, 1, 0]))
    findings = classification(answers(torch.as_tensor, examples), examples, NAMES[:3], images=True)
    assert [figure.caption for figure in findings.figures[2:]] == ["a → c, 57.6 %", "a → c, 1 example"]
