"""Validation while a stage is trained: when it is due, the best loss so far, and when to stop early."""

from __future__ import annotations

import math
from typing import Any

from thalweg.training.run import Stage
from thalweg.training.source import Sources

__all__ = ["Monitor"]


class Monitor:
    """The lowest validation loss so far, its step, and the number of validations in a row since then."""

    def __init__(self, stage: Stage, sources: Sources) -> None:
        self.patience = stage.patience
        self.best, self.step, self.failures = math.inf, 0, 0
        epoch = math.ceil(1 / max(sources.train.epoch(stage.update.batches), 1e-9))
        self.every = stage.validate_every or (epoch if stage.patience else None)
        if not len(sources.validation):
            self.every = None

    def due(self, done: int, last: bool) -> bool:
        """Return whether to validate after `done` steps, of which this may be the last."""
        return self.every is not None and (done % self.every == 0 or last)

    def improved(self, done: int, value: float) -> bool:
        """Note the validation loss after `done` steps; return whether it is the lowest so far."""
        if value < self.best:
            self.best, self.step, self.failures = value, done, 0
            return True
        self.failures += 1
        return False

    @property
    def exhausted(self) -> bool:
        """Whether as many validations as the patience allows brought no lower loss."""
        return bool(self.patience and self.failures >= self.patience)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"best": self.best, "step": self.step, "failures": self.failures}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.best, self.step, self.failures = state["best"], state["step"], state["failures"]
