"""The pictures of the pages on kernel density estimation and mixtures of Gaussians; `pictures.py` draws them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from flow_pictures import draw_density

from thalweg.data import load
from thalweg.inference.kernel_density import GaussianMixture, rate, smoothed
from thalweg.models.mixtures.kde import KDE
from thalweg.recipes.runs import open_run
from thalweg.training.records import read_metrics

PLANE, SEEDS, DIMENSIONS = ("moons", "rings"), range(4), range(1, 9)
RUNS = {
    **{f"kde-{name}-1000": f"kde --data {name} --data-examples 1250" for name in PLANE},
    **{f"gmm-{name}": f"gmm --data {name}" for name in PLANE},
    **{f"gmm-moons-{s}": f"gmm --data moons --data-examples 5000 --seed {s}" for s in SEEDS},
    "gmm-eight-gaussians": "gmm --data eight-gaussians --components 8",
}


def kde(runs: Path) -> Any:
    """Draw the true density and estimates from 1000 points with a too small, a good and a too large bandwidth."""
    figure, axes = plt.subplots(2, 4, figsize=(8.6, 4.7), layout="constrained")
    for row, name in zip(axes, PLANE, strict=True):
        opened = open_run(runs / f"kde-{name}-1000", device="cpu")
        dataset, model = load(opened.config.data), opened.model
        h = float(model.bandwidth)
        draw_density(row[0], dataset.density, dataset, f"{name}: truth")
        for ax, factor, label in zip(row[1:], (0.25, 1, 4), ("h/4", "h of cross-validation", "4h"), strict=True):
            model.bandwidth.fill_(factor * h)
            draw_density(ax, model, dataset, f"{label} = {factor * h:.2g}", n=150)
    return figure


def kde_rate(runs: Path) -> Any:
    """Draw exact and measured errors against the number of examples, the slope against the dimension, and p_h."""
    figure, axes = plt.subplots(1, 3, figsize=(8.6, 2.9), layout="constrained")
    line = GaussianMixture.of([[-1.5], [0.5], [2.0]], [0.5, 0.3, 0.4], [0.5, 0.2, 0.3])
    plane = GaussianMixture.of([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]], [1.0] * 3, [1 / 3] * 3)
    counts = [10**k for k in range(2, 8)]
    for mixture, style, label in ((line, "-", "line, slope"), (plane, "--", "plane, slope")):
        result = rate(mixture, counts)
        label = f"{label} {rate(mixture, [10**9, 10**10]).slope:.3f} for large n"
        axes[0].loglog(counts, result.mise, style, color="black", linewidth=1, label=label)
        for n, h in zip(counts[:3], result.bandwidth, strict=False):
            axes[0].plot(
                n,
                np.mean([measured(mixture, n, h, seed) for seed in range(max(8, 3000 // n))]),
                "o",
                color="0.4",
                markersize=4,
            )
    axes[0].set_title("MISE at its best h, and measured", fontsize=9)
    axes[0].legend(frameon=False, fontsize=7)
    slopes = [rate(GaussianMixture.of([[0.0] * d], [1.0], [1.0]), [10**12, 10**13]).slope for d in DIMENSIONS]
    axes[1].plot(DIMENSIONS, [-4 / (4 + d) for d in DIMENSIONS], color="0.7", linewidth=3, label="−4/(4 + d)")
    axes[1].plot(DIMENSIONS, slopes, "o", color="black", markersize=4, label="exact MISE, n = 10¹²")
    axes[1].set_title("slope against the dimension", fontsize=9)
    axes[1].legend(frameon=False, fontsize=7)
    x = torch.linspace(-4, 4, 400, dtype=torch.float64)[:, None]
    axes[2].fill_between(x[:, 0], line.prob(x), color="0.85", label="p")
    for h, style in ((0.2, "-"), (0.5, "--"), (1.0, ":")):
        axes[2].plot(x[:, 0], smoothed(line, h).prob(x), style, color="black", linewidth=1, label=f"p_h, h = {h}")
    axes[2].set_title("what a fixed h estimates", fontsize=9)
    axes[2].legend(frameon=False, fontsize=7)
    return figure


def measured(mixture: GaussianMixture, n: int, h: float, seed: int) -> float:
    """Return ∫ (p̂ − p)² of an estimate from n draws, on a grid."""
    rng, d = np.random.default_rng(seed), mixture.means.shape[1]
    k = rng.choice(len(mixture.weights), n, p=mixture.weights.numpy())
    x = mixture.means.numpy()[k] + mixture.stds.numpy()[k, None] * rng.standard_normal((n, d))
    model = KDE((d,), mean=[0.0] * d, std=[1.0] * d, bandwidth=h)
    model.points, model.bandwidth = torch.from_numpy(x), torch.tensor(h, dtype=torch.float64)
    axis = torch.linspace(-6, 9, 400 if d == 1 else 60, dtype=torch.float64)
    grid = torch.cartesian_prod(*[axis] * d).reshape(-1, d)
    return float((model.log_prob(grid).exp() - mixture.prob(grid)).square().sum() * (axis[1] - axis[0]) ** d)


def gmm(runs: Path) -> Any:
    """Draw densities beside the true one, components on eight Gaussians, and likelihoods by step for several seeds."""
    figure, axes = plt.subplots(2, 3, figsize=(8.6, 5.6), layout="constrained")
    for column, name in zip(axes.T, PLANE, strict=False):
        opened = open_run(runs / f"gmm-{name}", device="cpu")
        dataset = load(opened.config.data)
        draw_density(column[0], dataset.density, dataset, f"{name}: truth")
        draw_density(column[1], opened.model, dataset, "ten Gaussians")
    opened = open_run(runs / "gmm-eight-gaussians", device="cpu")
    x, mixture = load(opened.config.data).test.x[:2000], opened.model()
    axes[0, 2].scatter(x[:, 0], x[:, 1], s=1, linewidths=0, color="0.6")
    turn = torch.linspace(0, 2 * math.pi, 100)
    circle = torch.stack([turn.cos(), turn.sin()])
    with torch.no_grad():
        parts = mixture.component_distribution
        for center, factor in zip(parts.loc, parts.scale_tril, strict=True):
            ring = center[:, None] + 2 * factor @ circle
            axes[0, 2].plot(ring[0], ring[1], color="black", linewidth=1)
    axes[0, 2].set(aspect="equal", xticks=[], yticks=[])
    axes[0, 2].set_title("two standard deviations of each", fontsize=9)
    for seed in SEEDS:
        curve = [-line["loss"] for line in read_metrics(runs / f"gmm-moons-{seed}") if "loss" in line]
        axes[1, 2].plot(range(1, len(curve) + 1), curve, linewidth=1, label=f"seed {seed}")
    axes[1, 2].set_title("moons: log-likelihood by EM's steps, nats", fontsize=9)
    axes[1, 2].set_xscale("log")
    axes[1, 2].legend(frameon=False, fontsize=7)
    return figure


PICTURES: dict[str, Callable[[Path], Any]] = {"kde": kde, "kde-rate": kde_rate, "gmm": gmm}
