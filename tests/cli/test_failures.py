"""Errors at run time: one line, the right exit code, and no loss of files."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from thalweg.cli import main
from thalweg.cli.errors import report
from thalweg.training import Interrupted


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("steps: got -3, wanted more"), 2, "thalweg: error: --steps: got -3, wanted more"),
        (ValueError("other: got\n  two lines"), 2, "thalweg: error: other: got two lines"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/x"),
            2,
            "thalweg: error: /x: Permission denied, wanted a path that this user may read and write",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "a.pt"),
            1,
            "thalweg: error: a.pt: No space left on device; "
            "the last checkpoint is kept: free some space, then use `thalweg resume`",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "/r"),
            2,
            "thalweg: error: /r: Read-only file system, wanted a place that can be written",
        ),
        (RuntimeError("run folder x is in use"), 1, "thalweg: error: run folder x is in use"),
        (FloatingPointError("elbo: 1 of 3 values"), 1, "thalweg: error: elbo: 1 of 3 values"),
        (MemoryError(), 1, "thalweg: error: MemoryError"),
        (
            KeyError("x"),
            1,
            "thalweg: error: KeyError: 'x' (internal error, please report; THALWEG_DEBUG=1 shows where)",
        ),
        (KeyboardInterrupt(), 130, "thalweg: interrupted"),
        (Interrupted(signal.SIGTERM, 0, 7), 143, "thalweg: interrupted by SIGTERM after step 7"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_codes_and_lines(error, code, line, capsys):
    assert report(error, {"steps": "--steps"}) == code
    assert capsys.readouterr().err == line + "\n"


def test_long_messages_are_cut(capsys):
    report(ValueError("x" * 5000), {})
    assert len(capsys.readouterr().err) < 700


def test_debug_shows_the_traceback(capsys, monkeypatch):
    monkeypatch.setenv("THALWEG_DEBUG", "1")
    assert main(["trian"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("thalweg: error: verb: got 'trian'")


def test_a_folder_in_use(tmp_path, capsys):
    train = ["train", "softmax-regression", "--data", "digits", "--steps", "2", "--run", str(tmp_path / "run")]
    assert main(train) == 0
    from thalweg.training import RunFolder

    capsys.readouterr()
    with RunFolder.open(tmp_path / "run"):
        assert main(["resume", str(tmp_path / "run"), "--steps", "3"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("thalweg: error: run folder")
    assert f"pid {os.getpid()}" in err


def test_a_diverging_loss_is_an_error(tmp_path, capsys):
    run = str(tmp_path / "run")
    code = main(["train", "vae", "--data", "digits", "--steps", "60", "--log-every", "1", "--run", run,
                 "--optimizer", "sgd", "--lr", "1e6"])  # fmt: skip
    last = capsys.readouterr().err.splitlines()[-1]
    assert code == 1
    assert last.startswith("thalweg: error: ")
    assert "step" in last


def test_evaluate_needs_the_end_of_the_run(tmp_path, capsys, trained):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(trained["vae"], run)
    (run / "model.safetensors").unlink()
    assert main(["evaluate", str(run)]) == 2
    assert f"thalweg resume {run}" in capsys.readouterr().err


def test_a_full_disk_loses_nothing(tmp_path, trained):
    """A limit on the size of files stands in for a full disk: the write fails half-way just the same."""
    run = tmp_path / "run"
    train = ["train", "softmax-regression", "--data", "digits", "--steps", "40", "--checkpoint-every", "10"]
    limited = (
        "import resource, sys; from thalweg.cli import main;"
        "from thalweg.training import checkpoint; real = checkpoint.save_checkpoint; n = [0]\n"
        "def save(*a, **k):\n"
        "    n[0] += 1\n"
        "    if n[0] == 3: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))\n"
        "    return real(*a, **k)\n"
        "import thalweg.training.keeper as keeper; keeper.save_checkpoint = save\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, *train, "--run", str(run)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"thalweg: error: {run}/checkpoints/step-0-000000030")
    assert last.endswith("free some space, then use `thalweg resume`")
    assert "Traceback" not in done.stderr
    assert not list(run.rglob(".*.tmp*"))
    assert main([*train, "--run", str(tmp_path / "straight")]) == 0
    assert main(["resume", str(run)]) == 0
    resumed, straight = ((tmp_path / f / "model.safetensors").read_bytes() for f in ("run", "straight"))
    assert resumed == straight


def test_a_read_only_folder(tmp_path, monkeypatch, capsys):
    def refused(*arguments, **settings):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(tmp_path / "ro/run"))

    monkeypatch.setattr("pathlib.Path.mkdir", refused)
    code = main(["train", "softmax-regression", "--data", "digits", "--run", str(tmp_path / "ro/run")])
    assert code == 2
    assert capsys.readouterr().err == (
        f"thalweg: error: {tmp_path}/ro/run: Read-only file system, wanted a place that can be written\n"
    )


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signals(signum, tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "thalweg", "train", "softmax-regression", "--data", "digits"]
    command += ["--steps", "100000000", "--log-every", "10", "--run", str(run)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 1800
    while not (run / "metrics.jsonl").is_file() and time.monotonic() < until:
        time.sleep(0.05)
    child.send_signal(signum)
    out, err = child.communicate(timeout=1800)
    assert child.returncode == 128 + signum
    assert out == ""
    assert f"resume with: thalweg resume {run}" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert list((run / "checkpoints").glob("step-*.pt"))


def test_a_broken_pipe_is_quiet():
    reading, writing = os.pipe()
    os.close(reading)  # nobody will ever read
    command = [sys.executable, "-m", "thalweg", "data", "list", "--json"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode == 141


@pytest.mark.parametrize(
    ("fails", "code"),
    [
        (lambda: int("x"), 1),
        (lambda: np.zeros(3).reshape(2), 1),
        (lambda: json.dumps(float("inf"), allow_nan=False), 1),
        (lambda: np.linalg.inv(np.zeros((2, 2))), 1),
        (lambda: "é".encode("ascii"), 1),
        (lambda: __import__("thalweg.checks", fromlist=["choice"]).choice("split", "tset", ["test"]), 2),
    ],
)
def test_errors_of_libraries_are_internal_errors(monkeypatch, capsys, fails, code):
    """Only what this package raises by itself is a mistake of the user; C functions have no frame of their own."""
    import thalweg.cli.models as verb

    source = fails.__code__.replace(co_filename=verb.__file__)  # as if the call stood in our own file
    monkeypatch.setattr(verb, "run", lambda inputs: type(fails)(source, fails.__globals__)())
    assert main(["models"]) == code
    assert ("internal error" in capsys.readouterr().err) == (code == 1)
