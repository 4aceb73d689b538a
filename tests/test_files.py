"""Files are written completely or not at all, and temporary files of dead processes are removed."""

import errno
import os
import subprocess
import sys

import pytest

from thalweg.files import atomic_path, remove_temporaries, temporary_path, write_atomic


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def dead() -> int:
    """Return the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failing_write_leaves_the_old_file_and_names_it(tmp_path, monkeypatch, call):
    write_atomic(tmp_path / "file", b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left on device") as raised:
        write_atomic(tmp_path / "file", b"new")
    assert raised.value.filename == str(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_block_that_raises_leaves_the_old_file(tmp_path):
    write_atomic(tmp_path / "a.txt", b"old")
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text((tmp_path / "none").read_text() or "half")
    assert (tmp_path / "a.txt").read_bytes() == b"old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    "name", ["run.json", "lock", "model.safetensors", "step-0-000000010.0123abcd.pt", "A.NPZ", "[a].csv"]
)
def test_files_of_a_dead_process_are_removed_and_those_of_a_live_one_are_kept(tmp_path, name):
    path = tmp_path / name
    own = temporary_path(path)
    orphan = own.with_name(own.name.replace(str(os.getpid()), str(dead())))
    live = own.with_name(own.name.replace(str(os.getpid()), str(os.getppid())))
    for other in (orphan, live):
        other.write_text("half")
    write_atomic(path, b"whole")
    assert names(tmp_path) == sorted([name, live.name])
    remove_temporaries(tmp_path)
    assert names(tmp_path) == [name]


def test_files_that_look_alike_are_kept(tmp_path):
    kept = [".run.tmp", ".run.1.tmp.json.old", "run.1.tmp.json", ".tmp", ".x.tmp.1"]
    for name in kept:
        (tmp_path / name).write_text("")
    write_atomic(tmp_path / "run.json", b"")
    remove_temporaries(tmp_path)
    assert names(tmp_path) == sorted([*kept, "run.json"])
