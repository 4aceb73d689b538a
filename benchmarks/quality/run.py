"""Recipes with default settings on real data: the measured value beside a goal or the value of a paper.

    THALWEG_DATA=folder/with/mnist.npz python benchmarks/quality/run.py [LINE ...]

Each line runs two commands, `thalweg train ...` and `thalweg evaluate ...`, and writes results/LINE.json with the
commands and the minutes of training. The run folders are in THALWEG_RUNS, by default in a temporary folder; a run that
is there already is only evaluated.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

RESULTS = Path(__file__).parent / "results"


class Line(NamedTuple):
    """A recipe on data: the arguments of `train`, the measure to store, and the value to compare it with."""

    train: str
    measure: str
    goal: float | None
    better: str
    source: str
    evaluate: str = ""  # further arguments of evaluate


SOME = "--limit 2000 --samples 1000"
LINES = {
    "softmax-regression-mnist": Line("softmax-regression --data mnist", "accuracy", 92.7, "higher", "goal"),
    "logistic-regression-mnist": Line(
        "logistic-regression --data mnist --classes 0,1", "accuracy", 99.5, "higher", "goal"
    ),
    "mlp-mnist": Line("mlp --data mnist", "accuracy", 98.3, "higher", "goal"),
    # the shift was chosen on the validation images, out of 1 and 2
    "lenet5-shifted-mnist": Line("lenet5 --data mnist --shift 2", "accuracy", 99.3, "higher", "goal"),
    "lenet5-mnist": Line("lenet5 --data mnist", "accuracy", 99.0, "higher", "goal"),
    "vae-mnist-binarized": Line(
        "vae --data mnist --likelihood bernoulli --architecture dense", "log-likelihood", None, "higher", "printed"
    ),
    "vae-mnist-raw": Line("vae --data mnist", "bits/dim", None, "lower", "printed"),
    "vae-mnist-plane": Line(
        "vae --data mnist --latent-dim 2 --likelihood bernoulli --architecture dense",
        "log-likelihood",
        None,
        "higher",
        "printed",
    ),
    "nice-mnist": Line("nice --data mnist --steps 1000", "bits/dim", 4.36, "lower", "paper", "--samples 1000"),
    "real-nvp-mnist": Line("real-nvp --data mnist --steps 3000", "bits/dim", 1.06, "lower", "paper", SOME),
    "glow-mnist": Line("glow --data mnist --steps 2600", "bits/dim", 1.05, "lower", "paper", SOME),
    "wgan-digits": Line("wgan --data digits --steps 3000", "precision", None, "higher", "printed"),
    "autoencoder-mnist": Line("autoencoder --data mnist", "PSNR", None, "higher", "printed"),
}


def thalweg(*arguments: str) -> dict:
    """Run a verb in a process of its own and return its JSON document."""
    command = [sys.executable, "-m", "thalweg", *arguments, "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def measure(name: str, folder: Path) -> None:
    """Train, evaluate, print and store one line."""
    line, run = LINES[name], folder / name
    if not (run / "model.safetensors").is_file():
        thalweg("train", *line.train.split(), "--run", str(run), "--overwrite")
    lines = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    minutes = max(recorded["seconds"] for recorded in lines if "seconds" in recorded) / 60
    evaluated = thalweg("evaluate", str(run), *line.evaluate.split())
    model = evaluated["models"][0]["name"]
    cells = [(row["name"], row["cells"][model]) for row in evaluated["measures"]]  # several rows may have one name
    estimates = {measure: cell["estimate"] for measure, cell in cells if "estimate" in cell}
    assert line.measure in estimates, f"{name}: no measure {line.measure} among {list(estimates)}"
    estimate = estimates[line.measure]
    met = None
    if line.goal is not None:
        met = estimate["value"] >= line.goal if line.better == "higher" else estimate["value"] <= line.goal
    document = {
        "line": name,
        "commands": [f"thalweg train {line.train} --run DIR", f"thalweg evaluate DIR {line.evaluate}".strip()],
        "estimate": estimate,
        "all": list(estimates.values()),
        line.source: line.goal,
        "met": met,
        "minutes of training": round(minutes, 2),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    verdict = "" if met is None else f"  {line.source} {line.goal}: {'met' if met else 'MISSED'}"
    print(
        f"{name:<28} {estimate['name']} {estimate['value']:.5g} [{estimate['low']:.5g}, {estimate['high']:.5g}] "
        f"{estimate['unit']}, {minutes:.1f} min{verdict}",
        flush=True,
    )


if __name__ == "__main__":
    keep = os.environ.get("THALWEG_RUNS")
    where = Path(keep) if keep else Path(tempfile.mkdtemp())
    for chosen in sys.argv[1:] or LINES:
        measure(chosen, where)
