"""Parts of the training split: nested shares, folds, and the description of the data for a model of such a part."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from thalweg.data.assemble import moments, take
from thalweg.data.dataset import Dataset, Spec, Split
from thalweg.randomness import fold

__all__ = ["nested_rows", "spec_of_training", "stratified_folds", "with_share", "with_training_rows"]

Array = np.ndarray[Any, Any]


def nested_rows(n: int, share: float, seed: int, y: Array | None = None) -> Array:
    """Return the rows, in order, of a share of `n` examples; those of a smaller share are among those of a larger one.

    They are the first of a random order, `share` · n of them. With classes `y` (n,) these are the first `share` · n_c
    examples of each class c, which has n_c; counts are rounded, and at least 1.

    >>> nested_rows(6, 0.5, seed=0, y=np.array([0, 0, 0, 0, 1, 1]))
    array([0, 2, 5])
    """
    order = np.random.default_rng(fold(seed, "share")).permutation(n)
    of = np.zeros(n, np.int64) if y is None else np.asarray(y)[order]
    by_class = np.argsort(of, kind="stable")
    counts = np.bincount(of)
    place = np.arange(n) - (np.cumsum(counts) - counts)[of[by_class]]  # of each example among those of its class
    kept = np.maximum(np.rint(share * counts), 1)
    rows: Array = np.sort(order[by_class[place < kept[of[by_class]]]])
    return rows


def stratified_folds(y: Array, folds: int, seed: int) -> Array:
    """Return the fold, 0 to `folds` − 1, of each example with the class `y` (n,), int64 (n,).

    The folds are random and of equal size, and so are the numbers of examples of each class in them, up to 1.

    >>> stratified_folds(np.array([0, 0, 0, 0, 1, 1]), 2, seed=0)
    array([0, 1, 1, 0, 1, 0])
    """
    order = np.random.default_rng(fold(seed, "folds")).permutation(len(y))
    by_class = order[np.argsort(np.asarray(y)[order], kind="stable")]
    result = np.empty(len(y), np.int64)
    result[by_class] = np.arange(len(y)) % folds
    return result


def with_share(dataset: Dataset, share: float | None, seed: int) -> Dataset:
    """Return the data set with a share of its training examples, see `nested_rows`; for None and 1, as it is.

    >>> from thalweg.config import DataConfig
    >>> from thalweg.data import load
    >>> len(with_share(load(DataConfig(source="digits")), 0.1, seed=0).train)
    144
    """
    if share is None or share == 1.0:
        return dataset
    assert dataset.share is None, "a share of a share"
    y = dataset.train.y if dataset.spec.classes else None
    rows = nested_rows(len(dataset.train), share, seed, y)
    return replace(dataset, train=take(dataset.train, rows), share=share)


def with_training_rows(dataset: Dataset, rows: Array, y: Array) -> Dataset:
    """Return the data set whose training examples are these rows, with the labels `y` of all rows, and no test split.

    Its fingerprint is a function of that of the data set, the rows and the labels.
    """
    import hashlib

    digest = hashlib.blake2b(dataset.spec.fingerprint.encode(), digest_size=8)
    for a in (rows, y):
        digest.update(np.ascontiguousarray(a, dtype=np.int64).data)
    spec = replace(dataset.spec, fingerprint=digest.hexdigest())
    train: Split = take(replace(dataset.train, y=y), rows)
    part = Dataset(spec=spec, train=train, validation=dataset.validation, test=take(train, slice(0, 0)))
    return replace(part, spec=spec_of_training(part))


def spec_of_training(dataset: Dataset) -> Spec:
    """Return the Spec with the mean and standard deviation of the training examples that the data set holds."""
    spec = dataset.spec
    if spec.kind == "tokens":
        return spec
    mean, std = moments(dataset.train.x)
    std[std == 0] = 1.0  # a column may be constant in a small part
    return replace(spec, mean=tuple(mean.tolist()), std=tuple(std.tolist()))
