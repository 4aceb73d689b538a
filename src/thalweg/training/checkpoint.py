"""Checkpoints: one file each, named SERIES-STAGE-STEP.CHECKSUM.pt and written atomically.

A file whose bytes do not have the checksum in its name is damaged: a warning names it, and the earlier
file that is used instead.
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

__all__ = [
    "FORMAT",
    "Checkpoint",
    "checkpoints",
    "load_exactly",
    "load_newest",
    "prune",
    "read_checkpoint",
    "remove_later",
    "save_checkpoint",
]

FORMAT = 2  # of run folders and checkpoints; raised whenever what they hold changes

NAME = re.compile(r"(?P<series>[a-z]+)-(?P<stage>\d+)-(?P<step>\d+)\.(?P<checksum>[0-9a-f]{16})\.pt")


class Checkpoint(NamedTuple):
    """A checkpoint file with the stage and the step in its name, by which it is sorted."""

    stage: int
    step: int
    path: Path

    @property
    def at(self) -> tuple[int, int]:
        """The stage and the step of the run."""
        return self.stage, self.step


def checkpoints(folder: Path, series: str) -> list[Checkpoint]:
    """Return the checkpoints of a series, the oldest first. Other files in the folder are ignored.

    The series are "step", to resume from, and "best", the models with the lowest validation loss so far.
    """
    names = [(NAME.fullmatch(path.name), path) for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(
        Checkpoint(int(name["stage"]), int(name["step"]), path)
        for name, path in names
        if name and name["series"] == series
    )


def save_checkpoint(folder: Path, state: dict[str, Any], series: str, at: tuple[int, int]) -> Path:
    """Write the state at (stage, step) into the folder; an older file of the same series and step is replaced."""
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **state}, buffer)
    data = buffer.getvalue()
    path = folder / f"{series}-{at[0]}-{at[1]:09d}.{digest(data)}.pt"
    write_atomic(path, data)
    for old in checkpoints(folder, series):
        if old.at == at and old.path != path:
            old.path.unlink(missing_ok=True)
    return path


def prune(folder: Path, series: str, keep: Collection[tuple[int, int]]) -> None:
    """Remove the checkpoints of a series except those at the (stage, step) in `keep`."""
    for old in checkpoints(folder, series):
        if old.at not in keep:
            old.path.unlink(missing_ok=True)


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return the state in `path`. Raises ValueError for a file that is damaged or that holds more than data."""
    data, name = path.read_bytes(), NAME.fullmatch(path.name)
    if name is None or digest(data) != name["checksum"]:
        raise ValueError(f"checkpoint {path}: damaged: its {len(data)} bytes do not have the checksum in its name")
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
    except UnpicklingError as error:
        raise ValueError(f"checkpoint {path}: it holds more than data ({str(error).splitlines()[0]})") from None
    return state


def load_newest(
    folder: Path, *, device: torch.device | str = "cpu", warn: Callable[[str], None]
) -> dict[str, Any] | None:
    """Return the state of the newest undamaged "step" checkpoint, or None where there is no checkpoint.

    Each damaged file is reported to `warn`, with the file that is used instead.
    Raises ValueError where all are damaged, and for one of another format.
    """
    files = checkpoints(folder, "step")
    damaged: list[ValueError] = []
    for checkpoint in reversed(files):
        try:
            state = _of_this_format(checkpoint.path, read_checkpoint(checkpoint.path, device))
        except _OtherFormatError:
            raise
        except ValueError as error:
            damaged.append(error)
            continue
        for reason in damaged:
            warn(f"{reason}; the earlier checkpoint {checkpoint.path.name} is used instead")
        return state
    if files:
        raise ValueError(f"checkpoints in {folder}: got {len(files)} damaged files, wanted at least one undamaged")
    return None


def load_exactly(
    folder: Path, series: str, at: tuple[int, int], *, device: torch.device | str = "cpu"
) -> dict[str, Any]:
    """Return the state of a series at (stage, step). Raises ValueError where it is missing or damaged."""
    for checkpoint in checkpoints(folder, series):
        if checkpoint.at == at:
            return read_checkpoint(checkpoint.path, device)
    raise ValueError(f"checkpoints: got no '{series}' of step {at[1]} in {folder}, wanted the file that was written")


class _OtherFormatError(ValueError):
    pass


def _of_this_format(path: Path, state: dict[str, Any]) -> dict[str, Any]:
    if state.get("format") != FORMAT:
        raise _OtherFormatError(
            f"checkpoint {path}: got format {state.get('format', 1)}, wanted {FORMAT}: another version wrote it"
        )
    return state


def remove_later(folder: Path, at: tuple[int, int]) -> None:
    """Remove the checkpoints of both series after (stage, step), where the run is resumed: they are written again.

    Those that were written under other settings, such as another number of steps, would otherwise be mistaken for
    checkpoints of the resumed run.
    """
    for series in ("step", "best"):
        for checkpoint in checkpoints(folder, series):
            if checkpoint.at > at:
                checkpoint.path.unlink(missing_ok=True)
