"""The most confident mistakes of a classifier, and the pairs of classes that it confuses most often."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.evaluation.estimates.figures import Figure, ImageGrid
from thalweg.evaluation.estimates.findings import Findings
from thalweg.evaluation.examples import Examples

__all__ = ["confident_mistakes", "confused_pairs", "mistakes"]

MISTAKES, PAIRS, IMAGES = 16, 6, 8  # at most: mistakes, pairs of classes, images of a pair
Array = np.ndarray[Any, Any]


def confident_mistakes(y: Array, predicted: Array, confidence: Array, most: int = MISTAKES) -> Array:
    """Return the rows (m,) of at most `most` wrong predictions, the most confident first; of equal ones the first row.

    >>> confident_mistakes(np.array([0, 1, 1]), np.array([1, 1, 0]), np.array([0.6, 0.9, 0.8])).tolist()
    [2, 0]
    """
    wrong = np.flatnonzero(y != predicted)
    return wrong[np.argsort(-confidence[wrong], kind="stable")][:most]


def confused_pairs(y: Array, predicted: Array, most: int = PAIRS) -> list[tuple[int, int, Array]]:
    """Return the most frequent pairs of a label and another predicted class, with the rows (m,) of their examples.

    There are at most `most`, in the order of their number of examples, pairs with equal numbers in that of the classes.

    >>> confused_pairs(np.array([0, 2, 2, 1]), np.array([1, 0, 0, 1]))
    [(2, 0, array([1, 2])), (0, 1, array([0]))]
    """
    wrong = np.flatnonzero(y != predicted)
    pairs, of = np.unique(np.stack([y[wrong], predicted[wrong]], 1), axis=0, return_inverse=True)
    of = of.reshape(-1)
    order = np.argsort(-np.bincount(of, minlength=len(pairs)), kind="stable")[:most]
    return [(int(pairs[k, 0]), int(pairs[k, 1]), wrong[of == k]) for k in order]


def mistakes(
    y: Array, predicted: Array, confidence: Array, examples: Examples, names: tuple[str, ...], *, images: bool = False
) -> Findings:
    """Return the most confident mistakes and the most frequent confusions as the tables "mistakes" and "confusions".

    Indices are places in the split; `names` are those of the classes. Of images, they are figures as well.

    >>> known = Examples(np.zeros((2, 1)), np.array([0, 1]))
    >>> mistakes(np.array([0, 1]), np.array([1, 1]), np.array([0.75, 0.5]), known, ("a", "b")).tables["mistakes"]
    [{'index': 0, 'label': 'a', 'predicted': 'b', 'probability': 0.75}]
    """
    wrong: list[dict[str, Any]] = []
    confusions: list[dict[str, Any]] = []
    figures: list[Figure] = []

    def show(panel: str, caption: str, rows: Array) -> None:
        if images:
            figures.append(ImageGrid("mistakes", np.array(examples.x[rows]), panel=panel, caption=caption))

    for row in confident_mistakes(y, predicted, confidence):
        label, other, p = names[y[row]], names[predicted[row]], float(confidence[row])
        index = int(examples.places[row])
        wrong.append({"index": index, "label": label, "predicted": other, "probability": p})
        show("most confident mistakes", f"{label} → {other}, {100 * p:.1f} %", np.array([row]))
    for true, false, rows in confused_pairs(y, predicted):
        label, other, count = names[true], names[false], len(rows)
        places = examples.places[rows[:IMAGES]].tolist()
        confusions.append({"label": label, "predicted": other, "count": count, "indices": places})
        show("most frequent confusions", f"{label} → {other}, {count:,} example{'s'[: count != 1]}", rows[:IMAGES])
    return Findings(tables={"mistakes": wrong, "confusions": confusions}, figures=figures)
