"""Whether the columns of vectors are continuous or discrete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from thalweg.config import Discrete

__all__ = ["MAX_VALUES", "degenerate_columns", "discrete_columns"]

Array = np.ndarray[Any, Any]
MAX_VALUES = 100  # distinct values of a discrete column that are not integers
MIN_REPEATS = 10  # occurrences of such a value, on average
MAX_SHARE = 0.05  # largest share of the rows of a continuous column with one value
MAX_ROWS, MAX_COLUMNS = 10_000, 1_000  # examined for linearly dependent columns


def discrete_columns(x: Array) -> tuple[Discrete | None, ...]:
    """Return how each column of vectors (N, D) is discrete, None for a continuous one; () where all are continuous.

    A column is discrete if all its values are integers, or if it has at most 100 distinct values, each ten times on
    average. The density of such a column is unbounded, since a model may put a spike on every value. Models therefore
    add uniform noise within the cell of each value, whose width is 1 for integers and else the smallest distance of two
    values, so that cells are disjoint; they report the log-probability of the values.

    >>> discrete_columns(np.array([[0.5, 1.0], [0.25, 7.0]]))
    (None, Discrete(step=1.0, values=()))
    """
    columns = tuple(_discrete(column) for column in x.T)
    return columns if any(columns) else ()


def _discrete(column: Array) -> Discrete | None:
    if _integers(column):
        return Discrete()
    if len(np.unique(column[: MIN_REPEATS * MAX_VALUES])) > MAX_VALUES:
        return None  # most columns are continuous: this avoids sorting them
    values = np.unique(column)
    if len(values) > min(MAX_VALUES, len(column) / MIN_REPEATS) or len(values) < 2:
        return None
    return Discrete(float(np.diff(values).min()), tuple(values.tolist()))


def _integers(column: Array) -> bool:
    first = column[:1000]
    return bool((first == np.floor(first)).all() and (column == np.floor(column)).all())


def degenerate_columns(x: Array, discrete: Sequence[Discrete | None], names: Sequence[str]) -> list[str]:
    """Return a warning for each reason why vectors (N, D) have no density, so that likelihoods are unbounded.

    The reasons are a continuous column with one value in more than 5 % of the rows, and a column that is a linear
    function of earlier columns.

    >>> x = np.random.default_rng(0).normal(size=(100, 1))
    >>> degenerate_columns(np.hstack([x, 2 * x + 1]), (), ("a", "b"))
    ["column 'b' is a linear function of other columns: their density is unbounded, so leave it out"]
    """
    warnings = []
    for i, name in enumerate(names):
        if not discrete or discrete[i] is None:
            values, counts = np.unique(x[:, i], return_counts=True)
            share = counts.max() / len(x)
            if share > MAX_SHARE and counts.max() > 1:
                value = values[counts.argmax()]
                warnings.append(
                    f"column '{name}' is {value:g} in {100 * share:.0f} % of the rows: its density is unbounded"
                    " there, so log-likelihoods of this table cannot compare models"
                )
    return warnings + [
        f"column '{names[i]}' is a linear function of other columns: their density is unbounded, so leave it out"
        for i in _dependent(x)
    ]


def _dependent(x: Array) -> list[int]:
    """Return the columns that are linear functions of earlier ones, by Gram-Schmidt orthogonalization."""
    if x.shape[1] > MAX_COLUMNS or len(x) <= x.shape[1]:
        return []
    rows = x[:: -(-len(x) // MAX_ROWS)] - x[0]
    rows = rows - rows.mean(axis=0)
    kept, dependent = np.zeros((len(rows), 0)), []
    for i, column in enumerate(rows.T):
        size = np.linalg.norm(column)
        for _ in range(2):  # the second pass removes rounding errors
            column = column - kept @ (kept.T @ column)
        left = np.linalg.norm(column)
        if size and left < 1e-7 * size:
            dependent.append(i)
        elif left:
            kept = np.column_stack([kept, column / left])
    return dependent
