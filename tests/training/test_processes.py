"""Equal runs are equal byte for byte in new processes, with the default number of threads of torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from thalweg.recipes import FAMILIES

SCRIPT = Path(__file__).with_name("equal_runs.py")
DEFAULT = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}


@pytest.mark.system("S5")
def test_equal_runs_are_equal_in_fresh_processes():
    said = [
        subprocess.run(
            [sys.executable, str(SCRIPT)],
            env=DEFAULT | {"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("0", "1")
    ]  # fmt: skip
    assert said[0] == said[1]
    recipes = {line.split()[0] for line in said[0].splitlines()[1:]}
    assert all(recipes & set(table) for table in FAMILIES.values())
