"""Kills training processes at random instants and resumes them: run as a program by test_kill.py.

    python kill_and_resume.py FOLDER RECIPE DATA KILLS SEED [OPTIONS]

OPTIONS are those of the recipe, in JSON.
Trains RECIPE straight, then again with KILLS kills (SIGKILL, at random instants, some of them inside the write of a
checkpoint), and prints whether the two models are the same bytes. Children are forked from a process that has
imported everything and trained nothing, so that a kill costs milliseconds.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

import thalweg.data
from thalweg.config import DataConfig, RunConfig, TrainConfig
from thalweg.recipes.runs import resume, train
from thalweg.training import checkpoint

STEPS = 60


def forked(work, kill_after: float | None = None) -> int:
    """Do the work in a child; kill it after some seconds. Returns the wait status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def dying_in_a_write(work, draw: random.Random):
    """The work, killed inside a random checkpoint write: while bytes go out, before or after the file is renamed."""

    def dying():
        left, where = draw.randint(1, 6), draw.choice(["bytes", "before rename", "after rename"])
        replace, fsync = os.replace, os.fsync

        def die_on(name, real):
            def wrapped(*arguments):
                nonlocal left
                left -= 1
                if left == 0 and where == "bytes":
                    for path in Path(sys.argv[1]).rglob(".*.tmp*"):
                        os.truncate(path, path.stat().st_size // 2)
                if left <= 0 and not (where == "after rename" and name == "fsync"):
                    if where == "after rename":
                        real(*arguments)
                    os.kill(os.getpid(), signal.SIGKILL)
                real(*arguments)

            return wrapped

        checkpoint.os.fsync = die_on("fsync", fsync) if where == "bytes" else fsync
        checkpoint.os.replace = die_on("replace", replace) if where != "bytes" else replace
        work()

    return dying


def main() -> None:
    folder, recipe, data, kills, seed = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
    torch.set_num_threads(1)
    draw = random.Random(seed)
    source = DataConfig(source=data, examples=600 if data != "digits" else None)
    loaded = thalweg.data.load(source)
    thalweg.data.load = lambda config: loaded
    ema = None if recipe in ("kde", "gmm") else 0.9  # fitted in closed form
    settings = TrainConfig(steps=STEPS, batch_size=32, checkpoint_every=2, device="cpu", resident="no", ema=ema)
    options = json.loads(sys.argv[6]) if len(sys.argv) > 6 else {}
    config = RunConfig(recipe=recipe, data=source, options=options, train=settings)
    began = time.monotonic()
    assert forked(lambda: train(config, folder / "straight")) == 0
    whole = time.monotonic() - began

    done, killed = folder / "killed", 0
    work = lambda: train(config, done)  # noqa: E731
    while killed < kills:
        inside = killed % 4 == 3
        status = forked(dying_in_a_write(work, draw)) if inside else forked(work, draw.uniform(0.02, 0.6) * whole)
        killed += os.WIFSIGNALED(status)
        if status == 0:  # it ended before the kill came: once more from the beginning
            work = lambda: train(config, done, overwrite=True)  # noqa: E731
        elif (done / "run.json").exists():
            header = json.loads((done / "run.json").read_text())
            header["config"]["train"]["threads"] = draw.choice([1, 2, 4])
            (done / "run.json").write_text(json.dumps(header))
            work = lambda: resume(done, warn=lambda said: None)  # noqa: E731
        else:
            work = lambda: train(config, done, overwrite=True)  # noqa: E731
    assert forked(work) == 0
    straight, resumed = ((run / "model.safetensors").read_bytes() for run in (folder / "straight", done))
    print("same" if straight == resumed else "different")


if __name__ == "__main__":
    main()
