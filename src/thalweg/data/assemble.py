"""From what a reader read to a `Dataset`: splits, statistics, fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from thalweg.config import DataConfig, Discrete
from thalweg.data.columns import discrete_columns
from thalweg.data.dataset import Dataset, Spec, Split
from thalweg.randomness import fold

__all__ = ["Raw", "assemble", "classify", "order"]

Array = np.ndarray[Any, Any]
LEAST = 10  # examples, below which three splits make no sense
LARGEST = 1e150  # in size: squares of what is larger overflow
CHUNK = 1 << 24  # values looked at at once, so that a memory-mapped set need not fit the memory


@dataclass(frozen=True, kw_only=True)
class Raw:
    """What a reader gives: examples, in the splits the source has, and what they are."""

    kind: Literal["image", "vector", "tokens"]
    train: Split  # all the examples, where the source has no split
    validation: Split | None = None
    test: Split | None = None
    levels: int | None = None
    classes: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    vocabulary: tuple[str, ...] | None = None
    held: int | None = None  # how many of the last training examples are for validation, instead of a random share
    shuffled: bool = False  # the reader has put the examples in the order of `order` already
    density: Any = None


def order(n: int, seed: int) -> Array:
    """The random order in which `n` examples are split: a function of the seed."""
    return np.random.default_rng(fold(seed, "split")).permutation(n)


def classify(name: str, *labels: Array | None) -> tuple[tuple[str, ...], list[Array | None]]:
    """Return the sorted names of the classes and each array of labels as indices into them, int64.

    Raises ValueError if labels are neither whole numbers nor strings nor booleans.

    >>> classify("y", np.array(["dog", "cat", "dog"]))
    (('cat', 'dog'), [array([1, 0, 1])])
    """
    given = [a for a in labels if a is not None]
    for a in given:
        if a.dtype.kind not in "iubU":
            raise ValueError(f"{name}: got labels of type {a.dtype}, wanted whole numbers or text")
    values = np.unique(np.concatenate([a.ravel() for a in given]))
    classes = tuple(str(v) for v in values.tolist())
    return classes, [None if a is None else np.searchsorted(values, a).astype(np.int64) for a in labels]


def assemble(name: str, raw: Raw, config: DataConfig) -> Dataset:
    """Split what was read, measure the training examples, and say what they are.

    A source without a split is put in an order drawn from the seed; its first examples are the test set (10 % unless
    `config.test` says otherwise), the next ones the validation set, the rest is for training. `config.examples` keeps
    that many of the examples which the source does not set aside for validation or test.

    Raises ValueError for fewer than 10 examples, NaN or infinity, and columns that do not vary.
    """
    if len(raw.train) < LEAST:
        raise ValueError(f"{name}: got {len(raw.train)} examples, wanted at least {LEAST}")
    if raw.kind == "vector":
        for part in ("train", "validation", "test"):  # before rows change places
            _refuse_non_finite(name, getattr(raw, part), raw.columns)
    train, validation, test = _split(name, raw, config)
    splits = [train, validation, test]
    if not len(train):
        raise ValueError(f"{name}: got no training example, wanted smaller shares for validation and test")
    mean: Array = np.zeros(0)
    std: Array = np.zeros(0)
    if raw.kind == "vector":
        _refuse_constant(name, train.x, raw.columns)
    discrete: tuple[Discrete | None, ...] = ()
    if raw.kind == "vector":
        discrete = discrete_columns(np.concatenate([part.x for part in splits]))
    if raw.kind != "tokens":
        mean, std = _moments(train.x)
        std[std == 0] = 1.0  # an image channel that does not vary
    spec = Spec(
        name=name,
        kind=raw.kind,
        shape=tuple(train.x.shape[1:]),
        levels=raw.levels,
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        discrete=discrete,
        classes=raw.classes,
        columns=raw.columns,
        vocabulary=raw.vocabulary,
        fingerprint=_fingerprint(splits),
    )
    return Dataset(spec=spec, train=train, validation=validation, test=test, density=raw.density)


def _split(name: str, raw: Raw, config: DataConfig) -> tuple[Split, Split, Split]:
    n = len(raw.train)
    keep = n if config.examples is None else config.examples
    if keep > n:
        raise ValueError(f"examples: got {keep}, wanted at most {n}, which is what '{name}' has")
    if keep < LEAST:
        raise ValueError(f"examples: got {keep}, wanted at least {LEAST}")
    ready = raw.shuffled or raw.held is not None
    shares = {"test": config.test, "validation": config.validation}
    counts = {"test": 0, "validation": 0}
    for part in counts:
        if getattr(raw, part) is None:
            share = 0.1 if shares[part] is None else shares[part]
            counts[part] = max(1, round(share * keep)) if share else 0
    held, kept = counts["validation"], keep
    if raw.held is not None:  # the last ones of the training file, whatever `examples` keeps of the others
        held = raw.held if config.validation is None else round(config.validation * n)
        kept = n - held if config.examples is None else keep
        if kept > n - held:
            raise ValueError(
                f"examples: got {kept}, wanted at most {n - held}, which is what '{name}' has for training"
            )
        last = _take(raw.train, slice(n - held, n))
        train = _take(raw.train, slice(0, n - held))
        if kept < n - held:
            train = _take(train, np.sort(order(n - held, config.seed)[:kept]))
        assert raw.test is not None
        return train, last, raw.test
    indices = np.arange(n) if ready else order(n, config.seed)
    if not any(counts.values()):  # nothing to set aside: the source's own order
        ready, indices = keep == n, np.sort(indices[:keep])
    parts: dict[str, Split] = {}
    start = 0
    for part, stop in (("test", counts["test"]), ("validation", counts["test"] + held), ("train", kept)):
        parts[part] = _take(raw.train, slice(start, stop) if ready else indices[start:stop])
        start = stop
    given = {part: getattr(raw, part) for part in ("validation", "test") if getattr(raw, part) is not None}
    parts.update(given)  # what the source has set aside itself
    return parts["train"], parts["validation"], parts["test"]


def _take(split: Split, rows: slice | Array) -> Split:
    y = None if split.y is None else split.y[rows]
    return Split(split.x[rows], y, {name: values[rows] for name, values in split.factors.items()})


def _chunks(x: Array, values: int = CHUNK) -> Iterator[Array]:
    rows = max(1, values // max(1, int(np.prod(x.shape[1:]))))
    for start in range(0, len(x), rows):
        yield x[start : start + rows]


def _moments(x: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of each channel or column (axis 1), in float64; of whole numbers exactly."""
    n = x.size // x.shape[1]
    if x.dtype == np.uint8:
        total = np.zeros(x.shape[1], np.uint64)
        squares = np.zeros(x.shape[1], np.uint64)
        for c in _chunks(x, CHUNK >> 5):  # what stays in the processor's cache
            values = c.reshape(*c.shape[:2], -1)
            total += values.sum((0, 2), dtype=np.uint64)
            squares += np.square(values, dtype=np.uint16).sum((0, 2), dtype=np.uint64)
        return total / n, np.sqrt(squares / n - (total / n) ** 2)
    first = x[0].astype(np.float64)  # large offsets are taken out before anything is added up
    mean = first + sum((c - first).sum(0) for c in _chunks(x)) / n
    return mean, np.sqrt(sum(np.square(c - mean).sum(0) for c in _chunks(x)) / n)


def _column(columns: tuple[str, ...] | None, index: int) -> str:
    return f"'{columns[index]}'" if columns else str(index)


def _refuse_non_finite(name: str, split: Split | None, columns: tuple[str, ...] | None) -> None:
    x = np.zeros((0, 1)) if split is None else split.x
    bad = ~(np.abs(x) < LARGEST)  # NaN, too
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{name}: got {x[row, column]} in row {row} (from 0), column {_column(columns, column)},"
            f" wanted finite numbers below {LARGEST:g}"
        )


def _refuse_constant(name: str, x: Array, columns: tuple[str, ...] | None) -> None:
    constant = np.flatnonzero(x.min(0) == x.max(0))
    if len(constant):
        which = ", ".join(_column(columns, int(i)) for i in constant[:5])
        raise ValueError(f"{name}: column {which} has one value in all training rows, wanted it left out")


def _fingerprint(splits: list[Split]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for split in splits:
        for a in (split.x, split.y):
            if a is not None:
                digest.update(f"{a.dtype.str}{a.shape}".encode())
                for chunk in _chunks(a):
                    digest.update(np.ascontiguousarray(chunk).data if chunk.size else b"")
    return digest.hexdigest()
