"""Checkpoints: one file each, named SERIES-STAGE-STEP.CHECKSUM.pt and written atomically.

A file whose bytes do not give the checksum in its name is damaged: a warning names it, and the one before is used.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Collection
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch

from thalweg.files import digest, write_atomic

__all__ = ["Checkpoint", "checkpoints", "load_newest", "prune", "read_checkpoint", "remove_later", "save_checkpoint"]

NAME = re.compile(r"(?P<series>[a-z]+)-(?P<stage>\d+)-(?P<step>\d+)\.(?P<checksum>[0-9a-f]{16})\.pt")


class Checkpoint(NamedTuple):
    """A checkpoint file, by what its name says. They sort by stage and step."""

    stage: int
    step: int
    path: Path

    @property
    def at(self) -> tuple[int, int]:
        """The stage and the step that the run had reached."""
        return self.stage, self.step


def checkpoints(folder: Path, series: str) -> list[Checkpoint]:
    """Return the checkpoints of a series, oldest first. Other files in the folder are not looked at.

    The series are "step", to resume from, and "best", the models with the lowest validation loss so far.
    """
    names = [(NAME.fullmatch(path.name), path) for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(
        Checkpoint(int(name["stage"]), int(name["step"]), path)
        for name, path in names
        if name and name["series"] == series
    )


def save_checkpoint(folder: Path, state: dict[str, Any], series: str, at: tuple[int, int]) -> Path:
    """Write `state`, reached at (stage, step), into the folder, in place of what the series has of the same step."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    data = buffer.getvalue()
    path = folder / f"{series}-{at[0]}-{at[1]:09d}.{digest(data)}.pt"
    write_atomic(path, data)
    for old in checkpoints(folder, series):
        if old.at == at and old.path != path:
            old.path.unlink(missing_ok=True)
    return path


def prune(folder: Path, series: str, keep: Collection[tuple[int, int]]) -> None:
    """Remove the checkpoints of a series but those reached at the (stage, step) of `keep`."""
    for old in checkpoints(folder, series):
        if old.at not in keep:
            old.path.unlink(missing_ok=True)


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return the state in `path`. A file that is damaged, or that holds more than data, is a ValueError."""
    data, name = path.read_bytes(), NAME.fullmatch(path.name)
    if name is None or digest(data) != name["checksum"]:
        raise ValueError(f"checkpoint {path}: damaged, its {len(data)} bytes do not give the checksum in its name")
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
    except UnpicklingError as error:
        raise ValueError(f"checkpoint {path}: it holds more than data ({str(error).splitlines()[0]})") from None
    return state


def load_newest(
    folder: Path, *, device: torch.device | str = "cpu", warn: Callable[[str], None]
) -> dict[str, Any] | None:
    """Return the state of the newest undamaged "step" checkpoint, or None where there is no checkpoint.

    Each damaged file is reported to `warn`. Where all are damaged, ValueError.
    """
    files = checkpoints(folder, "step")
    for found in reversed(files):
        try:
            return read_checkpoint(found.path, device)
        except ValueError as error:
            warn(f"{error}; using the one before it")
    if files:
        raise ValueError(f"checkpoints in {folder}: got {len(files)} damaged files, wanted at least one undamaged")
    return None


def remove_later(folder: Path, at: tuple[int, int]) -> None:
    """Remove the checkpoints of both series beyond (stage, step), where the run is resumed: they are made again.

    Made under other settings, such as another number of steps, they would be taken for those of the resumed run.
    """
    for series in ("step", "best"):
        for found in checkpoints(folder, series):
            if found.at > at:
                found.path.unlink(missing_ok=True)
