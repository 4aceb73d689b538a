"""SIGINT and SIGTERM while a run trains: the step is finished, a checkpoint is written, and the run can be resumed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interrupted", "stop_signals"]


class Interrupted(Exception):
    """The run was asked to stop by signal `signum`, finished its step, and can go on."""

    def __init__(self, signum: int, stage: int, step: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signum).name} after step {step}")
        self.signum, self.stage, self.step = signum, stage, step


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Within, the first SIGINT or SIGTERM is noted in the list; a second one acts as it always did."""
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
