"""Peers in an environment of their own, each contender a process that prints its rate at every line on stdin."""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

HERE = Path(__file__).parent
ADVERSARIAL = (".venv-gans", ("torchgan", "geomloss"))  # an environment and what is installed into it


def interpreter(folder: str, packages: Sequence[str]) -> Path | None:
    """The interpreter of the peers' environment, made on the first run; None where it cannot be had."""
    python = HERE / folder / "bin" / "python"
    if not python.exists():
        print("installing the peers into an environment of their own ...", flush=True)
        venv.create(HERE / folder, with_pip=True)
        wanted = [f"torch=={torch.__version__.split('+')[0]}", *packages]
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *wanted], check=False)
    return python if python.exists() else None


def theirs(python: Path | None, script: str, *arguments: str) -> Callable[[], list[float]] | None:
    """What asks a peer's process for a line of numbers, or None, with a message, where it does not start."""
    command = [str(python), "-W", "ignore", str(HERE / script), *arguments]
    name = " ".join([script.removeprefix("peer_").removesuffix(".py"), *arguments])
    process = python and subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    if not process or process.stdout is None or process.stdout.readline() != "ready\n":
        print(f"{name} cannot be run here: its lines are left out")
        return None

    def go() -> list[float]:
        assert process.stdin
        assert process.stdout
        process.stdin.write("go\n")
        process.stdin.flush()
        return [float(number) for number in process.stdout.readline().split()]

    return go
