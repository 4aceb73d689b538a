"""The clock of a stage: seconds of training alone, across interruptions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from thalweg.devices import synchronize

__all__ = ["Clock"]


class Clock:
    """Counts the seconds since `start`, on top of those that a checkpoint brought along."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds = 0.0
        self._since: float | None = None

    def start(self) -> None:
        """Count from now on."""
        self._since = time.monotonic()

    def elapsed(self) -> float:
        """Return the seconds of training so far."""
        return self.seconds + (0.0 if self._since is None else time.monotonic() - self._since)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Within, no time counts: validation and the writing of checkpoints are no training."""
        synchronize(self.device)  # what was queued is training
        self.seconds, self._since = self.elapsed(), None
        yield
        self.start()
