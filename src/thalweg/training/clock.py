"""The clock of a stage: seconds of training, without validation and checkpoints, across interruptions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from thalweg.devices import synchronize

__all__ = ["Clock"]


class Clock:
    """Counts the seconds since `start`, added to `seconds`, which a checkpoint restores."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds = 0.0
        self._since: float | None = None

    def start(self) -> None:
        """Start to count."""
        self._since = time.monotonic()

    def elapsed(self) -> float:
        """Return the seconds counted so far."""
        return self.seconds + (0.0 if self._since is None else time.monotonic() - self._since)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Within, the time is not counted."""
        synchronize(self.device)  # operations that are still queued are training
        self.seconds, self._since = self.elapsed(), None
        yield
        self.start()
