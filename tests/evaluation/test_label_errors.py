"""Confident learning: thresholds, counts and estimated errors of small tables, computed by hand."""

import numpy as np
import pytest

from thalweg.evaluation.statistics.label_errors import label_errors

OTHERS = {0: [1], 1: [0]}


def found(p, y):
    p = np.array(p, dtype=float)
    return label_errors(p, np.array(y), np.arange(len(p)) % 2, OTHERS)


def test_two_classes_with_an_example_that_is_counted_as_none():
    p0 = [0.9, 0.6, 0.2, 0.5, 0.3, 0.1, 0.7]
    result = found([[p, 1 - p] for p in p0], [0, 0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(result.thresholds, [(0.9 + 0.6 + 0.2 + 0.5) / 4, (0.7 + 0.9 + 0.3) / 3])  # 0.55, 0.63
    assert result.counts.tolist() == [[2, 1], [1, 2]]  # the fourth reaches neither threshold
    np.testing.assert_allclose(result.joint, [[8 / 3, 4 / 3], [1, 2]])  # rows sum to the 4 and 3 labels
    np.testing.assert_allclose(result.errors, [4 / 3, 1])
    assert np.flatnonzero(result.suspect).tolist() == [2, 6]
    assert result.suggested.tolist() == [0, 0, 1, 0, 1, 1, 0]
    np.testing.assert_allclose(result.confidence, [0.9, 0.6, 0.2, 0.5, 0.7, 0.9, 0.3])
    assert result.order.tolist() == [2, 6, 3, 1, 4, 0, 5]


def test_a_prediction_other_than_the_label_is_not_the_criterion():
    """The third example is most probably of class 1, but only class 0 reaches its threshold; the sixth is predicted
    as its label 1, but only class 0 reaches its threshold.
    """
    p = [[0.5, 0.3, 0.2], [0.3, 0.5, 0.2], [0.42, 0.46, 0.12], [0.05, 0.9, 0.05], [0.05, 0.9, 0.05],
         [0.45, 0.55, 0.0], [0.0, 0.2, 0.8], [0.0, 0.0, 1.0]]  # fmt: skip
    result = found(p, [0, 0, 0, 1, 1, 1, 2, 2])
    np.testing.assert_allclose(result.thresholds, [(0.5 + 0.3 + 0.42) / 3, (0.9 + 0.9 + 0.55) / 3, 0.9])
    assert result.counts.tolist() == [[2, 0, 0], [1, 2, 0], [0, 0, 1]]
    assert np.flatnonzero(result.suspect).tolist() == [5]
    assert result.suggested.tolist() == [0, 1, 0, 1, 1, 0, 2, 2]  # counted as none: the most probable class
    np.testing.assert_allclose(result.errors, [0, 1, 0])


def test_of_several_classes_that_reach_their_thresholds_the_most_probable_counts():
    p = [[0.1, 0.5, 0.4], [0.4, 0.3, 0.3], [0.45, 0.5, 0.05], [0.5, 0.1, 0.4], [0.1, 0.35, 0.55]]
    result = found(p, [0, 0, 1, 1, 2])
    np.testing.assert_allclose(result.thresholds, [0.25, 0.3, 0.55])
    assert result.suggested.tolist() == [1, 0, 1, 0, 2]
    assert result.counts.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]


def test_columns_are_the_classes_in_their_order():
    rng = np.random.default_rng(0)
    p, y, order = rng.dirichlet([0.5] * 4, 200), rng.integers(4, size=200), np.array([2, 0, 3, 1])
    first, second = found(p, y), found(p[:, order], np.argsort(order)[y])
    assert (order[second.suggested] == first.suggested).all()
    assert (second.suspect == first.suspect).all()
    assert (second.counts == first.counts[np.ix_(order, order)]).all()
    np.testing.assert_allclose(second.thresholds, first.thresholds[order])
    np.testing.assert_allclose(first.joint.sum(1), np.bincount(y))


def test_equal_probabilities_reach_their_mean_and_a_class_without_labels_is_never_suggested():
    result = found([[0.1, 0.9]] * 3, [0, 0, 0])  # the mean of three 0.1 exceeds 0.1 by rounding
    assert result.counts.tolist() == [[3, 0], [0, 0]]
    assert result.errors.tolist() == [0, 0]
    assert not result.suspect.any()


def test_estimated_errors_are_near_those_that_were_planted():
    """Exact probabilities of the true class, of which 10 % of labels of class 0 are exchanged for class 1."""
    rng = np.random.default_rng(1)
    true = rng.integers(3, size=6000)
    p = np.full((6000, 3), 0.02)
    p[np.arange(6000), true] = 0.96
    y = np.where((true == 1) & (rng.random(6000) < 0.1), 0, true)
    result = found(p, y)
    assert (result.suspect == (y != true)).all()
    assert result.errors.tolist() == [float(np.sum(y != true)), 0.0, 0.0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trained_on": {0: [1], 1: [0, 1]}}, "got fold 1 for the model that scored fold 1, wanted other folds only"),
        ({"trained_on": {0: [1]}}, "trained_on: got nothing for fold 1"),
        ({"p": np.full((4, 1), 1.0)}, "wanted .N, K., the probabilities of 2 or more classes"),
        ({"p": np.full((4, 2), 0.6)}, "p: got rows that are no probabilities"),
        ({"p": np.array([[1.5, -0.5]] * 4)}, "p: got rows that are no probabilities"),
        ({"p": np.full((4, 2), np.nan)}, "p: got rows that are no probabilities"),
        ({"y": np.array([0, 1, 2, 0])}, "y: got 0 to 2, wanted 0 to 1"),
        ({"y": np.array([0, 1])}, r"y: got int64 of shape \(2,\), wanted integers of shape \(4,\)"),
        ({"fold": np.array([0.0, 1.0, 0.0, 1.0])}, "fold: got float64"),
    ],
)
def test_scores_in_sample_and_no_probabilities_are_refused(changes, words):
    known = {"p": np.full((4, 2), 0.5), "y": np.array([0, 1, 0, 1]), "fold": np.array([0, 0, 1, 1]),
             "trained_on": OTHERS}  # fmt: skip
    with pytest.raises(ValueError, match=words):
        label_errors(**{**known, **changes})
