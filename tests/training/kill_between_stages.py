"""Kills a run of two stages at chosen rounds and resumes it: run as a program by test_stages.py.

    python kill_between_stages.py FOLDER RECIPE OPTIONS KILLS

Trains RECIPE on the digits straight, then killed (SIGKILL) before the rounds that KILLS names, as pairs of a stage and
a number (checkpoints are at even ones), and prints whether the two models and what they logged are the same.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
import torch._dynamo  # what every optimizer imports: once here, not in each child

import thalweg.data
from thalweg.config import DataConfig, RunConfig, TrainConfig
from thalweg.recipes.runs import resume, train
from thalweg.training.game import Play


def dying(work, stage: str, step: int):
    """The work, killed before a round of a stage."""

    def run():
        played = Play.round

        def round(self, number: int, at: int | None = None) -> None:
            if (self.stage.name, number) == (stage, step):
                os.kill(os.getpid(), signal.SIGKILL)
            played(self, number, at)

        Play.round = round
        work()

    return run


def logged(folder: Path) -> list[dict]:
    """What was logged, without what a clock and the system say."""
    lines = [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: v for name, v in line.items() if name not in ("seconds", "memory")} for line in lines]


def main() -> None:
    from kill_and_resume import forked  # beside this file, where it runs as a program

    folder, recipe, options, kills = Path(sys.argv[1]), sys.argv[2], *map(json.loads, sys.argv[3:])
    torch.set_num_threads(1)
    source = DataConfig(source="digits")
    loaded = thalweg.data.load(source)
    thalweg.data.load = lambda config: loaded
    settings = TrainConfig(
        steps=10, batch_size=16, checkpoint_every=2, validate_every=4, log_every=3, device="cpu", resident="no"
    )
    config = RunConfig(recipe=recipe, data=source, options=options, train=settings)
    assert forked(lambda: train(config, folder / "straight")) == 0
    done = folder / "killed"
    work = lambda: train(config, done)  # noqa: E731
    for stage, step in kills:
        assert os.WIFSIGNALED(forked(dying(work, stage, step))), (stage, step)
        work = lambda: resume(done, warn=lambda said: None)  # noqa: E731
    assert forked(work) == 0
    straight, resumed = ((run / "model.safetensors").read_bytes() for run in (folder / "straight", done))
    same = straight == resumed and logged(folder / "straight") == logged(done)
    print("same" if same else "different")


if __name__ == "__main__":
    main()
