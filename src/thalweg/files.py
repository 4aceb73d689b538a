"""Atomic writing of files: a file is complete or absent, written under a temporary name beside the final one."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import IO

__all__ = [
    "LOCK",
    "atomic_path",
    "digest",
    "is_temporary",
    "lock_folder",
    "remove_temporaries",
    "temporary_path",
    "write_atomic",
]

LOCK = "lock"  # the file that a process locks while it uses a folder

TEMPORARY = re.compile(r"\..+\.(?P<pid>\d+)\.tmp(\.[^.]*)?")  # .STEM.PID.tmp.SUFFIX


def digest(data: bytes) -> str:
    """Return the checksum that files are verified by: BLAKE2b of 8 bytes, in hexadecimal.

    >>> digest(b"")
    'e4a6a0577479b2b4'
    """
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def temporary_path(path: Path) -> Path:
    """Return the name under which this process writes `path` until it is complete; it has the same suffix.

    >>> temporary_path(Path("a/b.npz")).name == f".b.{os.getpid()}.tmp.npz"
    True
    """
    return path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix.lower()}")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path, which replaces `path` when the block ends and is removed when it raises.

    Whenever the process dies, `path` is as it was before or complete, and it survives power loss. The last folder of
    the path is created where it is missing. Temporary files of the same path that dead processes left are removed.
    """
    path.parent.mkdir(exist_ok=True)
    temporary = temporary_path(path)
    for other in path.parent.glob(f".{escape(path.stem)}.*.tmp{escape(path.suffix.lower())}"):
        if (name := TEMPORARY.fullmatch(other.name)) and not _alive(int(name["pid"])):
            other.unlink(missing_ok=True)
    try:
        yield temporary
        _to_disk(temporary)
        os.replace(temporary, path)
    except OSError as error:
        if error.filename in (None, os.fspath(temporary)):
            error.filename = os.fspath(path)  # the error of a full disk does not name the file
        raise
    finally:
        temporary.unlink(missing_ok=True)
    _to_disk(path.parent)  # the name must survive power loss, too


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` as `atomic_path` does."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def is_temporary(path: Path) -> bool:
    """Return whether the name of the path is that of an unfinished file of this library."""
    return TEMPORARY.fullmatch(path.name) is not None


def remove_temporaries(folder: Path) -> None:
    """Remove all temporary files below `folder`. The caller holds its lock, so no other process writes there."""
    for path in folder.rglob(".*"):
        if is_temporary(path):
            path.unlink(missing_ok=True)


def lock_folder(folder: Path, what: str) -> IO[str]:
    """Return the folder's lock file, open and locked until it is closed or this process ends.

    Raises RuntimeError with the owner's process number where another process holds it.
    """
    lock = open(folder / LOCK, "a+")  # noqa: SIM115
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        raise RuntimeError(f"{what} folder {folder} is in use by another process (pid {owner})") from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _alive(pid: int) -> bool:
    """Return whether a process of that number runs on this machine."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
