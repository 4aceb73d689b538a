"""Double descent on MNIST: random ReLU features, the width of a hidden layer, and the number of steps.

    THALWEG_DATA=folder/with/mnist.npz python benchmarks/quality/double_descent.py

Writes results/double-descent.json and the figure of the guide, docs/images/double-descent.png.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch

from thalweg.demos.double_descent import Curve, mlp_threshold, mlp_widths, random_features

RESULT = Path(__file__).parent / "results" / "double-descent.json"
PICTURE = Path(__file__).parents[2] / "docs" / "images" / "double-descent.png"
SHARES = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 8.0)
RIDGES = (0.0, 1e-3, 0.01, 0.1)
WIDTHS = (3, 5, 8, 10, 12, 14, 16, 20, 28, 48, 100, 300)
STEPS = (30, 60, 120, 250, 500, 1000, 2500, 5000)
N, N_MLP, NOISE = 500, 300, 0.2


def mnist() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the training images (60000, 28, 28) in [0, 1] and labels; no test image is used."""
    folder = os.environ.get("THALWEG_DATA")
    if not folder:
        raise SystemExit("THALWEG_DATA: got nothing, wanted a folder with mnist.npz")
    file = np.load(Path(folder) / "mnist.npz")
    order = np.random.default_rng(0).permutation(len(file["x_train"]))
    return file["x_train"][order] / 255.0, file["y_train"][order].astype(np.int64)


def summary(curve: Curve, settings: tuple[Any, ...], name: str) -> dict[str, Any]:
    """Return the medians of the mse and the norm, and the mean and standard error of the error, in %."""
    seeds = curve.error.shape[2]
    return {
        str(setting): {
            name: list(curve.widths),
            "mse, median": np.median(curve.mse[:, j], axis=1).tolist(),
            "error, %": (100 * curve.error[:, j].mean(1)).tolist(),
            "standard error, %": (100 * curve.error[:, j].std(1, ddof=1) / seeds**0.5).tolist(),
            "norm, median": np.median(curve.norm[:, j], axis=1).tolist(),
        }
        for j, setting in enumerate(settings)
    }


def measure() -> dict[str, Any]:
    """Return the results of the three studies, with the seconds of each."""
    x, y = mnist()
    flat, began = x.reshape(len(x), -1), time.perf_counter()
    widths = [round(share * N) for share in SHARES]
    features = random_features(
        flat[:N], y[:N], flat[10_000:15_000], y[10_000:15_000], widths=widths, ridges=RIDGES, seeds=5
    )
    seconds = [time.perf_counter() - began]
    small = torch.from_numpy(x.reshape(-1, 14, 2, 14, 2).mean((2, 4)).reshape(len(x), -1)).float()
    labels = torch.from_numpy(y)
    noisy, draw = labels[:N_MLP].clone(), torch.Generator().manual_seed(0)
    wrong = torch.rand(N_MLP, generator=draw) < NOISE
    noisy[wrong] = torch.randint(10, (int(wrong.sum()),), generator=draw)
    split = (small[:N_MLP], noisy, small[10_000:15_000], labels[10_000:15_000])
    began = time.perf_counter()
    mlps = mlp_widths(*split, widths=WIDTHS, seeds=3)
    seconds.append(time.perf_counter() - began)
    began = time.perf_counter()
    epochs = mlp_widths(*split, widths=(14, 60), steps=STEPS, lr=2e-3, seeds=3)
    seconds.append(time.perf_counter() - began)
    return {
        "random features": {
            "examples": N, "seeds": 5, "seconds": seconds[0], "by ridge": summary(features, RIDGES, "features"),
        },
        "width of an MLP": {
            "examples": N_MLP, "label noise": NOISE, "seeds": 3, "seconds": seconds[1],
            "threshold": mlp_threshold(N_MLP, 196, 10), "results": summary(mlps, (2000,), "units")["2000"],
        },
        "steps": {
            "examples": N_MLP, "label noise": NOISE, "seeds": 3, "seconds": seconds[2],
            "by steps": summary(epochs, STEPS, "units"),
        },
    }  # fmt: skip


def draw(result: dict[str, Any]) -> None:
    """Draw the three studies and write the picture."""
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(14, 3.2), layout="constrained")
    for ridge, values in result["random features"]["by ridge"].items():
        share = np.array(values["features"]) / N
        axes[0].plot(share, values["mse, median"], marker=".", label=f"λ = {ridge}")
        axes[1].plot(share, values["norm, median"], marker=".", label=f"λ = {ridge}")
    for panel, title in zip(axes[:2], ("test error (mse)", "norm of the solution"), strict=True):
        panel.axvline(1, color="gray", linewidth=0.8, linestyle=":")
        panel.set(xscale="log", yscale="log", xlabel="random features / examples")
        panel.set_title(f"{title}, {N} examples", fontsize=9)
    axes[0].legend(frameon=False, fontsize=8)
    values = result["width of an MLP"]
    axes[2].plot(values["results"]["units"], values["results"]["mse, median"], marker=".", color="C3")
    axes[2].axvline(values["threshold"], color="gray", linewidth=0.8, linestyle=":")
    axes[2].set(xscale="log", yscale="log", xlabel="hidden units of an MLP")
    axes[2].set_title(f"test error (mse), {N_MLP} examples, 20 % noise", fontsize=9)
    by_steps = result["steps"]["by steps"]
    for i, width in enumerate((14, 60)):
        errors = [entry["error, %"][i] for entry in by_steps.values()]
        axes[3].plot([int(step) for step in by_steps], errors, marker=".", label=f"{width} units")
    axes[3].set(xscale="log", xlabel="steps")
    axes[3].set_title("wrong test examples, %", fontsize=9)
    axes[3].legend(frameon=False, fontsize=8)
    figure.savefig(PICTURE, dpi=100)


if __name__ == "__main__":
    measured = measure()
    RESULT.write_text(json.dumps(measured, indent=2) + "\n")
    draw(measured)
    print(RESULT, PICTURE, sep="\n")
