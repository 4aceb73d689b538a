"""From raw examples to a `Dataset`: splits, statistics, fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from thalweg.config import DataConfig, Discrete
from thalweg.data.columns import discrete_columns
from thalweg.data.dataset import Dataset, Spec, Split, Target, class_target, same_kind
from thalweg.data.splits import TEST, TRAIN, VALIDATION, assign, content_keys, first_of_each, keys_of, stable_subset
from thalweg.randomness import fold

__all__ = ["Raw", "assemble", "classify", "moments", "of_classes", "shares", "take"]

Array = np.ndarray[Any, Any]
MIN_EXAMPLES = 10  # fewer examples cannot be divided into three splits
MAX_VALUE = 1e150  # in absolute value: the squares of larger numbers overflow
CHUNK = 1 << 24  # values processed at once, so that a memory-mapped set need not fit in memory


@dataclass(frozen=True, kw_only=True)
class Raw:
    """The result of a reader: examples, in the splits of the source, and their description."""

    kind: Literal["image", "vector", "tokens"]
    train: Split  # all examples, where the source has no splits
    validation: Split | None = None
    test: Split | None = None
    levels: int | None = None
    target: Target | None = None
    columns: tuple[str, ...] | None = None
    vocabulary: tuple[str, ...] | None = None
    reserved: int | None = None  # number of the last training examples for validation
    groups: Array | None = None  # group of each training example: a group stays in one split
    fixed: bool = False  # the content never changes: it is split in exact shares by a random order
    divided: bool = False  # the reader has split the examples as configured
    density: Any = None

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes where the target is a class, else None."""
        return None if self.target is None else self.target.classes


def classify(name: str, *labels: Array | None) -> tuple[tuple[str, ...], list[Array | None]]:
    """Return the sorted names of the classes and each array of labels as indices into them, int64.

    Raises ValueError if labels are neither integers nor strings nor booleans.

    >>> classify("y", np.array(["dog", "cat", "dog"]))
    (('cat', 'dog'), [array([1, 0, 1])])
    """
    arrays = [a for a in labels if a is not None]
    for a in arrays:
        if a.dtype.kind not in "iubU":
            raise ValueError(f"{name}: got labels of type {a.dtype}, wanted integers or text")
    values = np.unique(np.concatenate([a.ravel() for a in arrays]))
    classes = tuple(str(v) for v in values.tolist())
    return classes, [None if a is None else np.searchsorted(values, a).astype(np.int64) for a in labels]


def assemble(name: str, raw: Raw, config: DataConfig, like: Spec | None = None) -> Dataset:
    """Split raw examples, compute the statistics of the training examples, and describe them.

    An example of a source without splits is for testing or validation (10 % each unless the configuration says
    otherwise) by a hash of its content and the seed, see `splits`; with `split_by`, by a hash of its group. Examples
    keep the order of the source. Data from an installed package or generated from a seed never change: they are split
    in exact shares by a random order. `config.examples` is the number of examples that are kept, of those that the
    source does not reserve for validation or test.

    `like` is the Spec of the data that a model was trained on: columns have its order and classes its indices, no
    statistics are computed, and any number of examples is allowed.

    Raises ValueError for fewer than 10 examples, NaN or infinity, constant columns, and targets of another shape than
    that of `raw.target`.
    """
    if like is not None:
        raw = matched(name, raw, like)
    elif _count(raw) < MIN_EXAMPLES:
        raise ValueError(f"{name}: got {_count(raw)} examples, wanted at least {MIN_EXAMPLES}")
    if raw.kind == "vector":
        for part in ("train", "validation", "test"):  # while rows have the numbers of the source
            _refuse_non_finite(name, getattr(raw, part), raw.columns)
    _check_targets(name, raw)
    splits = _split(name, _numbered(raw), config, limited=like is None)
    train, validation, test = splits
    if like is not None:
        spec = replace(like, name=name, target=raw.target or like.target, fingerprint=_fingerprint(splits, raw))
        return Dataset(spec=spec, train=train, validation=validation, test=test, density=raw.density)
    if not len(train):
        raise ValueError(f"{name}: got no training example, wanted smaller shares for validation and test")
    mean: Array = np.zeros(0)
    std: Array = np.zeros(0)
    discrete: tuple[Discrete | None, ...] = ()
    if raw.kind == "vector":
        _refuse_constant(name, train.x, raw.columns)
        discrete = discrete_columns(np.concatenate([part.x for part in splits]))
    if raw.kind != "tokens":
        mean, std = moments(train.x)
        std[std == 0] = 1.0  # a constant channel of images
    spec = Spec(
        name=name,
        kind=raw.kind,
        shape=tuple(train.x.shape[1:]),
        levels=raw.levels,
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        discrete=discrete,
        target=raw.target,
        columns=raw.columns,
        vocabulary=raw.vocabulary,
        fingerprint=_fingerprint(splits, raw),
    )
    return Dataset(spec=spec, train=train, validation=validation, test=test, density=raw.density)


