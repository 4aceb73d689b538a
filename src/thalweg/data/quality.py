"""Properties of a data set that make measurements misleading: duplicates across splits, degenerate columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.data.columns import degenerate_columns
from thalweg.data.dataset import Dataset
from thalweg.data.splits import content_keys

__all__ = ["duplicates", "warnings_of"]

MAX_REPEATED = 0.01  # share of repeated training examples above which densities are suspect


def duplicates(dataset: Dataset) -> dict[str, int]:
    """Return the numbers of validation and test examples that equal a training example, and of repeated ones.

    Examples are equal if all their values are; labels are not compared. "repeated" counts the training examples that
    equal an earlier one.

    >>> from thalweg.config import DataConfig
    >>> from thalweg.data import load
    >>> duplicates(load(DataConfig(source="moons", examples=100)))
    {'validation in training': 0, 'test in training': 0, 'repeated': 0}
    """
    train = content_keys(dataset.trained_on.train.x)
    known = np.unique(train)
    counts = {
        f"{name} in training": int(np.isin(content_keys(dataset.split(name).x), known).sum())
        for name in _measured(dataset)
    }
    return counts | {"repeated": len(train) - len(known)}


def _measured(dataset: Dataset) -> tuple[str, ...]:
    """Return the splits that models may be measured on; all, for data other than a model's own."""
    return ("validation", "test") if dataset.own is None else ("all",)


def warnings_of(dataset: Dataset) -> list[str]:
    """Return a line for each property of the data that makes measurements misleading."""
    warnings, spec, n = [], dataset.spec, len(dataset.trained_on.train)
    count = duplicates(dataset)
    for name in _measured(dataset):
        same, of = count[f"{name} in training"], len(dataset.split(name))
        which = "examples" if name == "all" else f"{name} examples"
        if same:
            warnings.append(
                f"{same} of {of} {which} are also training examples: measurements on them are too good;"
                " --deduplicate removes duplicates, --split-by keeps groups in one split"
            )
    for name in _measured(dataset):
        keys = content_keys(dataset.split(name).x)
        again = len(keys) - len(np.unique(keys))
        if again > MAX_REPEATED * len(keys) and spec.kind != "tokens" and not _discrete(spec):
            warnings.append(
                f"{again} of {len(keys)} {'' if name == 'all' else name + ' '}examples are duplicates of others there:"
                " intervals treat them as independent and are too narrow; --deduplicate removes duplicates"
            )
    if n and count["repeated"] > MAX_REPEATED * n and spec.kind != "tokens" and not _discrete(spec):
        warnings.append(
            f"{count['repeated']} of {n} training examples are duplicates of others: densities of the data are"
            " unbounded there, and copies by a model cannot be detected; --deduplicate removes duplicates"
        )
    if spec.kind == "image" and spec.levels == 256:
        values = np.unique(np.asarray(dataset.train.x[:1000]))
        if len(values) <= 2:
            warnings.append(
                f"images have the values {' and '.join(map(str, values.tolist()))} only, but are read as 256 levels:"
                " save them as booleans for models of two levels"
            )
    if spec.kind == "vector":
        names = spec.columns or tuple(map(str, range(spec.size)))
        warnings += degenerate_columns(np.asarray(dataset.train.x), spec.discrete, names)
    return warnings


def _discrete(spec: Any) -> bool:
    return spec.kind == "vector" and bool(spec.discrete) and all(spec.discrete)
