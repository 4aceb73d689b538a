"""A comparison's folder belongs to one process at a time, and a signal says how to go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from thalweg.cli import main

SETTINGS = ["--data", "digits", "--limit", "20", "--samples", "20", "--temperatures", "0", "--features", "pixels"]


def waits_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    while not path.exists():  # until the work has begun, however slow the machine
        assert process.poll() is None
        time.sleep(0.05)


def test_a_second_process_cannot_overwrite_a_live_comparison(tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    arguments = ["compare", "softmax-regression:steps=1000000", *SETTINGS, "--device", "cpu", "--out", str(out)]
    first = subprocess.Popen(
        [sys.executable, "-m", "thalweg", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        waits_for(out / "runs" / "softmax-regression_steps=1000000-0" / "run.json", first)
        for more in ([], ["--overwrite"]):
            assert main([*arguments, *more]) == 1
            told = capsys.readouterr().err.splitlines()[-1]
            assert f"in use by another process (pid {first.pid})" in told
        assert (out / "compare.json").is_file()
        os.kill(first.pid, signal.SIGTERM)
        _, err = first.communicate()
    finally:
        first.kill()
    assert first.returncode == 143
    assert err.decode().splitlines()[-1] == "thalweg: interrupted; the same command resumes"
