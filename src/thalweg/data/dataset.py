"""What a data set is: raw examples in splits, and a `Spec` that says what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from thalweg.config import Discrete

if TYPE_CHECKING:
    import numpy as np

__all__ = ["SPLITS", "Dataset", "Spec", "Split", "same_kind"]

SPLITS = ("train", "validation", "test", "all")


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What the examples are, apart from the examples: all that a recipe needs to build its model.

    Examples are raw: images are integers 0..levels-1 of shape (C, H, W); vectors are float64 of shape (D,), in the
    units of their source; tokens are integers 0..levels-1 of shape (T,). `mean` and `std` are those of the
    training split: one number a channel for images, one a column for vectors, in raw units.

    >>> Spec(name="digits", kind="image", shape=(1, 8, 8), levels=17, mean=(4.9,), std=(6.0,)).size
    64
    """

    name: str
    kind: Literal["image", "vector", "tokens"]
    shape: tuple[int, ...]
    levels: int | None = None  # whole-number levels a value can take; None for floats
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()  # never 0: a constant column is refused when read
    discrete: tuple[Discrete | None, ...] = ()  # of each column of vectors; empty where none is discrete
    classes: tuple[str, ...] | None = None  # names of the labels `y`, where there are any
    columns: tuple[str, ...] | None = None  # of a table
    vocabulary: tuple[str, ...] | None = None  # of text by characters
    fingerprint: str = ""  # of the raw training, validation and test examples

    @property
    def size(self) -> int:
        """How many values one example has."""
        size = 1
        for n in self.shape:
            size *= n
        return size


@dataclass(frozen=True)
class Split:
    """Examples `x` of shape `(N, *spec.shape)` and what goes with them. Arrays in memory or memory-mapped.

    `y` are class indices (N,), int64. `factors` are named generative factors (N,) where they are known (`glyphs`).
    `index` says where each example stands in its source (N,): row numbers from 0, or names of files.
    """

    x: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any] | None = None
    factors: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    index: np.ndarray[Any, Any] | None = None

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Dataset:
    """Raw examples in three splits with their `Spec`. `density` is the exact distribution where it is known.

    `own` is the data set that a model was trained on, where these are other data to measure it on: whatever needs
    training or validation examples takes them from `trained_on`.
    """

    spec: Spec
    train: Split
    validation: Split
    test: Split
    density: Any = None  # has log_prob(x) -> (B,) nats and sample(n, seed) -> (n, D); see toy.py
    own: Dataset | None = None

    @property
    def trained_on(self) -> Dataset:
        """The data set whose training and validation examples belong to the model that is measured."""
        return self if self.own is None else self.own

    def split(self, name: str) -> Split:
        """Return the split of that name: train, validation, test, or all, which are the three in the source's order."""
        from thalweg.checks import choice

        if choice("split", name, SPLITS) != "all":
            part: Split = getattr(self, name)
            return part
        parts = [part for part in (self.train, self.validation, self.test) if len(part)]
        return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: Sequence[Split]) -> Split:
    """Return several splits as one, by their place in the source where they are of one file."""
    import numpy as np

    index = None if any(p.index is None for p in parts) else np.concatenate([np.asarray(p.index) for p in parts])
    order = np.arange(sum(map(len, parts)))
    if index is not None and len(np.unique(index)) == len(index):
        order = np.argsort(index, kind="stable")
    y = None if any(p.y is None for p in parts) else np.concatenate([np.asarray(p.y) for p in parts])[order]
    factors = {name: np.concatenate([p.factors[name] for p in parts])[order] for name in parts[0].factors}
    x = np.concatenate([p.x for p in parts])[order]
    return Split(x, y, factors, None if index is None else index[order])


def same_kind(spec: Spec, wanted: Spec, fields: Sequence[str] = ("kind", "shape", "levels", "classes")) -> None:
    """Raise ValueError unless data are of the kind, shape, levels and classes of those a model was trained on."""
    for name in fields:
        got, known = getattr(spec, name), getattr(wanted, name)
        if got != known and not (name == "classes" and None in (got, known)):
            raise ValueError(
                f"data: got {spec.name} with {name} {_told(got)}, wanted {_told(known)}, as {wanted.name} has"
            )


def _told(value: Any) -> str:
    numbers = isinstance(value, tuple) and all(isinstance(v, int) for v in value)
    return "×".join(map(str, value)) if numbers else str(value)
