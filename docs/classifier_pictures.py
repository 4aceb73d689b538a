"""Pictures of the linear classifiers and the multilayer perceptron."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from thalweg.data import load
from thalweg.nn.initialize import initialize, layer_statistics
from thalweg.objectives.classification import hinge, logistic, perceptron, zero_one
from thalweg.recipes.runs import open_run


def trained(runs: Path, name: str) -> Path:
    """Return a run of the recipe on two moons with labels, trained here if it does not exist."""
    from sklearn.datasets import make_moons

    from thalweg.config import DataConfig, RunConfig, TrainConfig
    from thalweg.recipes.runs import train

    folder, table = runs / f"{name}-labelled-moons", runs / "labelled-moons.csv"
    if not (folder / "model.safetensors").is_file():
        x, y = make_moons(2000, noise=0.25, random_state=0)
        runs.mkdir(parents=True, exist_ok=True)
        columns, formats = np.column_stack([x, y]), ["%.6f", "%.6f", "%d"]
        np.savetxt(table, columns, delimiter=",", header="x,y,label", comments="", fmt=formats)
        options = {"hidden": 64} if name == "mlp" else {}
        data = DataConfig(source=str(table), label_column="label")
        config = RunConfig(recipe=name, data=data, options=options, train=TrainConfig(steps=3000))
        train(config, folder, overwrite=True)
    return folder


def boundary(axes: Any, run: Path, title: str) -> None:
    """Draw the test examples, and the probability or sign of the second class over the plane."""
    opened = open_run(run, device="cpu")
    test = load(opened.config.data).test
    low, high = test.x.min(0) - 0.5, test.x.max(0) + 0.5
    grid = np.meshgrid(*(np.linspace(a, b, 200) for a, b in zip(low, high, strict=True)))
    points = torch.from_numpy(np.stack(grid, -1).reshape(-1, 2))
    with torch.no_grad():
        logits = opened.model.logits(points)
        right = (opened.model.logits(torch.from_numpy(test.x)).argmax(1).numpy() == test.y).mean()
    z = (logits[:, 1] - logits[:, 0]).reshape(200, 200).numpy()
    axes.contourf(*grid, np.tanh(z / 2), levels=20, cmap="coolwarm", alpha=0.5)
    axes.contour(*grid, z, levels=[0], colors="black", linewidths=1)
    axes.scatter(*test.x[:400].T, c=test.y[:400], cmap="coolwarm", s=3, linewidths=0)
    axes.set(xticks=[], yticks=[])
    axes.set_title(f"{title}: {right:.1%} of the test examples", fontsize=9)


def losses(axes: Any) -> None:
    """Draw the losses of linear classifiers against the margin."""
    m = torch.linspace(-2.5, 2.5, 501)
    for name, loss in {"0-1": zero_one, "perceptron": perceptron, "hinge": hinge, "logistic": logistic}.items():
        axes.plot(
            m, loss(m), label=name, linewidth=1.5 if name != "0-1" else 1, color="black" if name == "0-1" else None
        )
    axes.set(xlabel="margin m", ylabel="loss")
    axes.legend(frameon=False, fontsize=8)
    axes.set_title("losses of the margin", fontsize=9)


def linear(runs: Path) -> Any:
    """Draw the losses, and the boundaries of the perceptron, the SVM and logistic regression."""
    figure, axes = plt.subplots(1, 4, figsize=(13, 3), layout="constrained")
    losses(axes[0])
    for panel, name in zip(axes[1:], ("perceptron", "svm", "logistic-regression"), strict=True):
        boundary(panel, trained(runs, name), name)
    return figure


def mlp(runs: Path) -> Any:
    """Draw the boundary, and the gradient of the loss by layer for several initial weights."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    boundary(axes[0], trained(runs, "mlp"), "mlp")
    x = torch.randn(256, 256, generator=torch.Generator().manual_seed(0)).double()
    for title, scale in {"a third of LeCun's": 1 / 3, "LeCun": 1.0, "three times LeCun's": 3.0}.items():
        torch.manual_seed(0)
        network = nn.Sequential(*(m for _ in range(20) for m in (nn.Linear(256, 256), nn.Tanh()))).double()
        initialize(network, "lecun")
        with torch.no_grad():
            for p in network.parameters():
                p.mul_(scale)
        norms = [layer.gradient_variance**0.5 for layer in layer_statistics(network, x, lambda y: y.square().mean())]
        axes[1].plot(range(1, 21), norms, marker=".", label=title)
    axes[1].set_yscale("log")
    axes[1].set(xlabel="layer", ylabel="root mean square of the gradient", xticks=[1, 5, 10, 15, 20])
    axes[1].legend(frameon=False, fontsize=8, title="standard deviation of the weights", title_fontsize=8)
    axes[1].set_title("20 layers of 256 units with tanh, before training", fontsize=9)
    return figure


PICTURES: dict[str, Callable[[Path], Any]] = {"linear-classifiers": linear, "mlp": mlp}
