"""Data sets: raw examples in three splits and a `Spec` that describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from thalweg.checks import choice
from thalweg.config import Discrete

if TYPE_CHECKING:
    import numpy as np

__all__ = ["SPLITS", "Dataset", "Spec", "Split", "Target", "class_target", "same_kind"]

SPLITS = ("train", "validation", "test", "all")
FIELDS = ("kind", "shape", "levels", "classes", "target")  # that other data must share with those of a model
DIMENSIONS = {"class": 0, "mask": 2, "tokens": 1, "image": 3, "values": 1}  # of a target, by its kind


@dataclass(frozen=True, kw_only=True)
class Target:
    """The target of an example: what a model predicts, of shape `shape` for each example.

    - class: a class index; `names` are those of the classes; shape ()
    - mask: the class index of each pixel, (H, W); `names` are those of the classes
    - tokens: integers (T,); `names` is the vocabulary, where there is one
    - image: raw levels (C, H, W), for instance the undamaged image
    - values: real numbers (D,); `names` are those of the values

    Classes and tokens are int64. `ignored` is the integer of pixels or tokens that do not count: void or padding.

    Raises ValueError for an unknown kind, a shape of other dimensions, and names that are one text.

    >>> Target(kind="mask", names=("background", "cell"), shape=(64, 64), ignored=255).classes is None
    True
    """

    kind: Literal["class", "mask", "tokens", "image", "values"]
    names: tuple[str, ...] | None = None
    shape: tuple[int, ...] = ()
    ignored: int | None = None

    def __post_init__(self) -> None:
        dimensions = DIMENSIONS[choice("target", self.kind, DIMENSIONS)]
        if isinstance(self.names, str):
            raise ValueError(f"names: got '{self.names}', one text, wanted a sequence of names")
        if len(self.shape) != dimensions:
            raise ValueError(f"target: got shape {self.shape} of kind {self.kind}, wanted {dimensions} dimensions")

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes of a target of kind class, else None."""
        return self.names if self.kind == "class" else None


def class_target(names: tuple[str, ...] | None) -> Target | None:
    """Return the target of classes with these names; None for None, where examples have no labels.

    >>> class_target(("cat", "dog"))
    Target(kind='class', names=('cat', 'dog'), shape=(), ignored=None)
    """
    return None if names is None else Target(kind="class", names=names)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """The description of a data set without its examples: all that a recipe needs to build its model.

    Examples are raw: images are integers 0..levels-1 of shape (C, H, W); vectors are float64 of shape (D,), in the
    units of their source; tokens are integers 0..levels-1 of shape (T,). `mean` and `std` are those of the training
    split in raw units, one per channel of images and one per column of vectors.

    >>> Spec(name="digits", kind="image", shape=(1, 8, 8), levels=17, mean=(4.9,), std=(6.0,)).size
    64
    """

    name: str
    kind: Literal["image", "vector", "tokens"]
    shape: tuple[int, ...]
    levels: int | None = None  # number of quantization levels; None for floats
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()  # never 0: constant columns are refused
    discrete: tuple[Discrete | None, ...] = ()  # of each column of vectors; empty where none is discrete
    target: Target | None = None  # of `y`; None where the data have none
    columns: tuple[str, ...] | None = None  # of a table
    vocabulary: tuple[str, ...] | None = None  # of text by characters
    fingerprint: str = ""  # hash of the raw training, validation and test examples

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes where the target is a class, else None."""
        return None if self.target is None else self.target.classes

    @property
    def size(self) -> int:
        """The number of values of one example."""
        size = 1
        for n in self.shape:
            size *= n
        return size


@dataclass(frozen=True)
class Split:
    """Examples `x` `(N, *spec.shape)` with their targets `y` `(N, *target.shape)`, in memory or memory-mapped.

    `y` is int64 for classes, masks and tokens, else floats or raw levels. `factors` are named generative factors (N,)
    where they are known (`glyphs`). `index` is the place of each example in its source (N,): row numbers from 0, or
    names of files.
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

    `own` is the data set that a model was trained on, if the model is measured on these other data: measures that need
    training or validation examples take them from `trained_on`. `share` is the share of the training examples that
    `train` holds, None for all: `spec` is that of all examples.
    """

    spec: Spec
    train: Split
    validation: Split
    test: Split
    density: Any = None  # has log_prob(x) -> (B,) nats and sample(n, seed) -> (n, D); see toy.py
    own: Dataset | None = None
    share: float | None = None

    @property
    def trained_on(self) -> Dataset:
        """The data set that the measured model was trained and validated on."""
        return self if self.own is None else self.own

    def split(self, name: str) -> Split:
        """Return the split of that name: train, validation, test, or all three together in the order of the source."""
        if choice("split", name, SPLITS) != "all":
            part: Split = getattr(self, name)
            return part
        parts = [part for part in (self.train, self.validation, self.test) if len(part)]
        return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: Sequence[Split]) -> Split:
    """Return several splits as one, in the order of the source where the indices are distinct."""
    import numpy as np

    index = None if any(p.index is None for p in parts) else np.concatenate([np.asarray(p.index) for p in parts])
    order = np.arange(sum(map(len, parts)))
    if index is not None and len(np.unique(index)) == len(index):
        order = np.argsort(index, kind="stable")
    y = None if any(p.y is None for p in parts) else np.concatenate([np.asarray(p.y) for p in parts])[order]
    factors = {name: np.concatenate([p.factors[name] for p in parts])[order] for name in parts[0].factors}
    x = np.concatenate([p.x for p in parts])[order]
    return Split(x, y, factors, None if index is None else index[order])


def same_kind(spec: Spec, wanted: Spec, fields: Sequence[str] = FIELDS) -> None:
    """Raise ValueError unless data have the kind, shape, levels and target of those that a model was trained on.

    Data without targets fit every model.
    """
    for name in fields:
        got, known = getattr(spec, name), getattr(wanted, name)
        if got != known and not (name in ("classes", "target") and None in (got, known)):
            raise ValueError(
                f"data: got {spec.name} with {name} {_text(got)}, wanted {_text(known)}, as {wanted.name} has"
            )


def _text(value: Any) -> str:
    numbers = isinstance(value, tuple) and all(isinstance(v, int) for v in value)
    return "×".join(map(str, value)) if numbers else str(value)
