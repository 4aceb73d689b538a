"""The points of several models that no other is better than in both of two quantities."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["pareto"]


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the Pareto-optimal points (cost, value), by increasing cost.

    A point is Pareto-optimal unless another has at most its cost and at least its value, and is better in one of them.
    Equal points do not exclude each other.

    Raises ValueError for NaN.

    >>> pareto([(3.0, 95.0), (1.0, 90.0), (2.0, 89.0)])
    [1, 0]
    """
    if any(math.isnan(number) for point in points for number in point):
        raise ValueError("points: got NaN, wanted numbers")
    best, optimal = None, list[int]()
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if best is None or points[i][1] > best[1] or points[i] == best:
            best = points[i]
            optimal.append(i)
    return optimal
