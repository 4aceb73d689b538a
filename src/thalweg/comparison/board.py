"""What a person sees while models train: one line each on a terminal, a line now and then elsewhere; on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from thalweg.comparison.jobs import Job

__all__ = ["LiveBoard", "PlainBoard", "board"]


def line_of(job: Job, last: Mapping[str, Any]) -> str:
    """Return where a job is, in a line."""
    if job.state == "failed":
        return f"failed: {job.reason}"
    if job.state == "training" and "step" in last:
        metrics = "  ".join(f"{name} {value:.4g}" for name, value in last.get("metrics", {}).items())
        pace = f"  {last['rate']:.0f} it/s  {last['left']:.0f} s left" if "rate" in last else ""
        return f"{last['step']:,}/{last['steps']:,}  {metrics[:60]}{pace}"
    return job.state


class PlainBoard:
    """A line when a training begins and ends, and every few seconds between."""

    def __init__(self, jobs: Sequence[Job], every: float = 10.0) -> None:
        self.every, self.printed = every, {job.name: 0.0 for job in jobs}
        self.states: dict[str, str] = {}

    def show(self, job: Job, message: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if "warning" in message:
            print(f"{job.name}  warning: {message['warning']}", file=sys.stderr)
        changed = self.states.get(job.name) != job.state
        if changed or ("metrics" in message and now - self.printed[job.name] > self.every):
            self.states[job.name], self.printed[job.name] = job.state, now
            print(f"{job.name}  {line_of(job, message)}", file=sys.stderr)

    def say(self, text: str) -> None:
        """Tell of something that is no training."""
        print(text, file=sys.stderr)

    def __enter__(self) -> PlainBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class LiveBoard:
    """A line for every training, and one for what is done after."""

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

    def say(self, text: str) -> None:
        """Tell of something that is no training."""
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

    def __enter__(self) -> LiveBoard:
        self.live.start()
        self._draw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()


def board(jobs: Sequence[Job]) -> LiveBoard | PlainBoard:
    """Return what fits stderr."""
    return LiveBoard(jobs) if sys.stderr.isatty() else PlainBoard(jobs)
