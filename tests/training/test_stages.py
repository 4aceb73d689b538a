"""A run of two stages, killed in either or between them and resumed, is byte for byte the run that was never killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("kill_between_stages.py")
TINY = {"codes": 8, "dim": 4, "hidden": 8, "layers": 1}


@pytest.mark.system("S84")
@pytest.mark.parametrize(
    ("recipe", "options"), [("vq-vae", TINY | {"conditional": True}), ("vq-vae-2", TINY | {"codebook": "loss"})]
)
def test_killed_in_either_stage_and_resumed_is_never_killed(tmp_path, recipe, options):
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), recipe, json.dumps(options)],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ended.stdout.strip() == "same", ended.stderr
