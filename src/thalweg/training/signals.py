"""SIGINT and SIGTERM during training: the step is completed, a checkpoint is written, and the run can be resumed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interrupted", "stop_signals"]


class Interrupted(Exception):
    """Training was stopped by signal `signum` after a complete step; the run can be resumed."""

    def __init__(self, signum: int, stage: int, step: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signum).name} after step {step}")
        self.signum, self.stage, self.step = signum, stage, step


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Within, the first SIGINT or SIGTERM is appended to the list; a second one has its usual effect."""
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def note(signum: int, frame: FrameType | None) -> None:
        noted.append(signum)
        for s, handler in before.items():
            signal.signal(s, handler)

    for s in before:
        signal.signal(s, note)
    try:
        yield noted
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
