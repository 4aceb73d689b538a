"""A run killed at any instant and resumed is, byte for byte, the run that was never killed: every recipe."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from thalweg.recipes import recipe_names

DATA = {"flow-1d": "mixture-1d"}  # the others are tried on digits
FORMS = [
    ("real-nvp", '{"batch_norm": true, "hidden": 8}'),
    ("glow", '{"architecture": "dense", "hidden": 8}'),
    ("sn-gan", '{"method": "project", "norm": "map", "conditional": true, "hidden": 8}'),
]
SCRIPT = Path(__file__).with_name("kill_and_resume.py")


@pytest.mark.system("S5")
@pytest.mark.parametrize(("recipe", "options"), [*((name, "{}") for name in recipe_names()), *FORMS])
def test_killed_and_resumed_is_never_killed(tmp_path, recipe, options):
    kills = 20 if recipe == "vae" else 3
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), recipe, DATA.get(recipe, "digits"), str(kills), "1", options],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ended.stdout.strip() == "same", ended.stderr
