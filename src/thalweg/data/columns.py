"""What kind of numbers the columns of vectors hold: continuous, or discrete."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.config import Discrete

__all__ = ["MAX_VALUES", "discrete_columns"]

Array = np.ndarray[Any, Any]
MAX_VALUES = 100  # distinct values of a discrete column that are no integers
REPEATS = 10  # how often such a value occurs, on average


def discrete_columns(x: Array) -> tuple[Discrete | None, ...]:
    """Return how each column of vectors (N, D) is discrete, None for a continuous one; () where all are continuous.

    A column is discrete if it holds integers only, or at most 100 distinct values, each ten times on average. A density
    of such a column is unbounded: a model may put a spike on every value. Models therefore add uniform noise within
    each value's cell, whose width is 1 for integers and else the least distance between two values, so that cells are
    disjoint; what they report is the log-probability of the values.

    >>> discrete_columns(np.array([[0.5, 1.0], [0.25, 7.0]]))
    (None, Discrete(step=1.0, values=()))
    """
    found = tuple(_discrete(column) for column in x.T)
    return found if any(found) else ()


def _discrete(column: Array) -> Discrete | None:
    if _integers(column):
        return Discrete()
    if len(np.unique(column[: REPEATS * MAX_VALUES])) > MAX_VALUES:
        return None  # what most columns are, told without sorting all of it
    values = np.unique(column)
    if len(values) > min(MAX_VALUES, len(column) / REPEATS) or len(values) < 2:
        return None
    return Discrete(float(np.diff(values).min()), tuple(values.tolist()))


def _integers(column: Array) -> bool:
    first = column[:1000]
    return bool((first == np.floor(first)).all() and (column == np.floor(column)).all())
