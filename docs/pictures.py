"""Draws the pictures of the model pages from trained runs, training what is missing.

    THALWEG_DATA=folder/with/mnist.npz python docs/pictures.py [RUNS]

RUNS (by default runs/) holds one run folder a line of `RUNS_WANTED`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import torch

from thalweg.data import load
from thalweg.randomness import generator
from thalweg.recipes.runs import open_run

IMAGES = Path(__file__).parent / "images"
RUNS_WANTED = {
    "softmax-regression-mnist": "softmax-regression --data mnist",
    "lenet5-mnist": "lenet5 --data mnist",
    "autoencoder-mnist": "autoencoder --data mnist",
    "vae-mnist-raw": "vae --data mnist",
    "vae-mnist-plane": "vae --data mnist --latent-dim 2 --likelihood bernoulli --architecture dense",
    "real-nvp-moons": "real-nvp --data moons",
    "real-nvp-eight-gaussians": "real-nvp --data eight-gaussians",
    "real-nvp-checkerboard": "real-nvp --data checkerboard",
    "wgan-digits": "wgan --data digits --steps 3000",
}


def tile(x: np.ndarray, columns: int, gap: int = 2) -> np.ndarray:
    """Lay images (N, H, W) side by side, `columns` a row."""
    n, h, w = x.shape
    rows = -(-n // columns)
    page = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap), x.max(), dtype=np.float64)
    for i, image in enumerate(x):
        top, left = i // columns * (h + gap), i % columns * (w + gap)
        page[top : top + h, left : left + w] = image
    return page


def show(axes: Any, image: np.ndarray, title: str, **settings: Any) -> None:
    """Show an image without axes."""
    axes.imshow(image, **({"cmap": "gray", "interpolation": "nearest"} | settings))
    axes.set_title(title, fontsize=9)
    axes.axis("off")


def softmax_regression(runs: Path) -> Any:
    """The ten rows of A as images: what each class looks for."""
    weights = open_run(runs / "softmax-regression-mnist", device="cpu").model.state_dict()
    rows = next(w for name, w in weights.items() if name.endswith("weight")).reshape(10, 28, 28).numpy()
    figure, axes = plt.subplots(2, 5, figsize=(7, 3.2), layout="constrained")
    limit = np.quantile(np.abs(rows), 0.995)
    for digit, (ax, row) in enumerate(zip(axes.flat, rows, strict=True)):
        show(ax, row, f"weights of {digit}", cmap="RdBu_r", vmin=-limit, vmax=limit)
    return figure


def lenet5(runs: Path) -> Any:
    """The six first filters, their maps of one digit, and the test digits it is most wrongly sure of."""
    opened = open_run(runs / "lenet5-mnist", device="cpu")
    test = load(opened.config.data).test
    x, y = torch.from_numpy(np.array(test.x)), torch.from_numpy(np.array(test.y))
    first = next(m for m in opened.model.modules() if isinstance(m, torch.nn.Conv2d))
    maps = {}
    hook = first.register_forward_hook(lambda module, given, out: maps.update(first=out.detach()))
    with torch.no_grad():
        opened.model.logits(x[:1])
        hook.remove()
        p = torch.cat([opened.model.logits(part).softmax(1) for part in x.split(1000)])
    sure, guess = p.max(1)
    wrong = torch.where(guess != y)[0]
    wrong = wrong[sure[wrong].argsort(descending=True)][:12]
    figure, axes = plt.subplots(3, 1, figsize=(7, 4.6), layout="constrained", height_ratios=[1, 1, 2])
    show(axes[0], tile(first.weight.detach()[:, 0].numpy(), 6, gap=1), "first filters")
    show(axes[1], tile(maps["first"][0].numpy(), 6), "their maps of the first test digit")
    said = ", ".join(f"{int(y[i])}→{int(guess[i])}" for i in wrong)
    show(axes[2], tile(x[wrong, 0].float().numpy(), 6), f"{int((guess != y).sum())} errors of {len(y)}; surest: {said}")
    return figure


def autoencoder(runs: Path) -> Any:
    """Test images above their reconstructions."""
    opened = open_run(runs / "autoencoder-mnist", device="cpu")
    x = torch.from_numpy(np.array(load(opened.config.data).test.x[:12]))
    with torch.no_grad():
        again = opened.model.reconstruct(x)
    figure, axes = plt.subplots(2, 1, figsize=(7, 1.7), layout="constrained")
    show(axes[0], tile(x[:, 0].float().numpy(), 12), "test images")
    show(axes[1], tile(again[:, 0].clamp(0, 255).numpy(), 12), "reconstructions")
    return figure


def vae(runs: Path) -> Any:
    """Samples, and the plane of a two-dimensional code."""
    samples = open_run(runs / "vae-mnist-raw", device="cpu").model.sample(100, generator(0, "picture"))
    side = 12
    quantiles = torch.distributions.Normal(0.0, 1.0).icdf((torch.arange(side) + 0.5) / side)
    z = torch.cartesian_prod(quantiles.flip(0), quantiles).flip(1)
    with torch.no_grad():
        plane = open_run(runs / "vae-mnist-plane", device="cpu").model.decode(z)
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.9), layout="constrained")
    show(axes[0], tile(samples[:, 0].float().numpy(), 10), "samples, 20-dimensional code")
    show(axes[1], tile(plane[:, 0].numpy(), side, gap=0), "the plane of a 2-dimensional code")
    return figure


def real_nvp(runs: Path) -> Any:
    """The true density, the model's, and its samples."""
    names = ("moons", "eight-gaussians", "checkerboard")
    figure, axes = plt.subplots(len(names), 3, figsize=(7, 7), layout="constrained")
    for row, name in zip(axes, names, strict=True):
        opened = open_run(runs / f"real-nvp-{name}", device="cpu")
        dataset = load(opened.config.data)
        low, high = dataset.test.x.min(0) - 0.5, dataset.test.x.max(0) + 0.5
        grid = torch.cartesian_prod(*(torch.linspace(float(a), float(b), 200) for a, b in zip(low, high, strict=True)))
        box = (low[0], high[0], low[1], high[1])
        with torch.no_grad():
            densities = [law.log_prob(grid).exp().reshape(200, 200).T for law in (dataset.density, opened.model)]
            x = opened.model.sample(5000, generator(0, "picture"))
        top = float(densities[0].max())
        for ax, density, title in zip(row, densities, (f"{name}: truth", "Real NVP"), strict=False):
            show(ax, density, title, origin="lower", extent=box, cmap="magma", vmax=top, interpolation="bilinear")
        row[2].scatter(x[:, 0], x[:, 1], s=1, linewidths=0, color="black")
        row[2].set(xlim=box[:2], ylim=box[2:], aspect="equal", xticks=[], yticks=[])
        row[2].set_title("samples", fontsize=9)
    return figure


