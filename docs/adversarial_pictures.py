"""Draw samples of the models that `benchmarks/quality/adversarial.py` trains on images, beside the data.

THALWEG_DATA=FOLDER THALWEG_RUNS=RUNS python benchmarks/quality/adversarial.py
THALWEG_DATA=FOLDER python docs/adversarial_pictures.py RUNS
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from pictures import show, tile
from PIL import Image

from thalweg.data import load
from thalweg.randomness import generator
from thalweg.recipes.runs import open_run

IMAGES = Path(__file__).parent / "images"
MODELS = ("dcgan", "wgan", "wgan-gp", "sn-gan", "wae-mmd", "wae-gan", "vae")
DATA = ("mnist", "fashion-mnist")
SIDE = 6


def main(runs: Path) -> None:
    """Draw the first samples of each model, without selection."""
    for name in DATA:
        panels: dict[str, np.ndarray] = {}
        for model in MODELS:
            opened = open_run(runs / f"adversarial-{name}" / "runs" / f"{model}-0", device="cpu")
            panels[model] = opened.model.eval().sample(SIDE * SIDE, generator(0, "picture")).numpy()
        panels = {"test images": np.array(load(opened.config.data).test.x[: SIDE * SIDE]), **panels}
        figure, axes = plt.subplots(2, 4, figsize=(7.6, 4.1), layout="constrained")
        for ax, (title, x) in zip(axes.flat, panels.items(), strict=True):
            show(ax, tile(x[:, 0], SIDE, gap=1), title)
        path = IMAGES / f"gans-{name}.png"
        figure.savefig(path, dpi=110)
        plt.close(figure)
        Image.open(path).convert("L").quantize(24).save(path, optimize=True)  # a third of the size


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs"))
