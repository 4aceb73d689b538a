"""A run of several stages, killed in any of them and resumed, is byte for byte the run that was never killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("kill_between_stages.py")
TINY = {"codes": 8, "dim": 4, "hidden": 8, "layers": 1}
TWO = [["autoencoder", 5], ["prior", 0], ["prior", 7]]  # in the first stage, between the two, in the second
THREE = [["layer-1", 5], ["layer-2", 0], ["layer-2", 3], ["fine-tuning", 0], ["fine-tuning", 7]]


@pytest.mark.parametrize(
    ("recipe", "options", "kills"),
    [
        pytest.param("vq-vae", TINY | {"conditional": True}, TWO, marks=pytest.mark.system("S84")),
        pytest.param("vq-vae-2", TINY | {"codebook": "loss"}, TWO, marks=pytest.mark.system("S84")),
        pytest.param(
            "stacked-denoising-autoencoder",
            {"latent_dim": 4, "hidden": 8, "layers": 2},
            THREE,
            marks=pytest.mark.system("S71"),
        ),
    ],
)
def test_killed_in_any_stage_and_resumed_is_never_killed(tmp_path, recipe, options, kills):
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), recipe, json.dumps(options), json.dumps(kills)],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ended.stdout.strip() == "same", ended.stderr
