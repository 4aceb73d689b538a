"""The progress of trainings on stderr: one line per training on a terminal, occasional lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from thalweg.comparison.jobs import Job

__all__ = ["LiveProgressDisplay", "PlainProgressDisplay", "progress_display"]


def line_of(job: Job, last: Mapping[str, Any]) -> str:
    """Return the progress of a job as one line."""
    if job.state == "failed":
        return f"failed: {job.reason}"
    if job.state == "training" and "step" in last:
        metrics = "  ".join(f"{name} {value:.4g}" for name, value in last.get("metrics", {}).items())
        pace = f"  {last['rate']:.0f} it/s  {last['left']:.0f} s left" if "rate" in last else ""
        return f"{last['step']:,}/{last['steps']:,}  {metrics[:60]}{pace}"
    return job.state


class PlainProgressDisplay:
    """Writes a line when a training begins and ends, and every few seconds in between."""

    def __init__(self, jobs: Sequence[Job], every: float = 10.0) -> None:
        self.every, self.printed = every, {job.name: 0.0 for job in jobs}
        self.states: dict[str, str] = {}

    def show(self, job: Job, message: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if "warning" in message:
            print(f"{job.name}  {message['warning']}", file=sys.stderr)
        changed = self.states.get(job.name) != job.state
        if changed or ("metrics" in message and now - self.printed[job.name] > self.every):
            self.states[job.name], self.printed[job.name] = job.state, now
            print(f"{job.name}  {line_of(job, message)}", file=sys.stderr)

    def log(self, text: str) -> None:
        """Write a message that does not concern a training."""
        print(text, file=sys.stderr)

    def __enter__(self) -> PlainProgressDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class LiveProgressDisplay:
    """Shows one line per training, and one line for the work after the trainings."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        from rich.console import Console
        from rich.live import Live

        self.jobs = jobs
        self.last: dict[str, Mapping[str, Any]] = {job.name: {} for job in jobs}
        self.text = ""
        self.live = Live(console=Console(stderr=True), refresh_per_second=4)

    def show(self, job: Job, message: Mapping[str, Any]) -> None:
        if "warning" in message:
            self.live.console.print(f"{job.name}: {message['warning']}")
        if "step" in message:
            self.last[job.name] = message
        self._draw()

    def log(self, text: str) -> None:
        """Show a message that does not concern a training."""
        self.text = text
        self._draw()

    def _draw(self) -> None:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        marks = {"waiting": "·", "training": "▸", "done": "✓", "failed": "✗"}
        for job in self.jobs:
            table.add_row(marks[job.state], job.name, Text(line_of(job, self.last[job.name]), overflow="ellipsis"))
        if self.text:
            table.add_row("▸", "", self.text)
        self.live.update(table)

    def __enter__(self) -> LiveProgressDisplay:
        self.live.start()
        self._draw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()


def progress_display(jobs: Sequence[Job]) -> LiveProgressDisplay | PlainProgressDisplay:
    """Return the display that fits stderr."""
    return LiveProgressDisplay(jobs) if sys.stderr.isatty() else PlainProgressDisplay(jobs)
