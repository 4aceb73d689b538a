"""The progress display of training on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Protocol

__all__ = ["Bar", "Lines", "Progress", "Silent", "progress"]


class Progress(Protocol):
    """A display of the progress of a run."""

    def start(self, label: str, step: int, steps: int) -> None:
        """A stage begins, or is resumed, at `step` of `steps`; `label` names it, and is empty for the only stage."""

    def update(self, step: int, metrics: Mapping[str, float], steps: int) -> None:
        """`step` of `steps` steps are done; `steps` is an estimate where the budget is a time."""

    def close(self) -> None:
        """The stage has ended."""


class Silent:
    """Displays nothing."""

    def start(self, label: str, step: int, steps: int) -> None: ...
    def update(self, step: int, metrics: Mapping[str, float], steps: int) -> None: ...
    def close(self) -> None: ...


class Lines:
    """A line every few seconds and at the end, for logs."""

    def __init__(self, every: float = 5.0) -> None:
        self.every = every

    def start(self, label: str, step: int, steps: int) -> None:
        self.label, self.first = label, step
        self.begun = self.printed = time.monotonic()

    def update(self, step: int, metrics: Mapping[str, float], steps: int) -> None:
        now = time.monotonic()
        if now - self.printed < self.every and step < steps:
            return
        self.printed = now
        rate = (step - self.first) / max(now - self.begun, 1e-9)
        left = (steps - step) / max(rate, 1e-9)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        label = f"{self.label}  " if self.label else ""
        print(f"{label}{step}/{steps}  {shown}  {rate:.0f} it/s  {left:.0f} s left", file=sys.stderr)

    def close(self) -> None: ...


class Bar:
    """A bar with the loss, steps per second and the remaining time."""

    def start(self, label: str, step: int, steps: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[metrics]}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            refresh_per_second=4,
        )
        self.task = self.bar.add_task(label, total=steps, completed=step, metrics="", rate="")
        self.first, self.begun = step, time.monotonic()
        self.bar.start()

    def update(self, step: int, metrics: Mapping[str, float], steps: int) -> None:
        rate = (step - self.first) / max(time.monotonic() - self.begun, 1e-9)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        self.bar.update(self.task, completed=step, total=steps, metrics=shown, rate=f"{rate:.0f} it/s")

    def close(self) -> None:
        self.bar.stop()


def progress() -> Progress:
    """Return a bar where stderr is a terminal, else lines; only the first process displays its progress."""
    if os.environ.get("RANK", "0") != "0":
        return Silent()
    return Bar() if sys.stderr.isatty() else Lines()
