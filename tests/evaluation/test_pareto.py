"""Pareto-optimal points against the definition, compared in pairs."""

import math

import numpy as np
import pytest

from thalweg.evaluation.statistics.pareto import pareto


def by_definition(points):
    def dominates(a, b):
        return a[0] <= b[0] and a[1] >= b[1] and a != b

    optimal = [i for i, p in enumerate(points) if not any(dominates(q, p) for q in points)]
    return sorted(optimal, key=lambda i: (points[i][0], i))


@pytest.mark.parametrize(
    ("points", "wanted"),
    [
        ([], []),
        ([(5.0, 5.0)], [0]),
        ([(1, 90), (2, 95), (3, 93)], [0, 1]),
        ([(1, 90), (1, 95)], [1]),  # equal costs
        ([(2, 90), (1, 90)], [1]),  # equal values
        ([(1, 90), (2, 95), (1, 90), (2, 95)], [0, 2, 1, 3]),  # equal points do not exclude each other
        ([(1, 90), (2, 95), (2, 90), (1, 80)], [0, 1]),
        ([(math.inf, 99), (1, -math.inf)], [1, 0]),
    ],
)
def test_small_cases(points, wanted):
    assert pareto(points) == wanted == by_definition(points)


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_definition(seed):
    """Of few different numbers, so that there are many ties and duplicates."""
    points = [tuple(map(int, p)) for p in np.random.default_rng(seed).integers(0, 6, (25, 2))]
    assert pareto(points) == by_definition(points)


def test_nan_is_refused():
    with pytest.raises(ValueError, match="points: got NaN"):
        pareto([(1.0, math.nan)])
