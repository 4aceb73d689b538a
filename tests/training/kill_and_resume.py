"""Kills trainings at file operations and resumes them: run as a program by test_kill.py.

    python kill_and_resume.py every-state FOLDER RECIPE OPTIONS TRAINING    # both in JSON
    python kill_and_resume.py overwrite FOLDER RECIPE OPTIONS TRAINING
    python kill_and_resume.py toy FOLDER KIND    # of the toy problems: mask or tokens
    python kill_and_resume.py kills FOLDER FAMILY

Children are forked from one process that has imported everything, has one thread and has trained nothing. `every-state`
keeps a copy of the run folder before, in the middle of and after every file operation of a run: what a SIGKILL at that
instant would leave. It resumes from each copy and compares with the run that was never killed. `toy` does so for a toy
problem, and `overwrite` while the run replaces another. `kills` kills a run of each recipe of a family again and again,
each time at a later file operation. Prints "same" and how many, or what differs.
"""

import builtins
import hashlib
import io
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import torch
import torch._dynamo  # imported by every optimizer: once here, not in each child

import thalweg.data
from thalweg.config import DataConfig, RunConfig, TrainConfig
from thalweg.recipes import FAMILIES
from thalweg.recipes.runs import resume, train

Work = Callable[[Path], object]
OPERATIONS = ("open", "mkdir", "unlink", "rmdir", "replace", "fsync")
DATA = {
    "scans": DataConfig(source="digits", examples=200),
    "plane": DataConfig(source="moons", examples=200),
    "line": DataConfig(source="mixture-1d", examples=200),
    "glyphs16": DataConfig(source="glyphs", examples=200, image_size=16),
}  # by the name of the catalogue's Spec
FORMS = {  # configurations with further buffers or projections
    "flows": [("real-nvp", {"batch_norm": True, "hidden": 8}), ("glow", {"architecture": "dense", "hidden": 8})],
    "gans": [("sn-gan", {"method": "project", "norm": "map", "conditional": True, "hidden": 8})],
}
MAX_KILLS = 40  # after which a run of some steps must have ended


def forked(work: Callable[[], object]) -> int:
    """Do the work in a child; return its wait status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def watch(look: Callable[[], None]) -> None:
    """Call `look` before and after every file operation of this process, and in the middle of every write."""

    def around(call):
        def wrapped(*arguments, **settings):
            look()
            result = call(*arguments, **settings)
            look()
            return result

        return wrapped

    def opening(call):
        def opened(file, mode="r", *arguments, **settings):
            if not set(mode) & set("wax+"):
                return call(file, mode, *arguments, **settings)
            built = around(call)(file, mode, *arguments, **settings)
            write = built.write

            def halfway(data):
                write(data[: len(data) // 2])
                built.flush()
                look()
                return len(data) // 2 + write(data[len(data) // 2 :])

            built.write = halfway
            return built

        return opened

    for name in OPERATIONS:
        setattr(os, name, around(getattr(os, name)))
    builtins.open = io.open = opening(io.open)


def files(folder: Path) -> dict[str, bytes | None]:
    """Return the content of all files by their path, and None for folders."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.name != "lock"
    }


class States:
    """Copies of a folder, one for each of its states."""

    def __init__(self, folder: Path, into: Path) -> None:
        self.folder, self.into = folder, into
        self.known: set[str] = set()
        self.looking = False

    def keep(self) -> None:
        """Keep a copy of the folder as it is, unless it was in that state before."""
        if self.looking or not self.folder.is_dir():
            return
        self.looking = True
        key = hashlib.sha256(repr(files(self.folder)).encode()).hexdigest()
        if key not in self.known:
            self.known.add(key)
            shutil.copytree(self.folder, self.into / f"{len(self.known):04d}")
        self.looking = False


def outcome(folder: Path) -> dict[str, object]:
    """Return what equal runs have in common: the model, the metrics, the names of files."""
    lines = [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]
    names = {path.split(".")[0] if path.startswith("checkpoints/") else path for path in files(folder)}
    return {
        "model": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        "metrics": [{name: v for name, v in line.items() if name not in ("seconds", "memory")} for line in lines],
        "files": sorted(names),
    }


def differences(one: dict[str, object], other: dict[str, object]) -> str:
    return "; ".join(f"{name}: {one[name]} and {other[name]}" for name in one if one[name] != other[name])