def _check_targets(name: str, raw: Raw) -> None:
    """Raise ValueError where targets do not have the shape of `raw.target`."""
    for split in (raw.train, raw.validation, raw.test):
        if split is not None and split.y is not None and raw.target is not None:
            wanted = (len(split), *raw.target.shape)
            if split.y.shape != wanted:
                raise ValueError(f"{name}: got targets of shape {split.y.shape}, wanted {wanted}, one for each example")


def _count(raw: Raw) -> int:
    """Return the number of examples that may be used for training."""
    parts = [raw.train, raw.validation, raw.test] if raw.divided else [raw.train]
    return sum(len(part) for part in parts if part is not None)


def matched(name: str, raw: Raw, like: Spec) -> Raw:
    """Return raw examples with their columns in the order of `like`, and with its indices of classes.

    If some classes are unknown to the model, all keep their own indices. Raises ValueError naming columns that are
    missing or unknown, and for data of another kind, shape or number of levels.
    """
    if raw.columns and like.columns and raw.columns != like.columns:
        missing = [column for column in like.columns if column not in raw.columns]
        extra = [column for column in raw.columns if column not in like.columns]
        if missing or extra:
            problems = [f"without column {_listed(missing)}"] if missing else []
            problems += [f"with unknown column {_listed(extra)}"] if extra else []
            raise ValueError(f"{name}: got a table {' and '.join(problems)}, wanted the columns of {like.name}")
        order = [raw.columns.index(column) for column in like.columns]
        raw = _each(raw, lambda split: replace(split, x=split.x[:, order]))
        raw = replace(raw, columns=like.columns)
    if raw.classes and like.classes and raw.classes != like.classes:
        known = all(c in like.classes for c in raw.classes)
        if known:
            numbers = np.array([like.classes.index(c) for c in raw.classes])
            raw = _each(raw, lambda split: split if split.y is None else replace(split, y=numbers[split.y]))
            raw = replace(raw, target=class_target(like.classes))
    got = Spec(name=name, kind=raw.kind, shape=tuple(raw.train.x.shape[1:]), levels=raw.levels)
    same_kind(got, like, ("kind", "shape", "levels"))
    if not (raw.classes and like.classes):
        same_kind(replace(got, target=raw.target), like, ("target",))
    return raw


def of_classes(name: str, raw: Raw, wanted: str) -> Raw:
    """Return the examples of some classes only; `wanted` are their names, separated by commas.

    The classes keep their order, and examples their row numbers in the source. Raises ValueError for data without
    classes, an unknown class, and fewer than two.
    """
    chosen = [text.strip() for text in wanted.split(",")]
    if not raw.classes:
        raise ValueError(f"classes: got '{wanted}', but '{name}' has no classes, wanted none")
    for text in chosen:
        if text not in raw.classes:
            known = _listed(raw.classes)
            raise ValueError(
                f"classes: got '{text}', wanted names of classes of '{name}', separated by commas: {known}"
            )
    if len(set(chosen)) < 2 or len(set(chosen)) < len(chosen):
        raise ValueError(f"classes: got '{wanted}', wanted two or more different classes")
    kept = tuple(c for c in raw.classes if c in chosen)
    numbers = np.array([kept.index(c) if c in chosen else -1 for c in raw.classes])
    assert raw.train.y is not None
    inside = numbers[raw.train.y] >= 0
    groups = None if raw.groups is None else raw.groups[inside]
    reserved = None if raw.reserved is None else int(inside[len(inside) - raw.reserved :].sum())

    def only(split: Split) -> Split:
        if split.y is None:
            return split
        part = take(split, np.flatnonzero(numbers[split.y] >= 0))
        return replace(part, y=numbers[part.y])

    return replace(_each(_numbered(raw), only), groups=groups, reserved=reserved, target=class_target(kept))


