"""Where the engine takes its data from: protocols of training batches and of validation data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from torch import Tensor

from thalweg.batch import Batch

__all__ = ["Source", "Sources", "TrainingBatches", "ValidationData"]


class Source(Protocol):
    """Training batches by number."""

    def get(self, step: int) -> tuple[Tensor, Tensor | None]:
        """Return the examples and the targets (or None) of batch `step`: the rows of this process."""
        ...

    def epoch(self, step: int) -> float:
        """Return the number of passes through the data before batch `step`."""
        ...


class ValidationData(Protocol):
    """Validation examples with their targets (or None) in chunks; it can be iterated again. It may be empty."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor | None]]: ...


class Sources(NamedTuple):
    """The data of a stage."""

    train: Source
    validation: ValidationData


class TrainingBatches(Protocol):
    """Training batches by number, augmented, with noise of their own; `len` is the number of batches in one epoch."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int) -> Batch: ...
