"""Draw the pictures of optimizers, initialization, a spurious correlation and batch normalization.

python docs/study_pictures.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from thalweg.config import OptimizerConfig
from thalweg.demos.batch_norm import only_normalization, perceptron, smoothness, train
from thalweg.demos.spurious_correlation import crosses_and_rings, train_linear
from thalweg.nn.initialize import initialize, layer_statistics
from thalweg.training.optimizers import make_optimizer

IMAGES = Path(__file__).parent / "images"
CURVATURES, START, STEPS = torch.tensor([1.0, 30.0]), (-1.0, 0.6), 60
OPTIMIZERS = {
    "sgd, rate 0.06": OptimizerConfig(name="sgd", lr=0.06),
    "momentum, rate 0.02": OptimizerConfig(name="momentum", lr=0.02, momentum=0.8),
    "rmsprop, rate 0.03": OptimizerConfig(name="rmsprop", lr=0.03, alpha=0.9),
    "adam, rate 0.1": OptimizerConfig(name="adam", lr=0.1),
}
SIZES, SCALES = [64, 32, 32, 32, 32, 10], (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0)


def path(config: OptimizerConfig) -> np.ndarray:
    """Return the places of an optimizer on ½(x² + 30y²), (STEPS + 1, 2)."""
    p = torch.tensor(START, requires_grad=True)
    optimizer = make_optimizer(config, [p])
    places = [p.detach().clone()]
    for _ in range(STEPS):
        p.grad = CURVATURES * p.detach()
        optimizer.step()
        places.append(p.detach().clone())
    return torch.stack(places).numpy()


def optimizers() -> None:
    """Draw the paths, and the loss against the step."""
    figure, (plane, curve) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    x, y = np.meshgrid(np.linspace(-1.15, 0.5, 100), np.linspace(-0.75, 0.75, 100))
    plane.contour(x, y, 0.5 * (x**2 + 30 * y**2), np.geomspace(0.01, 8, 9), colors="lightgray", linewidths=0.8)
    for name, config in OPTIMIZERS.items():
        places = path(config)
        plane.plot(*places.T, ".-", linewidth=1, markersize=4, label=name)
        curve.semilogy(0.5 * (places**2) @ CURVATURES.numpy(), label=name)
        print(f"{name}: {float(0.5 * (places[-1] ** 2) @ CURVATURES.numpy()):.2e}")
    plane.plot(0, 0, "k+")
    plane.set(title="60 steps from (−1, 0.6)", xlabel="x", ylabel="y", xlim=(-1.15, 0.5), ylim=(-0.75, 0.75))
    curve.set(title="½(x² + 30y²)", xlabel="step")
    curve.legend(fontsize=8)
    figure.savefig(IMAGES / "optimizers.png", dpi=100)


def batch_norm() -> None:
    """Draw the loss against the scale of the weights, training of γ and β, and the change of the gradient."""
    x, y = (torch.tensor(a) for a in load_digits(return_X_y=True))
    x, y = (x / 16).float(), y.long()
    figure, (scales, alone, change) = plt.subplots(1, 3, figsize=(10, 3.1), layout="constrained")
    settings = {"lr": 0.05, "steps": 300, "batch_size": 128, "seed": 0}
    for normalized, name in ((True, "with"), (False, "without")):
        last = []
        for scale in SCALES:
            losses = train(perceptron(SIZES, normalized=normalized, scale=scale), x, y, **settings)
            last.append(float(np.mean(losses[-20:])))
        print(name, [f"{value:.3g}" for value in last])
        scales.loglog(SCALES, last, ".-", label=f"{name} batch normalization")
        network = perceptron(SIZES, normalized=normalized)
        train(network, x, y, lr=0.05, steps=20, batch_size=128, seed=0)
        distances = np.geomspace(0.01, 1, 13).tolist()
        result = smoothness(network, x[:512], y[:512], distances=distances, lr=0.05)
        change.loglog(distances, result.gradients, ".-")
        print(name, "losses", np.round(result.losses, 3), "shift", np.round(result.shift, 4), "cos", result.cosine)
    network = perceptron(SIZES, normalized=True)
    learned = sum(p.numel() for p in only_normalization(network))
    everything = perceptron(SIZES, normalized=True)
    number = sum(p.numel() for p in everything.parameters())
    for name, one in ((f"γ and β, {learned}", network), (f"all, {number}", everything)):
        losses = train(one, x, y, lr=0.05, steps=1000, batch_size=128, seed=0)
        alone.semilogy(np.convolve(losses, np.ones(20) / 20, "valid"), label=f"{name} parameters")
        with torch.no_grad():
            print(name, "accuracy on the training images", float((one.eval()(x).argmax(1) == y).double().mean()))
    scales.set(title="loss after 300 steps", xlabel="scale of the first weights")
    alone.set(title="what is trained", xlabel="step")
    change.set(title="change of the gradient", xlabel="distance, in gradients")
    scales.legend(fontsize=7, loc="lower right", bbox_to_anchor=(1, 0.55))
    alone.legend(fontsize=7)
    figure.savefig(IMAGES / "batch-norm.png", dpi=100)


def initialization() -> None:
    """Draw the variance of the outputs and of the gradient by layer, in deep perceptrons with several initializers."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.1), layout="constrained")
    x = torch.randn(512, 100, generator=torch.Generator().manual_seed(0))
    for name, activation, factor in (
        ("lecun", nn.Tanh, 1.0), ("lecun", nn.Tanh, 0.5), ("lecun", nn.Tanh, 3.0), ("he", nn.ReLU, 1.0),
        ("lecun", nn.ReLU, 1.0), ("default", nn.ReLU, 1.0),
    ):  # fmt: skip
        torch.manual_seed(0)
        layers = [layer for _ in range(20) for layer in (nn.Linear(100, 100), activation())]
        network = nn.Sequential(*layers, nn.Linear(100, 10))
        initialize(network, name)
        with torch.no_grad():
            for layer in network[:-1]:
                if isinstance(layer, nn.Linear):
                    layer.weight.mul_(factor)
        found = layer_statistics(network, x, lambda z: (z * torch.arange(10.0)).sum(1).mean())[:-1]
        scaled = f"{factor:g} × " if factor != 1 else ""
        label = f"{scaled}{name}, {activation.__name__}"
        axes[0].semilogy(range(1, 21), [layer.output_variance for layer in found], ".-", label=label)
        axes[1].semilogy(range(1, 21), [layer.gradient_variance for layer in found], ".-")
        print(
            label, f"{found[-1].output_variance:.2g}", f"{found[0].gradient_variance / found[-1].gradient_variance:.2g}"
        )
    axes[0].set(title="variance of the outputs", xlabel="layer", xticks=range(2, 21, 3))
    axes[1].set(title="variance of the gradient in the outputs", xlabel="layer", xticks=range(2, 21, 3))
    axes[0].legend(fontsize=7)
    figure.savefig(IMAGES / "initialization.png", dpi=100)


def spurious_correlation() -> None:
    """Draw crosses and rings with both correlations, and the accuracies with and without flips."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 2.6), layout="constrained")
    for panel, opposite in zip(axes, (False, True), strict=False):
        x, _ = crosses_and_rings(12, opposite=opposite, seed=1)
        tiles = torch.nn.functional.pad(x[:, 0], (1, 1, 1, 1), value=70).reshape(3, 4, 6, 10)
        panel.imshow(tiles.permute(0, 2, 1, 3).reshape(18, 40), cmap="gray", vmin=0, vmax=70)
        panel.set(title="opposite correlation" if opposite else "training", xticks=[], yticks=[])
    for i, flip in enumerate((False, True)):
        found = train_linear(flip=flip)
        print(found)
        axes[2].bar([j + 0.35 * i for j in range(3)], found, 0.33, label="with flips" if flip else "without flips")
    axes[2].set(title="accuracy", xticks=[0.17, 1.17, 2.17], xticklabels=["training", "same side", "opposite"])
    axes[2].legend(fontsize=7, loc="lower left")
    figure.savefig(IMAGES / "spurious-correlation.png", dpi=100)


if __name__ == "__main__":
    optimizers()
    initialization()
    spurious_correlation()
    batch_norm()