def _each(raw: Raw, change: Callable[[Split], Split]) -> Raw:
    parts = {part: getattr(raw, part) for part in ("train", "validation", "test")}
    changed: dict[str, Any] = {part: change(split) for part, split in parts.items() if split is not None}
    return replace(raw, **changed)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:5]) + (" and others" if len(names) > 5 else "")


def _numbered(raw: Raw) -> Raw:
    """Return raw examples with their row numbers as the index, where the reader gave no names."""
    return _each(raw, lambda split: split if split.index is not None else replace(split, index=np.arange(len(split))))


def shares(config: DataConfig, raw: Raw | None = None) -> dict[str, float]:
    """Return the shares for test and validation; 0 for a split that the source has itself."""
    wanted = {"test": config.test, "validation": config.validation}
    existing = [part for part in wanted if raw is not None and getattr(raw, part) is not None]
    return {part: 0.0 if part in existing else 0.1 if share is None else share for part, share in wanted.items()}


def _split(name: str, raw: Raw, config: DataConfig, *, limited: bool) -> list[Split]:
    """Return the splits for training, validation and testing."""
    keys = None
    if config.deduplicate and not raw.divided:
        raw, keys = _deduplicated(raw)
        if limited and len(raw.train) < MIN_EXAMPLES:
            raise ValueError(f"{name}: got {len(raw.train)} different examples, wanted at least {MIN_EXAMPLES}")
    n = len(raw.train)
    keep = n if config.examples is None or raw.divided else config.examples
    if keep > n:
        raise ValueError(f"data_examples: got {keep}, wanted at most {n}, the number that '{name}' has")
    if limited and keep < MIN_EXAMPLES and not raw.divided:
        raise ValueError(f"data_examples: got {keep}, wanted at least {MIN_EXAMPLES}")
    if raw.reserved is not None:
        return _with_reserved(name, raw, config)
    wanted = shares(config, raw)
    existing = [getattr(raw, part) for part in ("validation", "test")]
    rows = np.arange(n)
    if raw.fixed:
        rows = np.random.default_rng(fold(config.seed, "split")).permutation(n)
        counts = {part: max(1, round(share * keep)) if share else 0 for part, share in wanted.items()}
        test, validation = counts["test"], counts["test"] + counts["validation"]
        chosen = [rows[validation:keep], rows[test:validation], rows[:test]]
        if not validation:
            chosen[0] = np.sort(chosen[0])
    elif any(wanted.values()) or keep < n:
        keys = content_keys(raw.train.x) if keys is None else keys
        if keep < n:
            rows = stable_subset(keys, keep, config.seed)
        keys = keys if raw.groups is None else keys_of(str(group).encode() for group in raw.groups)
        parts = assign(keys[rows], seed=config.seed, **wanted)
        chosen = [rows[parts == part] for part in (TRAIN, VALIDATION, TEST)]
    else:
        none = take(raw.train, slice(0, 0))  # nothing to reserve: memory maps stay memory maps
        return [raw.train, *(none if split is None else split for split in existing)]
    splits = [take(raw.train, part) for part in chosen]
    return [splits[0], *(splits[i + 1] if split is None else split for i, split in enumerate(existing))]


def _deduplicated(raw: Raw) -> tuple[Raw, Array]:
    """Return raw examples without those that equal an earlier one, and the training examples' keys.

    Where the source has splits, an example of the test split is kept there, then one of the validation split.
    """
    seen: Array = np.zeros(0, np.uint64)
    changed: dict[str, Any] = {}
    for part in ("test", "validation", "train"):
        split = getattr(raw, part)
        if split is not None:
            keys = content_keys(split.x)
            rows = first_of_each(keys)
            rows = rows[~np.isin(keys[rows], seen)]
            changed[part], seen = take(split, rows), np.concatenate([seen, keys[rows]])
    groups = None if raw.groups is None else raw.groups[rows]
    return replace(raw, **changed, groups=groups), keys[rows]


