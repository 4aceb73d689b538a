"""Which modes adversarial models find: the ring of 8 Gaussians and the grid of 25, five seeds each.

    OMP_NUM_THREADS=1 python benchmarks/quality/modes.py [MODEL ...] [DENSITY ...] [--seeds 5]

Each run is `thalweg train MODEL --data DENSITY --seed S ...` within a minute and a half of one core. Of 10,000 samples
those within three standard deviations of a center are good; a mode is found where it has a tenth of its share of them.
Intervals are Student's over seeds, each of which draws weights, order and noise anew. Results go to results/modes.json
as they come.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
from pathlib import Path

import numpy as np
from run import RESULTS, thalweg

from thalweg.applications.sample import draw
from thalweg.data.toy import density
from thalweg.evaluation.estimates.intervals import mean_of
from thalweg.recipes.runs import open_run

SAMPLES = 10_000
DENSITIES = ("eight-gaussians", "grid-gaussians")
# what is added to a recipe's own settings, for points of the plane; rates fall to 0 in all
SETTINGS = {
    "gan": "--latent-dim 2 --steps 20000",
    "wgan": "--latent-dim 2 --steps 5000 --lr 5e-4 --clip 0.1",
    "wgan-gp": "--latent-dim 2 --steps 5000 --n-critic 2",
    "sn-gan": "--latent-dim 2 --steps 5000",
    "hinge-gan": "--latent-dim 2 --steps 20000",
    "f-gan": "--latent-dim 2 --steps 20000 --divergence js",
    "wae-mmd": "--steps 10000",
    "wae-gan": "--steps 10000",
}
SETTINGS = {model: f"{settings} --schedule cosine" for model, settings in SETTINGS.items()}
KEPT = RESULTS / "modes.json"


def found(x: np.ndarray, name: str) -> tuple[int, float]:
    """Return how many modes are found, and the share of good samples in %."""
    law = density(name)
    centers, std = np.asarray(law.means), law.stds[0]
    distances = np.linalg.norm(x[:, None] - centers, axis=-1)
    good = distances.min(1) <= 3 * std
    counts = np.bincount(distances.argmin(1)[good], minlength=len(centers))
    return int((counts >= 0.1 * len(x) / len(centers)).sum()), 100 * float(good.mean())


def measure(model: str, name: str, seed: int, folder: Path) -> dict:
    """Train one run and look at its samples."""
    run, train = folder / f"{model}-{name}-{seed}", f"{model} --data {name} --seed {seed} {SETTINGS[model]}"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    thalweg("train", *train.split(), "--run", str(run), "--overwrite")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    modes, good = found(draw(open_run(run).model, SAMPLES, seed=0), name)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    cell = {"modes": modes, "good": round(good, 2), "CPU minutes": round(spent / 60, 2)}
    return cell | {"command": f"thalweg train {train}"}


def main(asked: list[str]) -> None:
    """Measure what is asked for, all by default."""
    seeds = int(asked[asked.index("--seeds") + 1]) if "--seeds" in asked else 5
    models = [name for name in asked if name in SETTINGS] or list(SETTINGS)
    names = [name for name in asked if name in DENSITIES] or list(DENSITIES)
    keep = os.environ.get("THALWEG_RUNS")
    folder = Path(keep) if keep else Path(tempfile.mkdtemp())
    for name in names:
        for model in models:
            runs = [measure(model, name, seed, folder) for seed in range(seeds)]
            shared = {"better": "higher", "varies": "training seeds", "protocol": {"data": name, "samples": SAMPLES}}
            values = {key: np.array([float(run[key]) for run in runs]) for key in ("modes", "good")}
            estimates = {
                "modes": mean_of("modes found", values["modes"], unit="", **shared),
                "good": mean_of("good samples", values["good"], unit="%", **shared),
            }
            table = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
            table[f"{model} {name}"] = {"runs": runs} | {key: e.to_json() for key, e in estimates.items()}
            KEPT.write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n")
            told = ", ".join(f"{e.name} {e}" for e in estimates.values())
            print(f"{model:<10} {name:<16} {told}; {runs[0]['CPU minutes']} CPU minutes a run", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
