"""The pictures of the pages on autoencoders; `pictures.py` draws them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch

from thalweg.data import load
from thalweg.models.autoencoders.denoising_autoencoder import Corruption
from thalweg.recipes.runs import open_run
from thalweg.training.problem import Batch

DENSE = "--data mnist --architecture dense --hidden 512 --latent-dim 64 --steps 3000"
SPARSE = "--data mnist --latent-dim 196 --steps 5000"
RUNS = {
    "autoencoder-mnist-dense": f"autoencoder {DENSE}",
    "autoencoder-mnist-plane": "autoencoder --data mnist --architecture dense --depth 2 --latent-dim 2 --steps 3000",
    "linear-autoencoder-mnist": "linear-autoencoder --data mnist --latent-dim 16",
    "sparse-autoencoder-mnist-l1": f"sparse-autoencoder {SPARSE} --weight 0.5",
    "sparse-autoencoder-mnist-kl": f"sparse-autoencoder {SPARSE} --penalty kl --weight 5",
    **{f"k-sparse-autoencoder-mnist-{k}": f"k-sparse-autoencoder {SPARSE} --k {k}" for k in (5, 15, 40)},
    "denoising-autoencoder-mnist": f"denoising-autoencoder {DENSE} --corruption masking --level 0.5",
    "stacked-denoising-autoencoder-mnist": "stacked-denoising-autoencoder --data mnist --steps 2000",
}
SHOWN = 12


def show(axes: Any, image: np.ndarray, title: str, **settings: Any) -> None:
    """Show an image without axes."""
    axes.imshow(image, **({"cmap": "gray", "interpolation": "nearest"} | settings))
    axes.set_title(title, fontsize=9)
    axes.axis("off")


def page(x: np.ndarray, columns: int, gap: int = 2) -> np.ndarray:
    """Lay images (N, H, W) side by side, `columns` per row, with white gaps."""
    filled = np.pad(x, ((0, -len(x) % columns), (0, gap), (0, gap)), constant_values=x.max())
    rows = filled.reshape(-1, columns, *filled.shape[1:]).transpose(0, 2, 1, 3)
    return rows.reshape(-1, columns * filled.shape[2])[:-gap, :-gap]


def signed(x: np.ndarray, columns: int) -> np.ndarray:
    """Lay filters (N, 28, 28) side by side, each scaled to [−1, 1]."""
    scaled = x / np.abs(x).max(axis=(1, 2), keepdims=True)
    filled = np.pad(scaled, ((0, -len(x) % columns), (1, 1), (1, 1)))
    rows = filled.reshape(-1, columns, 30, 30).transpose(0, 2, 1, 3)
    return rows.reshape(-1, columns * 30)


def opened(runs: Path, name: str) -> tuple[Any, torch.Tensor, np.ndarray]:
    """Return the model of a run, in evaluation mode, and its test images and labels."""
    run = open_run(runs / name, device="cpu")
    test = load(run.config.data).test
    return run.model.eval().requires_grad_(False), torch.from_numpy(np.array(test.x)), np.asarray(test.y)


def uses(runs: Path) -> Any:
    """Draw the clusters of a two-dimensional code, error against bits, and the ROC curves of the score."""
    from sklearn.metrics import roc_curve

    from thalweg.applications.compress import compress
    from thalweg.config import DataConfig
    from thalweg.evaluation.statistics.clustering import agreement, k_means

    figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.6), layout="constrained")
    model, x, y = opened(runs, "autoencoder-mnist-plane")
    z = torch.cat([model.encode(part) for part in x.split(1000)]).numpy()
    clusters = k_means(z, 10)
    axes[0].scatter(*z[:4000].T, c=y[:4000], cmap="tab10", s=3, linewidths=0)
    axes[0].plot(*clusters.centers.T, "x", color="black", ms=8, mew=2)
    low, high = np.quantile(z, (0.002, 0.998), axis=0)
    axes[0].set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes[0].set_title(f"codes by digit, centers of 10 clusters\nNMI {agreement(clusters.of, y)[0]}", fontsize=9)
    result = compress(open_run(runs / "autoencoder-mnist-dense", device="cpu"), device="cpu")
    for name, points in result.curves.items():
        line = [(point.rate.value, point.psnr.value) for point in points]
        axes[1].plot(*zip(*line, strict=True), ":" if "without" in name else "-", marker="o", ms=3, label=name)
    axes[1].set(xscale="log", xlabel="bits/pixel", ylabel="PSNR, dB", ylim=(12, 34))
    axes[1].set_title("bits and error", fontsize=9)
    axes[1].legend(fontsize=6.5)
    model, x, _ = opened(runs, "autoencoder-mnist-dense")
    others = {
        "Fashion-MNIST": torch.from_numpy(np.array(load(DataConfig(source="fashion-mnist")).test.x)),
        "inverted": 255 - x,
        "upside down": x.flip(2),
    }
    for name, other in others.items():
        score = torch.cat([model.score(part) for part in torch.cat([x, other]).split(1000)]).numpy()
        label = np.repeat([0, 1], [len(x), len(other)])
        false, true, _ = roc_curve(label, score)
        axes[2].plot(false, true, label=f"{name}: AUROC {100 * np.trapezoid(true, false):.1f} %")
    axes[2].set(xlabel="false positive rate", ylabel="true positive rate")
    axes[2].set_title("MNIST against others, by squared error", fontsize=9)
    axes[2].legend(fontsize=7)
    return figure


def linear(runs: Path) -> Any:
    """Draw the directions of the linear autoencoder, the vectors of their span nearest to PCA, and those of PCA."""
    model, *_ = opened(runs, "linear-autoencoder-mnist")
    train = np.array(load(open_run(runs / "linear-autoencoder-mnist", device="cpu").config.data).train.x)
    flat = train.reshape(len(train), -1) / 255
    mean = flat.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov((flat - mean).T, bias=True))
    principal = vectors[:, ::-1][:, :16]
    weights = model.decoder[0].weight.numpy()
    basis = np.linalg.qr(weights)[0]
    turned = basis @ (basis.T @ principal)  # the principal directions, projected to the span of the decoder
    y = torch.from_numpy(flat).float().reshape(-1, 1, 28, 28)
    error = float(((model(y - model.preprocess.center) - (y - model.preprocess.center)) ** 2).sum(dim=(1, 2, 3)).mean())
    figure, axes = plt.subplots(3, 1, figsize=(8, 2.5), layout="constrained")
    color = {"cmap": "RdBu_r", "vmin": -1, "vmax": 1}
    show(axes[0], signed(weights.T.reshape(-1, 28, 28), 16), "columns of W₁: no eigenvectors, but", **color)
    show(axes[1], signed(turned.T.reshape(-1, 28, 28), 16), "in their span: the nearest to each of", **color)
    title = f"PCA. Squared error {error:.3f}; sum of the discarded eigenvalues {values[:-16].sum():.3f}"
    show(axes[2], signed(principal.T.reshape(-1, 28, 28), 16), title, **color)
    return figure


def sparse(runs: Path) -> Any:
    """Draw the weights of the units with both penalties, and how often the units are active."""
    figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.7), layout="constrained", width_ratios=[1, 1, 0.8])
    for ax, penalty in zip(axes[:2], ("l1", "kl"), strict=True):
        model, x, _ = opened(runs, f"sparse-autoencoder-mnist-{penalty}")
        z = torch.cat([model.encode(part) for part in x.split(1000)])
        score = torch.cat([model.score(part) for part in x.split(1000)]).mean()
        filters = model.decoder[0].weight.T.reshape(-1, 28, 28).numpy()[:144]
        title = f"{penalty}: weights of 144 of 196 units; squared error {score:.1f}"
        show(ax, signed(filters, 12), title, cmap="RdBu_r", vmin=-1, vmax=1)
        activity = z.mean(0) if penalty == "kl" else (z > 0.01).float().mean(0)
        name = "kl: mean activity of a unit" if penalty == "kl" else "l1: share of images that a unit is active for"
        axes[2].hist(activity.numpy(), bins=np.linspace(0, 0.5, 41), alpha=0.6, label=name)
    axes[2].axvline(0.05, color="black", lw=1, ls=":", label="kl: target")
    axes[2].set(ylabel="units")
    axes[2].legend(fontsize=7)
    return figure


def k_sparse(runs: Path) -> Any:
    """Draw the filters for several k, and reconstructions."""
    kept = (5, 15, 40)
    figure, axes = plt.subplots(2, 3, figsize=(10, 4.3), layout="constrained", height_ratios=[3.2, 1])
    for column, k in zip(axes.T, kept, strict=True):
        model, x, _ = opened(runs, f"k-sparse-autoencoder-mnist-{k}")
        z = torch.cat([model.encode(part) for part in x.split(1000)])
        score = torch.cat([model.score(part) for part in x.split(1000)]).mean()
        filters = model.encoder[1][0].weight.reshape(-1, 28, 28).numpy()[:144]
        never = int((z == 0).all(0).sum())
        title = f"k = {k}: {never} of 196 units never selected"
        show(column[0], signed(filters, 12), title, cmap="RdBu_r", vmin=-1, vmax=1)
        pairs = torch.cat([x[:8], model.reconstruct(x[:8]).clamp(0, 255).to(torch.uint8)])
        show(column[1], page(pairs[:, 0].numpy(), 8), f"rebuilt, squared error {score:.1f}")
    return figure


def denoising(runs: Path) -> Any:
    """Draw test images, corrupted, and restored."""
    model, x, _ = opened(runs, "denoising-autoencoder-mnist")
    x = x[:SHOWN]
    figure, axes = plt.subplots(1, 2, figsize=(10, 1.6), layout="constrained")
    for ax, level in zip(axes, (0.5, 0.8), strict=True):
        rows = corrupted_and_restored(model, x, Corruption("masking", level))
        show(ax, rows, f"{100 * level:.0f} % of the pixels set to 0" + (", as in training" if level == 0.5 else ""))
    return figure


def stacked(runs: Path) -> Any:
    """Draw the filters of the first layer, and images corrupted and restored by all layers."""
    model, x, _ = opened(runs, "stacked-denoising-autoencoder-mnist")
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained", width_ratios=[1, 2])
    first = model.layers[0].encoder.weight.reshape(-1, 28, 28).numpy()[:100]
    show(axes[0], signed(first, 10), "filters of the first layer", cmap="RdBu_r", vmin=-1, vmax=1)
    rows = corrupted_and_restored(model, x[:SHOWN], Corruption("masking", 0.25))
    show(axes[1], rows, "25 % of the pixels set to 0, and restored through 64 numbers")
    return figure


def corrupted_and_restored(model: Any, x: torch.Tensor, corruption: Corruption) -> np.ndarray:
    """Draw three rows: images, corrupted images, and the outputs of the model."""
    y = model.preprocess(x)
    corrupted = corruption(y, Batch(x, seed=0))
    rows = torch.cat([y, corrupted, model(corrupted)]).clamp(0, 1)
    return page(rows[:, 0].numpy(), len(x))


PICTURES: dict[str, Callable[[Path], Any]] = {
    "autoencoder-uses": uses,
    "linear-autoencoder": linear,
    "sparse-autoencoder": sparse,
    "k-sparse-autoencoder": k_sparse,
    "denoising-autoencoder": denoising,
    "stacked-denoising-autoencoder": stacked,
}
