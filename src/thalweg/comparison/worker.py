"""One training in a process of its own: `python -m thalweg.comparison.worker JOB`, with JOB a JSON object.

It trains or resumes the run in the job's folder, and writes its progress to stdout, one JSON object per line. When the
parent process ends, its stdin closes: it then finishes the step, writes a checkpoint and stops.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from thalweg.config import RunConfig, from_json

__all__ = ["train_or_resume"]

Tell = Callable[[dict[str, Any]], None]


class ProgressReporter:
    """Sends the progress, at most twice per second."""

    def __init__(self, send: Tell) -> None:
        self.send, self.sent = send, 0.0

    def start(self, label: str, step: int, steps: int) -> None:
        self.label, self.begun, self.first = label, time.monotonic(), step
        self.send({"stage": label, "step": step, "steps": steps})

    def update(self, step: int, metrics: Mapping[str, float], steps: int) -> None:
        now = time.monotonic()
        if now - self.sent < 0.5 and step < steps:
            return
        self.sent = now
        rate = (step - self.first) / max(now - self.begun, 1e-9)
        message = {
            "stage": self.label,
            "step": step,
            "steps": steps,
            "rate": rate,
            "left": (steps - step) / max(rate, 1e-9),
        }
        self.send(message | {"metrics": dict(metrics)})

    def close(self) -> None: ...


def train_or_resume(config: RunConfig, folder: Path, send: Tell) -> None:
    """Train the run, or resume the one in the folder; a finished run is left unchanged."""
    from thalweg.recipes import runs

    def warn(message: str) -> None:
        send({"warning": " ".join(message.split())})

    if (folder / "model.safetensors").is_file():
        return
    if (folder / "run.json").is_file():
        runs.resume(folder, progress=ProgressReporter(send), warn=warn)
    else:
        runs.train(config, folder, progress=ProgressReporter(send), warn=warn)


def main(job: str) -> int:
    """Run the job and return the exit code."""
    settings = json.loads(job)

    def send(message: dict[str, Any]) -> None:
        print(json.dumps(message), flush=True)

    threading.Thread(target=_stop_with_starter, daemon=True).start()
    try:
        train_or_resume(from_json(RunConfig, settings["config"]), Path(settings["folder"]), send)
    except BaseException as error:
        from thalweg.training import Interrupted

        if isinstance(error, Interrupted):
            return 128 + error.signum
        reason = " ".join(str(error).split()) or type(error).__name__
        expected = isinstance(error, (ValueError, RuntimeError)) and not isinstance(error, NotImplementedError)
        send({"failed": reason if expected else f"{type(error).__name__}: {reason}"})
        if not isinstance(error, ValueError):
            raise
        return 2
    return 0


def _stop_with_starter() -> None:
    while os.read(0, 1):  # not sys.stdin: a reader thread that holds its lock would crash the interpreter at exit
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
