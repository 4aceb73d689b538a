"""Adversarial models and a VAE on images, each trained for 15 minutes of one core, by `thalweg compare`.

    THALWEG_DATA=FOLDER OMP_NUM_THREADS=1 python benchmarks/quality/adversarial.py [DATA ...] [--minutes X]

One thread, so that a minute of the clock is a minute of one core; nothing else should run on the machine. Tables go to
results/adversarial-DATA.json. Comparisons and their reports are in THALWEG_RUNS; an interrupted comparison is resumed.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

from run import RESULTS, thalweg

MODELS = ("dcgan", "wgan", "wgan-gp", "sn-gan", "wae-mmd", "wae-gan", "vae")
SHOWN = ("Fréchet distance", "Fréchet distance (n→∞)", "KID", "precision", "recall", "density", "coverage",
         "copied samples", "training time", "training steps")  # fmt: skip


def compare(data: str, minutes: float, folder: Path) -> None:
    """Train and measure all models on one data set; store and print the table."""
    # without annealed likelihoods, which take longer than the trainings with convolutional decoders
    command = f"compare {' '.join(MODELS)} --data {data} --minutes {minutes:g} --temperatures 0"
    report = thalweg(*command.split(), "--out", str(folder / f"adversarial-{data}"))
    rows = {row["name"]: row for row in report["measures"] if row["name"] in SHOWN}
    document = {"command": f"thalweg {command}", "measures": [rows[name] for name in SHOWN if name in rows]}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"adversarial-{data}.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    columns = list(dict.fromkeys(name for row in rows.values() for name in row["cells"]))
    print(f"| {data} | " + " | ".join(columns) + " |\n" + "|---" * (len(columns) + 1) + "|")
    for name in rows:
        values = (rows[name]["cells"].get(column, {}).get("estimate") for column in columns)
        cells = [f"{e['value']:.4g} ± {(e['high'] - e['low']) / 2:.2g}" if e else "" for e in values]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="*", default=["mnist", "fashion-mnist"])
    parser.add_argument("--minutes", type=float, default=15)
    arguments = parser.parse_args()
    keep = os.environ.get("THALWEG_RUNS")
    for name in arguments.data:
        compare(name, arguments.minutes, Path(keep) if keep else Path(tempfile.mkdtemp()))
