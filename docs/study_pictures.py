"""Draw the pictures of optimizers on a quadratic, and of batch normalization.

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

from thalweg.config import OptimizerConfig
from thalweg.demos.batch_norm import only_normalization, perceptron, smoothness, train
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


if __name__ == "__main__":
    optimizers()
    batch_norm()