def _with_reserved(name: str, raw: Raw, config: DataConfig) -> list[Split]:
    """Return the splits of a source whose last training examples are for validation, for any number of `examples`."""
    assert raw.reserved is not None
    assert raw.test is not None
    n = len(raw.train)
    reserved = raw.reserved if config.validation is None else round(config.validation * n)
    kept = n - reserved if config.examples is None else config.examples
    if kept > n - reserved:
        raise ValueError(
            f"data_examples: got {kept}, wanted at most {n - reserved}, the number that '{name}' has for training"
        )
    train = take(raw.train, slice(0, n - reserved))
    if kept < n - reserved:
        order = np.random.default_rng(fold(config.seed, "split")).permutation(n - reserved)
        train = take(train, np.sort(order[:kept]))
    return [train, take(raw.train, slice(n - reserved, n)), raw.test]


def take(split: Split, rows: slice | Array) -> Split:
    """Return the examples of a split in these rows."""
    y, index = (None if a is None else a[rows] for a in (split.y, split.index))
    return Split(split.x[rows], y, {name: values[rows] for name, values in split.factors.items()}, index)


def _chunks(x: Array, values: int = CHUNK) -> Iterator[Array]:
    rows = max(1, values // max(1, int(np.prod(x.shape[1:]))))
    for start in range(0, len(x), rows):
        yield x[start : start + rows]


def moments(x: Array) -> tuple[Array, Array]:
    """Return the mean and the standard deviation of each channel or column (axis 1), float64; exact for integers."""
    n = x.size // x.shape[1]
    if x.dtype == np.uint8:
        total = np.zeros(x.shape[1], np.uint64)
        squares = np.zeros(x.shape[1], np.uint64)
        for c in _chunks(x, CHUNK >> 5):  # fits in the processor's cache
            values = c.reshape(*c.shape[:2], -1)
            total += values.sum((0, 2), dtype=np.uint64)
            squares += np.square(values, dtype=np.uint16).sum((0, 2), dtype=np.uint64)
        return total / n, np.sqrt(squares / n - (total / n) ** 2)
    first = x[0].astype(np.float64)  # large offsets are subtracted before summation
    mean = first + sum((c - first).sum(0) for c in _chunks(x)) / n
    return mean, np.sqrt(sum(np.square(c - mean).sum(0) for c in _chunks(x)) / n)


def _column(columns: tuple[str, ...] | None, index: int) -> str:
    return f"'{columns[index]}'" if columns else str(index)


def _refuse_non_finite(name: str, split: Split | None, columns: tuple[str, ...] | None) -> None:
    x = np.zeros((0, 1)) if split is None else split.x
    bad = ~(np.abs(x) < MAX_VALUE)  # NaN, too
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{name}: got {x[row, column]} in row {row} (from 0), column {_column(columns, column)},"
            f" wanted finite numbers below {MAX_VALUE:g}"
        )


def _refuse_constant(name: str, x: Array, columns: tuple[str, ...] | None) -> None:
    constant = np.flatnonzero(x.min(0) == x.max(0))
    if len(constant):
        which = ", ".join(_column(columns, int(i)) for i in constant[:5])
        raise ValueError(f"{name}: column {which} has one value in all training rows; leave it out")


def _fingerprint(splits: list[Split], raw: Raw) -> str:
    """Return a hash of the examples and labels of all splits, and of the names of columns and classes."""
    target = raw.target if raw.target and not raw.classes else raw.classes
    digest = hashlib.blake2b(repr((raw.columns, target)).encode(), digest_size=8)
    for split in splits:
        for a in (split.x, split.y):
            if a is not None:
                digest.update(f"{a.dtype.str}{a.shape}".encode())
                for chunk in _chunks(a):
                    digest.update(np.ascontiguousarray(chunk).data if chunk.size else b"")
    return digest.hexdigest()
