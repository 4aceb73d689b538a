"""Draws what adversarial models make of the ring of eight Gaussians, training what is missing.

python docs/gan_pictures.py [RUNS]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt

from thalweg.data.toy import density
from thalweg.randomness import generator
from thalweg.recipes.runs import open_run

IMAGE = Path(__file__).parent / "images" / "gans.png"
PLANE = "--data eight-gaussians --latent-dim 2 --hidden 128"
RUNS = {
    "gan": f"gan {PLANE} --steps 4000",
    "f-gan": f"f-gan {PLANE} --steps 4000",
    "wgan": f"wgan {PLANE} --steps 2000",
    "wgan-gp": f"wgan-gp {PLANE} --steps 1500",
    "sn-gan": f"sn-gan {PLANE} --steps 1500",
    "hinge-gan": f"hinge-gan {PLANE} --steps 4000",
    "wae-mmd": f"wae-mmd {PLANE} --steps 3000",
    "wae-gan": f"wae-gan {PLANE} --steps 3000",
}


def main(where: Path) -> None:
    """Train, and draw 2,000 samples of each."""
    law = density("eight-gaussians")
    figure, axes = plt.subplots(2, 4, figsize=(10, 5.2), layout="constrained")
    for ax, (name, arguments) in zip(axes.flat, RUNS.items(), strict=True):
        run = where / f"{name}-ring"
        if not (run / "model.safetensors").is_file():
            command = [sys.executable, "-m", "thalweg", "train", *arguments.split(), "--run", str(run), "--overwrite"]
            subprocess.run(command, check=True)
        truth = law.sample(2000, seed=1)
        samples = open_run(run, device="cpu").model.eval().sample(2000, generator(0, "picture")).numpy()
        ax.scatter(*truth.T, s=2, c="lightgray", linewidths=0)
        ax.scatter(*samples.T, s=2, c="tab:blue", linewidths=0)
        ax.set(title=name, xlim=(-4.5, 4.5), ylim=(-4.5, 4.5), xticks=[], yticks=[], aspect="equal")
    figure.savefig(IMAGE, dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs"))
