"""Checkpoints: one file each, written to a temporary name and renamed, with the checksum in the name.

A file whose bytes do not give the checksum of its name is corrupt: it is reported, and the one before it is used.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from thalweg.files import write_atomic

__all__ = ["load_newest", "read_checkpoint", "save_checkpoint"]

KEEP = 2  # the newest, and one to fall back on


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def save_checkpoint(folder: Path, state: dict[str, Any], *, name: str, keep: int = KEEP) -> Path:
    """Write `state` as `folder/name.CHECKSUM.pt`; then remove all but the newest `keep` of the name's series.

    The series is what stands before the first "-" of the name: "step-000000100", "best-000000100".
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    data = buffer.getvalue()
    path = folder / f"{name}.{_digest(data)}.pt"
    write_atomic(path, data)
    series = name.split("-")[0]
    for old in _series(folder, series)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def _series(folder: Path, series: str) -> list[Path]:
    return sorted(folder.glob(f"{series}-*.pt"), key=lambda path: path.name)


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return the state in `path`. A file that is damaged, or that holds more than data, is a ValueError."""
    data = path.read_bytes()
    if _digest(data) != path.name.split(".")[-2]:
        raise ValueError(f"checkpoint {path}: its {len(data)} bytes do not give the checksum in its name")
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
    except UnpicklingError as error:
        raise ValueError(f"checkpoint {path}: it holds more than data ({str(error).splitlines()[0]})") from None
    return state


def load_newest(
    folder: Path, *, series: str = "step", device: torch.device | str = "cpu", warn: Callable[[str], None]
) -> dict[str, Any] | None:
    """Return the newest sound checkpoint's state, or None where there is no checkpoint.

    Each corrupt file passed over is told to `warn`. Where every file is corrupt, ValueError.
    """
    files = _series(folder, series)
    for path in reversed(files):
        try:
            return read_checkpoint(path, device)
        except ValueError as error:
            warn(f"{error}; using the one before it")
    if files:
        raise ValueError(f"checkpoints in {folder}: got {len(files)} damaged files, wanted at least one sound one")
    return None


def newest_step(folder: Path) -> int:
    """Return the step in the name of the newest checkpoint, 0 where there is none."""
    files = _series(folder, "step")
    return int(files[-1].name.split(".")[0].split("-")[2]) if files else 0
