"""Trainings of a comparison: each in a process of its own, one after another, or distributed over a Ray cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from thalweg.config import RunConfig, to_json
from thalweg.files import LOCK

__all__ = ["Job", "ProgressDisplay", "train_here", "train_on_ray"]

State = Literal["waiting", "training", "done", "failed"]


@dataclass
class Job:
    """One training: its configuration and folders, its state, and the reason if it failed."""

    name: str
    config: RunConfig
    folder: Path
    log: Path
    state: State = "waiting"
    reason: str | None = None
    warnings: list[str] = field(default_factory=list)

    def handle_message(self, message: Mapping[str, Any]) -> None:
        """Update the job with a message of its worker."""
        if "failed" in message:
            self.state, self.reason = "failed", str(message["failed"])
        if "warning" in message:
            self.warnings.append(str(message["warning"]))

    @property
    def trained(self) -> bool:
        """Whether the folder has the trained model."""
        return (self.folder / "model.safetensors").is_file()

    def end(self) -> None:
        """Set the final state: done if there is a model."""
        if self.trained and self.state != "failed":
            self.state, self.reason = "done", None
        else:
            self.state, self.reason = "failed", self.reason or f"no model was written; see {self.log}"


class ProgressDisplay(Protocol):
    """Shows the state of each training."""

    def show(self, job: Job, message: Mapping[str, Any]) -> None:
        """Called after `job` changed or its worker sent a message."""


def train_here(jobs: Sequence[Job], board: ProgressDisplay) -> None:
    """Train the jobs one after another, since trainings at the same time would share the time budget.

    A job that fails does not stop the others. After an interrupt, the running job writes a checkpoint, from which the
    same command resumes it.
    """
    for job in jobs:
        if job.trained:
            job.end()
        else:
            job.state = "training"
            board.show(job, {})
            _in_a_process(job, board)
        board.show(job, {})


def _in_a_process(job: Job, board: ProgressDisplay) -> None:
    work = json.dumps({"config": to_json(job.config), "folder": str(job.folder)})
    # -P: no file of the current folder is imported
    command = [sys.executable, "-P", "-m", "thalweg.comparison.worker", work]
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with open(job.log, "a") as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # the interrupt reaches only this process; closing the child's stdin stops it, once
        )
        try:
            assert child.stdout is not None
            for line in child.stdout:
                message = _read(line)
                job.handle_message(message)
                board.show(job, message)
            code = child.wait()
        except BaseException:  # an interrupt
            assert child.stdin is not None
            child.stdin.close()
            child.wait()
            raise
        finally:
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
    if code and job.state != "failed":
        died = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        job.state, job.reason = "failed", f"the process was ended by {died}; see {job.log}"
    job.end()


def _read(line: str) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except json.JSONDecodeError:  # printed by a library
        return {}
    return message if isinstance(message, dict) else {}


def train_on_ray(jobs: Sequence[Job], board: ProgressDisplay, address: str) -> None:
    """Distribute the trainings over a Ray cluster: each takes one core, or one GPU if the run asks for it.

    A node that has access to the job's folder trains in it; another trains in a temporary folder, whose files are
    copied back at the end. `address` is Ray's: "auto", "local", "host:port" or "ray://host:port".
    """
    try:
        import ray
        from ray.util.queue import Empty, Queue
    except ImportError:
        raise ValueError("ray: not installed; wanted `pip install ray`") from None
    started = not ray.is_initialized()
    if started:
        here, runs = os.getcwd(), jobs[0].folder.parent
        runs.mkdir(parents=True, exist_ok=True)
        os.chdir(runs)  # Ray puts the driver's current folder on its workers' path: use one that holds no Python files
        try:
            ray.init(address=address, log_to_driver=False, include_dashboard=False if address == "local" else None)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"ray: got {address}, wanted the address of a cluster ({str(error).splitlines()[0]})"
            ) from None
        finally:
            os.chdir(here)
    try:
        queue = Queue()
        remote = ray.remote(_on_a_node)
        waiting = {}
        for job in jobs:
            gpus = int(job.config.train.device.startswith("cuda"))
            token = job.folder.parent / f".{job.name}.here"
            token.parent.mkdir(parents=True, exist_ok=True)
            token.write_text(job.name)
            files = _files(job.folder)
            task = remote.options(num_cpus=1, num_gpus=gpus, max_retries=0)
            folder = str(job.folder.absolute())
            work = (to_json(job.config), os.getcwd(), folder, str(token.absolute()), files, job.name, queue)
            waiting[task.remote(*work)] = job
        by_name = {job.name: job for job in jobs}
        while waiting:
            done, _ = ray.wait(list(waiting), timeout=0.2)
            while True:
                try:
                    name, message = queue.get_nowait()
                except Empty:
                    break
                job = by_name[name]
                job.state = "training" if job.state == "waiting" else job.state
                job.handle_message(message)
                board.show(job, message)
            for reference in done:
                _fetch(waiting.pop(reference), reference, board)
    finally:
        for job in jobs:
            (job.folder.parent / f".{job.name}.here").unlink(missing_ok=True)
        if started:
            ray.shutdown()


def _fetch(job: Job, reference: Any, board: ProgressDisplay) -> None:
    """Take a task's result, and write the files of a folder that is not on this machine."""
    import ray

    try:
        for name, data in (ray.get(reference) or {}).items():
            path = job.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    except Exception as error:  # any exception of the task, wrapped by Ray
        cause = getattr(error, "cause", None) or error
        reason = " ".join(str(cause).split())[:300]
        job.state, job.reason = "failed", job.reason or (reason or type(cause).__name__)
    job.end()
    board.show(job, {})


def _on_a_node(
    config: dict[str, Any], current: str, folder: str, token: str, files: dict[str, bytes], name: str, queue: Any
) -> dict[str, bytes] | None:
    """Train on a node of the cluster; return the files of the run if its folder is not on that node.

    Relative paths of data are relative to `current`, the folder of the process that submitted the task.
    """
    import tempfile

    from thalweg.comparison.worker import train_or_resume
    from thalweg.config import from_json

    if Path(current).is_dir():
        os.chdir(current)
    here = Path(folder)
    shared = Path(token).is_file() and Path(token).read_text() == name

    def tell(message: dict[str, Any]) -> None:
        queue.put((name, message))

    run = from_json(RunConfig, config)
    if shared:
        train_or_resume(run, here, tell)
        return None
    with tempfile.TemporaryDirectory() as place:
        there = Path(place) / here.name
        for path, data in files.items():
            (there / path).parent.mkdir(parents=True, exist_ok=True)
            (there / path).write_bytes(data)
        train_or_resume(run, there, tell)
        return _files(there)


def _files(folder: Path) -> dict[str, bytes]:
    """Return a folder's files by their path within it, without its lock."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != LOCK]
    return {os.fspath(path.relative_to(folder)): path.read_bytes() for path in paths}
