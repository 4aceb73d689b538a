"""Draw samples of adversarial models for a ring and a grid of Gaussians, and the gradients of deep critics.

THALWEG_RUNS=RUNS python benchmarks/quality/modes.py   # the trainings; the first seed is drawn
python docs/gan_pictures.py [RUNS]
python -c "from gan_pictures import *; depth(Path('runs'))"      # in docs: only the gradients
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from thalweg.config import DataConfig, OptimizerConfig, TrainConfig
from thalweg.data import Batches, load
from thalweg.data.toy import density
from thalweg.models.gans.gan import GAN, Networks, dense_networks
from thalweg.models.gans.sn_gan import bounded
from thalweg.nn.dense import mlp
from thalweg.objectives.adversarial import wasserstein
from thalweg.problems.adversarial import AdversarialGame
from thalweg.randomness import generator
from thalweg.recipes.runs import open_run
from thalweg.training import Alternating, Run, RunFolder, Sources, Stage, train

IMAGES = Path(__file__).parent / "images"
MODELS = ("gan", "f-gan", "wgan", "wgan-gp", "sn-gan", "hinge-gan", "wae-mmd", "wae-gan")
DENSITIES = {"eight-gaussians": 4.5, "grid-gaussians": 4.0}  # half of the side length of the picture
CRITICS: dict[str, dict[str, Any]] = {
    "clip 0.5": {"clip": 0.5},
    "clip 0.1": {"clip": 0.1},
    "clip 0.03": {"clip": 0.03},
    "clip 0.01": {"clip": 0.01},
    "clip 0.001": {"clip": 0.001},
    "gradient penalty": {"penalty": 10.0},
    "spectral norm": {},
}
LAYERS, ROUNDS, SEEN = 12, 300, 50


def deep(where: Path, name: str) -> dict[int, list[float]]:
    """Train a WGAN whose critic has twelve hidden layers; return the norms of the gradients of its layers by step."""
    settings, dataset = CRITICS[name], load(DataConfig(source="eight-gaussians"))
    torch.manual_seed(0)
    critic = mlp((2, *[64] * LAYERS, 1), activation=lambda: nn.LeakyReLU(0.2)).append(nn.Flatten(0))
    networks = Networks(dense_networks((2,), latent_dim=2, hidden=64).generator, critic)
    model = GAN(networks, (2,), latent_dim=2, mean=dataset.spec.mean, std=dataset.spec.std)
    optimizer = OptimizerConfig(name="rmsprop", lr=5e-4)  # ten times the value of the paper, for a short training
    if "clip" not in settings:
        optimizer = OptimizerConfig(name="adam", lr=1e-3, beta1=0.0, beta2=0.9)
    if not settings:
        model = bounded(model)
    stage = Stage(
        problem=AdversarialGame(model, wasserstein(), **settings),
        steps=ROUNDS,
        batch_size=64,
        optimizers={"critic": optimizer, "generator": optimizer},
        update=Alternating({"critic": 5, "generator": 1}),
    )
    folder = RunFolder.create(where / f"deep-{name.replace(' ', '-')}", {}, overwrite=True)
    batches = Batches(dataset.train, 64)
    train(Run(model, (stage,)), lambda stage, world: Sources(batches, []), TrainConfig(log_every=SEEN), folder=folder)
    folder.close()
    lines = [json.loads(line) for line in (folder.path / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: [v for key, v in line.items() if key.startswith("critic/gradient/")] for line in lines}


def depth(where: Path) -> None:
    """Draw the norm of the gradient of each layer of the critic, and print those of the first and the last."""
    figure, ax = plt.subplots(figsize=(7.4, 3.6), layout="constrained")
    for name in CRITICS:
        norms = np.array(list(deep(where, name).values()))
        assert norms.shape == (ROUNDS // SEEN, LAYERS + 1)
        middle = np.exp(np.log(norms + 1e-30).mean(0))
        print(f"{name:18s} first {middle[0]:.2e}  last {middle[-1]:.2e}  ratio {middle[0] / middle[-1]:.2e}")
        style = "o-" if name.startswith("clip") else "s--"
        ax.semilogy(range(1, LAYERS + 2), middle, style, ms=3.5, lw=1.3, label=name)
    ax.set(xlabel="layer of the critic, from the data to the score", ylabel="norm of its gradient")
    ax.set_ylim(1e-16, 1e8)
    figure.legend(fontsize=8, loc="outside right center")
    figure.savefig(IMAGES / "critic-depth.png", dpi=100)


def main(where: Path) -> None:
    """Draw 2,000 samples of each model."""
    figure, axes = plt.subplots(4, 4, figsize=(10, 10.4), layout="constrained")
    panels = [(name, model) for name in DENSITIES for model in MODELS]
    for ax, (name, model) in zip(axes.flat, panels, strict=True):
        opened, mixture, side = open_run(where / f"{model}-{name}-0", device="cpu"), density(name), DENSITIES[name]
        samples = opened.model.eval().sample(2000, generator(0, "picture")).numpy()
        ax.scatter(*mixture.sample(2000, seed=1).T, s=2, c="lightgray", linewidths=0)
        ax.scatter(*samples.T, s=2, c="tab:blue", linewidths=0)
        ax.set(title=model, xlim=(-side, side), ylim=(-side, side), xticks=[], yticks=[], aspect="equal")
    figure.savefig(IMAGES / "gans.png", dpi=80)
    depth(where)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs"))
