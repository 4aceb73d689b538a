"""Labels that are probably wrong, from probabilities of models that were not trained on the examples they score."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["LabelErrors", "label_errors"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class LabelErrors:
    """The scores of N labels of K classes; classes have the order of the columns of the probabilities.

    `confidence` (N,) is the self-confidence, the probability of the label; `order` (N,) are the examples by it, lowest
    first. `suggested` (N,) is the class that an example is counted as, or the most probable one if it is counted as
    none; `suspect` (N,) marks the examples that are counted as another class than their label. `thresholds` (K,) are
    the t_j and `counts` (K, K) the examples of label i that are counted as class j. `joint` (K, K) estimates the number
    of examples with label i whose true class is j, and `errors` (K,) that of the wrong labels of each class.
    """

    confidence: Array
    order: Array
    suggested: Array
    suspect: Array
    thresholds: Array
    counts: Array
    joint: Array

    @property
    def errors(self) -> Array:
        """The estimated number of wrong labels of each class: the sum of its row of `joint` without the diagonal."""
        off: Array = self.joint.sum(axis=1) - np.diagonal(self.joint)
        return off


def label_errors(p: Array, y: Array, fold: Array, trained_on: Mapping[int, Collection[int]]) -> LabelErrors:
    """Return which labels `y` (N,) are probably wrong, from out-of-sample probabilities `p` (N, K), by confident
    learning.

    The score of a label is its self-confidence p(y|x); lower is worse. The threshold of class j is
    t_j = mean of p_j over the examples labelled j. An example is counted as the most probable of the classes k with
    p_k ≥ t_k, or as none. C_ij is the number of examples labelled i and counted as j; the estimated joint is
    Q_ij = n_i C_ij / Σ_j C_ij, with the n_i examples labelled i. A prediction that differs from the label is neither
    necessary nor sufficient for a suspect: of a class that is often confused, the threshold is low.

    `fold` (N,) is the fold of each example, and `trained_on[f]` the folds that the model which scored fold f was
    trained on. Raises ValueError if f is among them: a model reproduces labels that it was trained on, so the wrong
    ones would seem right. Raises ValueError for other shapes, and for rows that are no probabilities.

    Reference: *Confident learning: estimating uncertainty in dataset labels*, C. Northcutt, L. Jiang, I. Chuang, 2021,
    arXiv:1911.00068.

    >>> p = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.1, 0.9], [0.4, 0.6]])
    >>> found = label_errors(p, np.array([0, 0, 0, 1, 1]), np.array([0, 1, 0, 1, 0]), {0: [1], 1: [0]})
    >>> found.suspect.tolist(), found.counts.tolist(), found.errors.tolist()
    ([False, False, True, False, False], [[2, 1], [0, 1]], [1.0, 0.0])
    """
    p, y, fold = np.asarray(p, dtype=np.float64), np.asarray(y), np.asarray(fold)
    _check(p, y, fold, trained_on)
    n, classes = p.shape
    own = p[np.arange(n), y]
    labelled = np.bincount(y, minlength=classes)
    means = np.bincount(y, weights=own, minlength=classes) / np.maximum(labelled, 1)
    highest = np.full(classes, -np.inf)
    np.maximum.at(highest, y, own)
    # the mean of equal values may exceed them by rounding; no example is counted as a class that labels none
    thresholds = np.where(labelled > 0, np.minimum(means, highest), np.inf)
    reached = p >= thresholds
    counted = reached.any(axis=1)
    suggested = np.where(counted, np.where(reached, p, -1.0).argmax(axis=1), p.argmax(axis=1))
    pairs = y[counted] * classes + suggested[counted]
    counts = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    joint = counts * (labelled / np.maximum(counts.sum(axis=1), 1))[:, None]
    order = np.argsort(own, kind="stable")
    return LabelErrors(own, order, suggested, counted & (suggested != y), thresholds, counts, joint)


def _check(p: Array, y: Array, fold: Array, trained_on: Mapping[int, Collection[int]]) -> None:
    if p.ndim != 2 or p.shape[1] < 2 or not len(p):
        raise ValueError(f"p: got shape {p.shape}, wanted (N, K), the probabilities of 2 or more classes")
    for name, a in (("y", y), ("fold", fold)):
        if a.shape != (len(p),) or a.dtype.kind not in "iu":
            raise ValueError(f"{name}: got {a.dtype} of shape {a.shape}, wanted integers of shape ({len(p)},)")
    if not 0 <= y.min() <= y.max() < p.shape[1]:
        raise ValueError(f"y: got {y.min()} to {y.max()}, wanted 0 to {p.shape[1] - 1}, the columns of the p")
    if not ((p >= 0).all() and np.allclose(p.sum(axis=1), 1.0, rtol=0, atol=1e-4)):
        raise ValueError("p: got rows that are no probabilities, wanted numbers of at least 0 whose sum is 1")
    for f in np.unique(fold).tolist():
        if f not in trained_on:
            raise ValueError(f"trained_on: got nothing for fold {f}, wanted the folds that its model was trained on")
        if f in trained_on[f]:
            raise ValueError(
                f"trained_on: got fold {f} for the model that scored fold {f}, wanted other folds only: scores of"
                " examples that a model was trained on do not show wrong labels"
            )
