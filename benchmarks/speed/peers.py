"""Other libraries in environments of their own: each contender is a process that prints its rate on request."""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import torch

HERE = Path(__file__).parent
# (folder of an environment, packages that are installed into it)
AUTOENCODERS = (".venv-pythae", ("pythae",))
FLOWS = (".venv-flows", ("zuko", "nflows", "normflows", "torchdiffeq"))
ADVERSARIAL = (".venv-gans", ("torchgan", "geomloss"))


@cache
def _leave_out(peer: str) -> None:
    """Print once that a peer is not available."""
    print(f"{peer} is not available here: its lines are left out", flush=True)


@cache
def interpreter(folder: str, packages: Sequence[str]) -> Path | None:
    """Return the interpreter of an environment with the packages, or None if it cannot be created.

    The first call creates the environment and installs the packages that can be installed. After a failed installation,
    remove the folder to try again.
    """
    python = HERE / folder / "bin" / "python"
    if not python.exists():
        print(f"installing {', '.join(packages)} into {folder} ...", flush=True)
        try:
            venv.create(HERE / folder, with_pip=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        for package in packages:  # one by one: a package that cannot be installed does not prevent the others
            wanted = [f"torch=={torch.__version__.split('+')[0]}", package]
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", *wanted], capture_output=True)
    return python


def theirs(python: Path | None, peer: str, script: str, *arguments: str) -> Callable[[], list[float]] | None:
    """Start the script of a peer and return a function that asks it for a line of numbers.

    Returns None, after a message, if the process does not start; this is the case where the peer is not installed.
    """
    command = [str(python), "-W", "ignore", str(HERE / script), *arguments]
    process = python and subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    if not process or process.stdout is None or process.stdout.readline() != "ready\n":
        _leave_out(peer)
        if process:
            process.communicate()  # closes its pipes and waits
        return None

    def go() -> list[float]:
        assert process.stdin
        assert process.stdout
        process.stdin.write("go\n")
        process.stdin.flush()
        return [float(number) for number in process.stdout.readline().split()]

    return go
