"""What kind of numbers the columns of vectors hold: continuous, or discrete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from thalweg.config import Discrete

__all__ = ["MAX_VALUES", "degenerate_columns", "discrete_columns"]

Array = np.ndarray[Any, Any]
MAX_VALUES = 100  # distinct values of a discrete column that are no integers
REPEATS = 10  # how often such a value occurs, on average
MAX_SHARE = 0.05  # of the rows of a continuous column that may have one value
MAX_ROWS, MAX_COLUMNS = 10_000, 1_000  # examined for linearly dependent columns


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
        return None  # most columns are continuous: this avoids sorting all of the column
    values = np.unique(column)
    if len(values) > min(MAX_VALUES, len(column) / REPEATS) or len(values) < 2:
        return None
    return Discrete(float(np.diff(values).min()), tuple(values.tolist()))


def _integers(column: Array) -> bool:
    first = column[:1000]
    return bool((first == np.floor(first)).all() and (column == np.floor(column)).all())


def degenerate_columns(x: Array, discrete: Sequence[Discrete | None], names: Sequence[str]) -> list[str]:
    """Return a warning for each way in which vectors (N, D) have no density, so that likelihoods are unbounded.

    That is a continuous column with one value in more than 5 % of the rows, or a column that is a linear function of
    columns before it.

    >>> x = np.random.default_rng(0).normal(size=(100, 1))
    >>> degenerate_columns(np.hstack([x, 2 * x + 1]), (), ("a", "b"))
    ["column 'b' is a linear function of other columns: a density of both is unbounded, so leave it out"]
    """
    found = []
    for i, name in enumerate(names):
        if not discrete or discrete[i] is None:
            values, counts = np.unique(x[:, i], return_counts=True)
            share = counts.max() / len(x)
            if share > MAX_SHARE and counts.max() > 1:
                value = values[counts.argmax()]
                found.append(
                    f"column '{name}' is {value:g} in {100 * share:.0f} % of the rows: a density there is unbounded,"
                    " so log-likelihoods of this table do not compare models"
                )
    return found + [
        f"column '{names[i]}' is a linear function of other columns: a density of both is unbounded, so leave it out"
        for i in _dependent(x)
    ]


def _dependent(x: Array) -> list[int]:
    """Return the columns that are linear functions of those before them, by Gram-Schmidt orthogonalization."""
    if x.shape[1] > MAX_COLUMNS or len(x) <= x.shape[1]:
        return []
    rows = x[:: -(-len(x) // MAX_ROWS)] - x[0]
    rows = rows - rows.mean(axis=0)
    kept, found = np.zeros((len(rows), 0)), []
    for i, column in enumerate(rows.T):
        size = np.linalg.norm(column)
        for _ in range(2):  # once more for what rounding left
            column = column - kept @ (kept.T @ column)
        left = np.linalg.norm(column)
        if size and left < 1e-7 * size:
            found.append(i)
        elif left:
            kept = np.column_stack([kept, column / left])
    return found
