"""The start-up time of `import thalweg` and `thalweg -h`, as whole processes beside a bare interpreter.

python benchmarks/speed/startup.py
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

from harness import alternate, report

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import thalweg": [sys.executable, "-c", "import thalweg"],
    "thalweg -h": [sys.executable, "-m", "thalweg", "-h"],
    "thalweg train vae -h": [sys.executable, "-m", "thalweg", "train", "vae", "-h"],
    "import torch": [sys.executable, "-c", "import torch"],
}


def starts(command: list[str]) -> Callable[[], float]:
    """Return a contender: starts of a process per second."""

    def go() -> float:
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return 1 / (time.perf_counter() - began)

    return go


if __name__ == "__main__":
    rates = alternate({name: starts(command) for name, command in COMMANDS.items()}, rounds=9)
    goals = {
        "0.1 s": ("import thalweg", 10.0),
        "0.3 s": ("thalweg -h", 1 / 0.3),
        "0.3 s ": ("thalweg train vae -h", 1 / 0.3),
    }
    rates["1 (a second)"] = [1.0] * 9
    compared = {f"{name}: within {limit}": (name, "1 (a second)", goal) for limit, (name, goal) in goals.items()}
    report("startup", "starts/s", rates, compared)