def wgan(runs: Path) -> Any:
    """Samples, and the critic's estimate while training."""
    import json

    folder = runs / "wgan-digits"
    samples = open_run(folder, device="cpu").model.sample(100, generator(0, "picture"))
    lines = [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.7), layout="constrained")
    show(axes[0], tile(samples[:, 0].float().numpy(), 10), "samples")
    axes[1].plot([line["step"] for line in lines], [line["critic/gap"] for line in lines], linewidth=1)
    axes[1].set(xlabel="generator steps", ylabel="critic's estimate of K·W")
    axes[1].set_title("the gap that the critic finds", fontsize=9)
    return figure


PICTURES: dict[str, Callable[[Path], Any]] = {
    "softmax-regression": softmax_regression,
    "lenet5": lenet5,
    "autoencoder": autoencoder,
    "vae": vae,
    "real-nvp": real_nvp,
    "wgan": wgan,
}

if __name__ == "__main__":
    where = Path(sys.argv[1] if len(sys.argv) > 1 else "runs")
    for run, arguments in RUNS_WANTED.items():
        if not (where / run / "model.safetensors").is_file():
            command = [sys.executable, "-m", "thalweg", "train", *arguments.split(), "--run", str(where / run)]
            subprocess.run([*command, "--overwrite"], check=True)
    IMAGES.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        draw(where).savefig(IMAGES / f"{name}.png", dpi=110)
        print(IMAGES / f"{name}.png")
