"""The progress of a download, on a terminal."""

from __future__ import annotations

import sys

__all__ = ["Meter", "meter"]


class Meter:
    """A bar on stderr with the interface that pooch needs."""

    def __init__(self, name: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, console=Console(stderr=True))
        self.task = self.bar.add_task(name, total=None)
        self.bar.start()

    @property
    def total(self) -> float | None:
        """Total number of bytes."""
        return self.bar.tasks[0].total

    @total.setter
    def total(self, size: int) -> None:
        self.bar.update(self.task, total=size)

    def update(self, size: int) -> None:
        """Add a number of bytes."""
        self.bar.advance(self.task, size)

    def reset(self) -> None:
        """Start again from zero."""
        self.bar.reset(self.task, total=self.total)

    def close(self) -> None:
        """The download has ended."""
        self.bar.stop()


def meter(name: str) -> Meter | None:
    """Return a meter if stderr is a terminal, else None."""
    return Meter(name) if sys.stderr.isatty() else None
