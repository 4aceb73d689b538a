"""VAE and IWAE on MNIST with the fixed binarization of Larochelle: IWAE-5000 on the test images, as papers report it.

    THALWEG_DATA=folder/with/binarized_mnist_packed.npz python benchmarks/quality/binarized_mnist.py [LINE ...]

The packed file holds `train`, `valid` and `test`, 50,000, 10,000 and 10,000 images of 98 bytes (numpy.packbits). One
stochastic layer of 50 and two deterministic layers of 200 with rectifiers (tanh in the papers); the weights are those
of the best validation. Results go to results/LINE.json. Run folders are in THALWEG_RUNS; a run that is there already is
only evaluated.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from run import RESULTS, thalweg

NETWORK = (
    "--architecture dense --latent-dim 50 --hidden 200 --depth 2 --schedule cosine --ema 0.999 --validate-every 1000 "
    "--patience 1000"
)


class Line(NamedTuple):
    """A recipe, and the value published for it in nats (fixed binarization)."""

    recipe: str
    published: float | None


LINES = {
    "vae-binarized-mnist": Line("vae --steps 100000", -89.9),
    "iwae-1-binarized-mnist": Line("iwae --draws 1 --steps 100000", -89.9),
    "iwae-5-binarized-mnist": Line("iwae --draws 5 --steps 50000", None),
    "iwae-50-binarized-mnist": Line("iwae --draws 50 --steps 100000", -87.1),  # for a GPU
}


def unpack(packed: Path, where: Path) -> None:
    """Write the images as booleans (N, 28, 28), with the names of the splits that the library reads."""
    with np.load(packed) as file:
        parts = {name: np.unpackbits(file[name], axis=1).reshape(-1, 28, 28).astype(bool) for name in file.files}
    names = {"train": "x_train", "valid": "x_validation", "test": "x_test"}
    np.savez_compressed(where, **{names[name]: x for name, x in parts.items()})


def cpu_seconds() -> float:
    """Return the processor time of all child processes, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(name: str, data: Path, folder: Path) -> None:
    """Train, evaluate, print and store one line."""
    line, run = LINES[name], folder / name
    train, began = f"{line.recipe} {NETWORK}", cpu_seconds()
    if not (run / "model.safetensors").is_file():
        thalweg("train", *train.split(), "--data", str(data), "--run", str(run), "--overwrite")
    trained = cpu_seconds()
    script = str(Path(__file__).parent / "importance.py")
    printed = subprocess.run([sys.executable, script, str(run)], check=True, stdout=subprocess.PIPE, text=True).stdout
    bound, elbo, _ = (json.loads(text) for text in printed.splitlines())
    document = {
        "line": name,
        "commands": [
            f"thalweg train {train} --data binarized-mnist.npz --run DIR",
            "python benchmarks/quality/importance.py DIR",
        ],
        "estimate": bound,
        "ELBO": elbo,
        "published": line.published,
        "CPU minutes of training": round((trained - began) / 60, 2) if trained - began > 5 else None,
        "CPU minutes of measuring": round((cpu_seconds() - trained) / 60, 2),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    print(
        f"{name:<28} {bound['value']:.2f} [{bound['low']:.2f}, {bound['high']:.2f}] nats, published {line.published}, "
        f"{(trained - began) / 60:.1f} CPU minutes",
        flush=True,
    )


if __name__ == "__main__":
    keep = os.environ.get("THALWEG_RUNS")
    where = Path(keep) if keep else Path(tempfile.mkdtemp())
    where.mkdir(parents=True, exist_ok=True)
    images = where / "binarized-mnist.npz"
    if not images.is_file():
        unpack(Path(os.environ["THALWEG_DATA"]) / "binarized_mnist_packed.npz", images)
    for chosen in sys.argv[1:] or LINES:
        measure(chosen, images, where)
