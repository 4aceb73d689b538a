"""A mini-batch of raw examples and the noise that belongs to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from thalweg.randomness import generator

__all__ = ["Batch", "Rows"]


class Rows(NamedTuple):
    """The rows [start, stop) of a joint batch of `total` rows: those of one process or of one micro-batch."""

    start: int
    stop: int
    total: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Raw examples `x`, `(B, *shape)`, with their targets `y`, and the noise that a step draws for them.

    `y` has the shape of the data's target, `(B, *target.shape)`: class indices (B,), int64; masks (B, H, W), int64;
    tokens (B, T), int64; images, or other values, in floats or raw levels. An augmentation may replace class indices by
    probabilities (B, K). `y` is None where the data have no target.

    Noise is a function of (seed, name): the generator draws for the joint batch and returns the rows of this one, so
    that two processes, or two micro-batches, use the noise that one process uses for the joint batch.

    `passes` are the numbers of passes through the data before and after the joint batch.

    >>> x = torch.zeros(4, 2)
    >>> joint = Batch(x, seed=3).normal("z", 5)
    >>> last = Batch(x[3:], seed=3, rows=Rows(3, 4, 4)).normal("z", 5)
    >>> bool((joint[3:] == last).all())
    True
    """

    x: Tensor
    y: Tensor | None = None
    seed: int = 0
    rows: Rows | None = None
    passes: tuple[float, float] = (0.0, 0.0)

    def __len__(self) -> int:
        return len(self.x)

    def normal(self, name: str, *shape: int) -> Tensor:
        """Return standard normal noise `(B, *shape)`, float32, on the device of `x`."""
        return self._draw(torch.randn, name, shape)

    def uniform(self, name: str, *shape: int) -> Tensor:
        """Return uniform noise on [0, 1), `(B, *shape)`, float32, on the device of `x`."""
        return self._draw(torch.rand, name, shape)

    def epochs(self) -> Tensor:
        """Return the epoch of each example, (B,) int64: a batch may begin in one and end in the next.

        >>> Batch(torch.zeros(4, 1), passes=(0.75, 1.25)).epochs().tolist()
        [0, 0, 1, 1]
        """
        start, stop, total = self.rows or Rows(0, len(self.x), len(self.x))
        before, after = self.passes
        rows = torch.arange(start, stop, device=self.x.device, dtype=torch.float64) + 0.5  # middles: safe from rounding
        return (before + (after - before) / total * rows).floor().long()

    def _draw(self, sample: Callable[..., Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
        start, stop, total = self.rows or Rows(0, len(self.x), len(self.x))
        device = self.x.device
        noise = sample((total, *shape), generator=generator(self.seed, name, device=device), device=device)
        return noise if stop - start == total else noise[start:stop]