def every_state(folder: Path, begin: Work, again: Work, overwrite: bool = False) -> str:
    """Resume from every state that a run folder is in, in the course of a run.

    `begin` trains into a new folder, and `again` resumes in a folder or, where `overwrite`, replaces what it holds.
    """
    assert forked(lambda: begin(folder / "straight")) == 0
    straight, killed = outcome(folder / "straight"), folder / "killed"
    if overwrite:
        assert forked(lambda: begin(killed)) == 0

    def watched():
        watch(States(killed, folder / "states").keep)
        (again if overwrite else begin)(killed)

    assert forked(watched) == 0
    assert outcome(killed) == straight
    states = sorted((folder / "states").iterdir())
    for state in states:
        known = (state / "run.json").exists() and not overwrite
        before = sorted(files(state))
        work = again if known or overwrite else begin
        if forked(partial(work, state)) != 0 or outcome(state) != straight:
            return f"from {before} in {state}: {differences(straight, outcome(state))}"
    return f"same {len(states)}"


def toy(kind: str, folder: Path) -> None:
    """Train a toy problem with targets of that kind, or resume it, with all that is written beside the weights."""
    from toy_problems import KINDS, regression_run, train_run

    run = regression_run(5, problem=KINDS[kind](), validate_every=1, patience=50, ema={"model": 0.9})
    train_run(run, folder, checkpoint_every=2, log_every=2)


def kills(folder: Path, config: RunConfig) -> str:
    """Kill a run at a file operation, then its resumption at a later one, until it ends before that operation."""
    assert forked(lambda: train(config, folder / "straight")) == 0
    done = folder / "killed"
    for number in range(MAX_KILLS):
        left = [5 + 9 * number]

        def look():
            left[0] -= 1  # noqa: B023
            if left[0] == 0:  # noqa: B023
                os.kill(os.getpid(), signal.SIGKILL)

        def dying():
            watch(look)
            resume(done, warn=str) if (done / "run.json").exists() else train(config, done)

        status = forked(dying)
        if status == 0:
            differing = differences(outcome(folder / "straight"), outcome(done))
            return f"same {number}" if not differing and number > 3 else f"after {number} kills: {differing}"
        if not os.WIFSIGNALED(status):
            return f"failed after {number} kills"
    return f"not ended after {MAX_KILLS} kills"


def two_classes() -> DataConfig:
    """Return a table of two numbers and a label, in a file that is removed at the end of the process."""
    import atexit
    import tempfile

    file = tempfile.NamedTemporaryFile("w", suffix=".csv", delete=False)  # noqa: SIM115
    atexit.register(Path(file.name).unlink, missing_ok=True)
    with file:
        file.write("x,y,label\n")
        file.writelines(f"{i % 7 + i / 400},{i % 5 - i % 2},{'ab'[i % 2]}\n" for i in range(200))
    return DataConfig(source=file.name, label_column="label")


def members(family: str) -> dict[str, RunConfig]:
    """Return a small run of each recipe of the family, on embedded data, and of its `FORMS`."""
    from catalogue import MEMBERS

    names = [member.recipe for member in MEMBERS]
    first = [
        next(
            m for m in sorted(MEMBERS, key=lambda m: m.spec.name != "scans") if m.recipe == name and m.spec.name in DATA
        )
        for name in FAMILIES[family]
        if name in names
    ]
    labelled = family == "classifiers"
    chosen = [
        (m.recipe, m.options, two_classes() if labelled and m.spec.kind == "vector" else DATA[m.spec.name])
        for m in first
    ]
    chosen += [(name, options, DATA["scans"]) for name, options in FORMS.get(family, [])]
    results = {}
    for name, options, data in chosen:
        ema = None if name in ("kde", "gmm") else 0.9  # fitted in closed form
        settings = TrainConfig(steps=6, batch_size=8, checkpoint_every=2, log_every=3, device="cpu", ema=ema)
        config = RunConfig(recipe=name, data=data, options=options, train=settings)
        thalweg.data.load(config.data)
        results[f"{name}-{len(results)}"] = config
    return results


def main() -> None:
    what, folder = sys.argv[1], Path(sys.argv[2])
    sys.path.insert(0, str(Path(__file__).parents[1]))
    torch.set_num_threads(1)
    thalweg.data.load = cache(thalweg.data.load)  # by the parent, for all children
    if what == "kills":
        for name, config in members(sys.argv[3]).items():
            print(f"{config.recipe}: {kills(folder / name, config)}", flush=True)
        return
    if what == "toy":
        work = partial(toy, sys.argv[3])
        print(every_state(folder, work, work))
        return
    settings = TrainConfig(batch_size=16, device="cpu", **json.loads(sys.argv[5]))
    data = DataConfig(source="digits", examples=200)
    config = RunConfig(recipe=sys.argv[3], data=data, options=json.loads(sys.argv[4]), train=settings)
    thalweg.data.load(data)
    overwrite = what == "overwrite"
    begin = partial(train, config)
    again = partial(train, config, overwrite=True) if overwrite else partial(resume, warn=str)
    print(every_state(folder, begin, again, overwrite))


if __name__ == "__main__":
    main()
