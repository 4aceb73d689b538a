"""A run that is killed at any time and resumed equals, byte for byte, one that was never killed: every recipe."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from thalweg.recipes import FAMILIES

SCRIPT = Path(__file__).with_name("kill_and_resume.py")
EVERYTHING = {"validate_every": 1, "patience": 50, "ema": 0.9}  # everything that is saved beside the weights
QUANTIZED = {"codes": 8, "dim": 4, "hidden": 8, "layers": 1}


def said(*arguments) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.system("S5")
@pytest.mark.parametrize(
    ("how", "recipe", "options", "training"),
    [
        ("every-state", "vae", {"latent_dim": 2, "hidden": 8}, {"steps": 5, "log_every": 2} | EVERYTHING),
        ("overwrite", "softmax-regression", {}, {"steps": 4}),
        pytest.param("every-state", "vq-vae", QUANTIZED | {"conditional": True}, {"steps": 4, "validate_every": 2},
                     marks=pytest.mark.system("S84")),
        pytest.param("every-state", "stacked-denoising-autoencoder", {"latent_dim": 4, "hidden": 8, "layers": 2},
                     {"steps": 4, "validate_every": 2}, marks=pytest.mark.system("S71")),
    ],
)  # fmt: skip
def test_every_state_that_a_kill_can_leave_is_resumed(tmp_path, how, recipe, options, training):
    training = {"checkpoint_every": 2, **training}
    (line,) = said(how, tmp_path, recipe, json.dumps(options), json.dumps(training))
    states = re.fullmatch(r"same (\d+)", line)
    assert states, line
    assert int(states[1]) > 25


@pytest.mark.system("S5")
@pytest.mark.parametrize("kind", ["mask", "tokens"])
def test_every_state_of_a_run_on_masks_or_tokens_is_resumed(tmp_path, kind):
    (line,) = said("toy", tmp_path, kind)
    states = re.fullmatch(r"same (\d+)", line)
    assert states, line
    assert int(states[1]) > 25


@pytest.mark.system("S5")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_killed_repeatedly_equals_one_never_killed(tmp_path, family):
    lines = [line.split(": ", 1) for line in said("kills", tmp_path, family)]
    assert set(FAMILIES[family]) <= {recipe for recipe, _ in lines}
    assert [line for line in lines if not re.fullmatch(r"same \d+", line[1])] == []
