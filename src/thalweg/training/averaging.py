"""Averages of a player's weights over the steps of its training: which weight the newest ones receive.

The average of a player is updated after each step, θ̄ ← (1 − w) θ̄ + w θ. An averaging rule is the weight w.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["EMA", "SWA", "Averaging"]


class Averaging(Protocol):
    """The weight of the newest parameters in the average."""

    def weight(self, steps: int, schedule_step: int, averaged: int) -> float:
        """Return w after `steps` of the optimizer, the last of which had the learning rate of `schedule_step`.

        `averaged` is the number of parameters in the average so far. With w = 0 the average is still empty: it begins
        at a later step.
        """
        ...


@dataclass(frozen=True)
class EMA:
    """Exponential average, w = 1 − d with d = min(decay, (1+t)/(10+t)) after t steps: early weights are soon forgotten.

    >>> [round(EMA(0.999).weight(t, 0, t), 4) for t in (1, 10, 100_000)]
    [0.8182, 0.45, 0.001]
    """

    decay: float

    def weight(self, steps: int, schedule_step: int, averaged: int) -> float:
        """Return 1 − d."""
        return 1 - min(self.decay, (1 + steps) / (10 + steps))


@dataclass(frozen=True)
class SWA:
    """Equal average of the weights after step `first` of the schedule (0 is the first step) and after each later step.

    The n-th of them has w = 1/n. Under a budget of time the step of the schedule is the share of the time that has
    passed, so that the average begins at a share of the time.

    Reference: *Averaging Weights Leads to Wider Optima and Better Generalization*, Pavel Izmailov, Dmitrii Podoprikhin,
    Timur Garipov, Dmitry Vetrov, Andrew Gordon Wilson, 2018, arXiv:1803.05407.

    >>> average = SWA.of_share(0.25, steps=8)
    >>> [average.weight(t + 1, t, n) for t, n in ((5, 0), (6, 0), (7, 1))]
    [0.0, 1.0, 0.5]
    """

    first: int

    @staticmethod
    def of_share(share: float, *, steps: int) -> SWA:
        """Return the average over the last `share` of `steps`, at least over the last step."""
        return SWA(steps - max(1, round(share * steps)))

    def weight(self, steps: int, schedule_step: int, averaged: int) -> float:
        """Return 1/n of the n-th weights in the average, 0 before the first."""
        return 0.0 if schedule_step < self.first else 1 / (averaged + 1)
