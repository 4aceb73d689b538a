"""What is optimized: a `Problem` says who plays and what each player loses on a batch. It never moves anyone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from thalweg.randomness import generator

__all__ = ["Batch", "Loss", "Problem", "Rows", "Solution", "Solvable", "Watched"]


class Rows(NamedTuple):
    """Rows [start, stop) of a joint batch of `total`: the share of one process, or of one micro-batch."""

    start: int
    stop: int
    total: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Raw examples of one move, and the noise that belongs to them.

    `x`: `(B, *shape)`, as they came. `y`: (B,) class indices, or None.

    Noise is a function of (seed, name): the generator draws for the whole joint batch and hands out this batch's
    rows, so two processes, or two micro-batches, see what one process on the joint batch would see.

    >>> x = torch.zeros(4, 2)
    >>> whole = Batch(x, seed=3).normal("z", 5)
    >>> last = Batch(x[3:], seed=3, rows=Rows(3, 4, 4)).normal("z", 5)
    >>> bool((whole[3:] == last).all())
    True
    """

    x: Tensor
    y: Tensor | None = None
    seed: int = 0
    rows: Rows | None = None

    def __len__(self) -> int:
        return len(self.x)

    def normal(self, name: str, *shape: int) -> Tensor:
        """Standard normal noise `(B, *shape)`, float32, on the device of `x`."""
        return self._draw(torch.randn, name, shape)

    def uniform(self, name: str, *shape: int) -> Tensor:
        """Uniform noise on [0, 1), `(B, *shape)`, float32, on the device of `x`."""
        return self._draw(torch.rand, name, shape)

    def _draw(self, law: object, name: str, shape: tuple[int, ...]) -> Tensor:
        start, stop, total = self.rows or Rows(0, len(self.x), len(self.x))
        noise: Tensor = law(  # type: ignore[operator]
            (total, *shape), generator=generator(self.seed, name, device=self.x.device), device=self.x.device
        )
        return noise if stop - start == total else noise[start:stop]


@dataclass(frozen=True, slots=True)
class Loss:
    """What a player loses: `values`, one number a sample (B,), whose mean the update takes and differentiates.

    `extras` are named tensors to record beside it, per sample or scalar, detached by the engine.
    """

    values: Tensor
    extras: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Watched:
    """What a problem sees while it trains, beyond its losses: named numbers to record, and a `warning` to be said once.

    Numbers may be tensors of one value.
    """

    values: Mapping[str, Tensor | float]
    warning: str | None = None


class Problem(Protocol):
    """Players and their losses. Holds no optimizer and never calls backward.

    `players` are disjoint sets of parameters. `loss(player, batch)` may use every player's module; the engine
    differentiates it with respect to that player's parameters only, so nothing needs detaching.

    A problem may also have `project(player)`, called after each step of that player (weight clipping), and
    `second_order`, the names of players whose modules are differentiated twice and must not be compiled. Where it has
    `watch(batch)`, that is called at each line of the metrics, in evaluation mode and without gradients, but with those
    of the last moves still in `grad`; it returns `Watched`. Where `validated` is False the first player's loss on data
    held out says nothing about the model, and no stage may stop by it.
    """

    @property
    def players(self) -> Mapping[str, nn.Module]:
        """The modules that move, by name."""
        ...

    def loss(self, player: str, batch: Batch) -> Loss:
        """What `player` loses on `batch`."""
        ...


@dataclass(frozen=True, slots=True)
class Solution:
    """What a closed-form step met: what its batch lost before the step, and whether it is the last that is needed."""

    loss: Loss
    last: bool = False


@runtime_checkable
class Solvable(Problem, Protocol):
    """A problem whose players may move by a closed form, for the update `Solved`."""

    def solve(self, player: str, batch: Batch) -> Solution:
        """Move the player by its closed form on `batch`; called without gradients."""
        ...
