"""The commands that a training prints next work word for word, whatever the data and the folder."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thalweg.cli import main

TINY = ["--steps", "3", "--device", "cpu"]
RUNS = {
    "images": ["vae", "--data", "digits", "--hidden", "8", "--latent-dim", "2", *TINY],
    "plane": ["real-nvp", "--data", "moons", "--data-examples", "200", "--layers", "2", "--hidden", "4", *TINY],
    "four columns": ["real-nvp", "--data", "t.csv", "--layers", "2", "--hidden", "4", *TINY],
    "closed form": ["gmm", "--data", "t.csv", "--components", "2"],
    "classifier": ["softmax-regression", "--data", "digits", *TINY],
    "no test split": ["vae", "--data", "digits", "--test", "0", "--hidden", "8", "--latent-dim", "2", *TINY],
    "two stages": ["vq-vae", "--data", "digits", "--hidden", "8", "--codes", "4", *TINY],
}


@pytest.mark.parametrize("case", RUNS)
def test_each_printed_command_works(tmp_path: Path, monkeypatch: Any, capsys: Any, case: str) -> None:
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(120, 4))
    np.savetxt("t.csv", x, delimiter=",", header="a,b,c,d", comments="")
    assert main(["train", *RUNS[case], "--run", "my run's"]) == 0
    printed = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip().startswith("thalweg ")]
    assert printed[0].startswith("thalweg evaluate")
    for command in printed:
        words = shlex.split(command)[1:]
        fast = ["--limit", "20", "--samples", "20", "--temperatures", "0", "--draws", "1", "--features", "pixels"]
        assert main([*words, *(fast if words[0] == "evaluate" else [])]) == 0, capsys.readouterr().err


@pytest.mark.parametrize(("patience", "hinted"), [("1", False), ("50", True)])
def test_a_run_that_stopped_early_is_not_said_to_train_longer(tmp_path, capsys, patience, hinted) -> None:
    early = ["--lr", "50", "--patience", patience, "--validate-every", "1", "--steps", "20", "--device", "cpu"]
    assert main(["train", "softmax-regression", "--data", "digits", *early, "--run", str(tmp_path / "run")]) == 0
    out, err = capsys.readouterr()
    assert ("stopped early" in err) is not hinted
    assert ("thalweg resume" in out) is hinted


def test_an_error_of_a_picture_leaves_the_training(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    import thalweg.applications.sample

    def fails(*_: object, **__: object) -> None:
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr(thalweg.applications.sample, "draw", fails)
    assert main(["train", *RUNS["plane"], "--run", str(tmp_path / "run")]) == 0
    assert "no picture of samples: singular" in capsys.readouterr().err


def test_errors_suggest_the_names_of_options(tmp_path: Path, capsys: Any) -> None:
    assert main(["train", "vae", "--data", "digits", "--learning-rate", "1e-3"]) == 2
    assert "did you mean --lr?" in capsys.readouterr().err
    assert main(["compare", "vae", "--data", "digits", "--budget", "3"]) == 2
    assert "did you mean --minutes, --steps or --examples?" in capsys.readouterr().err
