"""Airbench and ResNet-20 on CIFAR-10 within minutes of one core: accuracy with one view and with six, PFLOP, epochs.

    THALWEG_DATA=folder/with/cifar10.npz OMP_NUM_THREADS=1 python benchmarks/quality/airbench.py [LINE ...]

Each training is `thalweg train ...` with one thread, so that 20 minutes are the work of two cores in 10 minutes. All
settings are the defaults of the recipes, or the paper's; none was chosen on CIFAR-10's test images. The runs are in
the folder THALWEG_RUNS, by default a temporary folder; one that is there already is only evaluated. Each line goes to
results/cifar10.json as soon as it is measured.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from run import RESULTS, thalweg

from thalweg.evaluation.estimates.intervals import over_seeds
from thalweg.evaluation.examples import Examples, frozen
from thalweg.evaluation.measures.classification import answers, top_k
from thalweg.files import write_atomic
from thalweg.nn.layer_table import layer_table
from thalweg.nn.views import AveragedViews
from thalweg.recipes.runs import build, open_run

RESULT = RESULTS / "cifar10.json"
SEEDS = 3


class Line(NamedTuple):
    """Trainings that differ in their seed: the arguments of `train`, and a published accuracy or a goal, in %."""

    train: str
    seeds: int
    reference: float
    source: str


BF16 = "--precision bf16"  # what `--precision auto` measures to be the faster on processors with AVX-512 and bf16
LINES = {
    "airbench, 3 minutes": Line(f"airbench --variant small --minutes 3 {BF16}", 1, 89.0, "goal, six views"),
    "airbench, 20 minutes": Line(f"airbench --minutes 20 {BF16}", SEEDS, 93.5, "goal, six views"),
    "airbench 95, 60 minutes": Line(f"airbench --variant 95 --minutes 60 {BF16}", 1, 94.7, "goal, six views"),
    "airbench 96, 120 minutes": Line(
        f"airbench --variant 96 --shift 4 --cutout 12 --minutes 120 {BF16}", 1, 95.3, "goal, six views"
    ),
    "resnet-20, 30 minutes": Line(
        f"resnet --depth 20 --variant a --shift 4 --hflip --minutes 30 {BF16}", 1, 91.25, "paper, one view, 182 epochs"
    ),
}


def evaluated(folder: Path) -> dict[str, Any]:
    """Return the accuracy on the test images by views, and the cost of the training."""
    opened = open_run(folder, device="cpu")
    dataset = opened.data()
    test = Examples(dataset.test.x, dataset.test.y, {"data": "cifar10", "split": "test"}, 500, 0, "cpu")
    found = {}
    with frozen(opened.model, "cpu"):
        for views in ("one", "six"):
            rank = answers(AveragedViews(opened.model, views).logits, test, 10).rank
            found[views] = top_k(rank, 1, protocol=test.protocol | {"views": views})
        macs = layer_table(opened.model, torch.zeros(1, *dataset.spec.shape)).macs
    last = opened.records()[-1]
    images = last["step"] * build(opened.config, dataset.spec).stages[0].batch_size
    cost = {"seconds": last["seconds"], "epochs": images / len(dataset.train), "PFLOP": 6 * macs * images / 1e15}
    return {"estimates": found, **cost}


def measure(name: str, runs: Path) -> dict[str, Any]:
    """Train and evaluate the seeds of a line; return the document to store."""
    line = LINES[name]
    found = []
    for seed in range(line.seeds):
        folder = runs / f"{name.replace(', ', '-').replace(' ', '-')}-{seed}"
        if not (folder / "model.safetensors").is_file():
            thalweg("train", *line.train.split(), "--data", "cifar10", "--seed", str(seed), "--run", str(folder))
        found.append(evaluated(folder))
        print(name, seed, {views: str(e) for views, e in found[-1]["estimates"].items()}, flush=True)
    estimates = {}
    for views in ("one", "six"):
        each = [one["estimates"][views] for one in found]
        estimates[views] = (over_seeds(each) if len(each) > 1 else each[0]).to_json()
    return {
        "command": f"OMP_NUM_THREADS=1 thalweg train {line.train} --data cifar10 --seed SEED --run DIR",
        "seeds": line.seeds,
        "views": estimates,
        **{key: [one[key] for one in found] for key in ("seconds", "epochs", "PFLOP")},
        line.source: line.reference,
    }


if __name__ == "__main__":
    keep = os.environ.get("THALWEG_RUNS")
    where = Path(keep) if keep else Path(tempfile.mkdtemp())
    for chosen in sys.argv[1:] or LINES:
        document = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
        document[chosen] = measure(chosen, where)
        RESULTS.mkdir(exist_ok=True)
        write_atomic(RESULT, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())
