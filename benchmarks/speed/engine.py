"""Training by the engine of Thalweg beside a bare PyTorch loop, with equal layers, optimizer and data in memory.

    python benchmarks/speed/engine.py [--quick]

The engine does everything that `thalweg train` does within the loop: batches, seeds, losses, metrics.jsonl, the check
for finite losses. The bare loop is written for speed: tensors in memory, one permutation per epoch, a fused optimizer,
and the same float32 products by oneDNN.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from harness import alternate, quick, report
from torch import nn

from thalweg.config import TrainConfig
from thalweg.data import Batches, Spec, Split, class_target
from thalweg.recipes import recipe
from thalweg.training import RunFolder, Sources, train

B, N = 128, 60_000
SPEC = Spec(
    name="pixels",
    kind="image",
    shape=(1, 28, 28),
    levels=256,
    mean=(33.3,),
    std=(78.6,),
    target=class_target(tuple("0123456789")),
)
DRAW = np.random.default_rng(0)
X = (DRAW.random((N, 1, 28, 28)) ** 4 * 255).astype(np.uint8)
Y = DRAW.integers(0, 10, N)
SPLIT = Split(X, Y)


def ours(
    name: str, steps: int, settings: TrainConfig, *, spec: Spec = SPEC, split: Split = SPLIT, **options: object
) -> Callable[[], float]:
    """Return a contender that trains the recipe by the engine, with a run folder; its rate is steps per second."""

    def go() -> float:
        torch.manual_seed(0)
        run = recipe(name)(spec, **options).configured(settings)
        size = run.stages[0].batch_size
        batches = Batches(split, size, scheme="shuffled", seed=0, device="cpu", resident="yes")
        path = Path(tempfile.mkdtemp()) / "run"
        with RunFolder.create(path, {}) as folder:
            began = time.perf_counter()
            train(run, lambda stage, world: Sources(batches, []), settings, folder=folder)
            seconds = time.perf_counter() - began
        shutil.rmtree(path.parent)
        return steps / seconds

    return go


def bare(
    make: Callable[[], tuple[nn.Module, Callable, torch.optim.Optimizer, torch.Tensor]], steps: int
) -> Callable[[], float]:
    """Return a contender that is a bare loop over `loss(x, y)`."""

    def go() -> float:
        torch.manual_seed(0)
        _, loss, optimizer, x = make()
        y = torch.from_numpy(Y)
        torch.set_float32_matmul_precision("medium")
        began, done = time.perf_counter(), 0
        while done < steps:
            order = torch.randperm(N)
            for i in range(0, N - B + 1, B):
                index = order[i : i + B]
                value = loss(x[index], y[index])
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                done += 1
                if done == steps:
                    break
        seconds = time.perf_counter() - began
        torch.set_float32_matmul_precision("highest")
        return steps / seconds

    return go


def softmax_regression():
    model = nn.Linear(784, 10)
    x = torch.from_numpy(X).flatten(1).float() / 255
    return model, lambda x, y: F.cross_entropy(model(x), y), torch.optim.Adam(model.parameters(), 1e-3, fused=True), x


def lenet5():
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    x = torch.from_numpy(X).float() / 255
    return model, lambda x, y: F.cross_entropy(model(x), y), torch.optim.Adam(model.parameters(), 1e-3, fused=True), x


def vae():
    encoder = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40))
    decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784))
    model = nn.ModuleList([encoder, decoder])
    x = (torch.from_numpy(X).flatten(1) > 127).float()

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        mean, log_var = encoder(x).chunk(2, dim=1)
        logits = decoder(mean + torch.randn_like(mean) * (0.5 * log_var).exp())
        reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        kl = -0.5 * (1 + log_var - mean.square() - log_var.exp()).sum()
        return (reconstruction + kl) / len(x)

    return model, loss, torch.optim.Adam(model.parameters(), 1e-3, fused=True), x


def main() -> None:
    """Compare both loops on three recipes."""
    scale = 20 if quick() else 1
    adam = {"optimizer": "adam", "lr": 1e-3, "batch_size": B, "schedule": "constant", "weight_decay": 0.0, "ema": 0.0}
    lines = [
        ("softmax-regression", 8000, {}, softmax_regression),
        ("vae", 4000, {"likelihood": "bernoulli", "architecture": "dense"}, vae),
        ("lenet5", 800, {}, lenet5),
    ]
    for name, steps, options, make in lines:
        steps //= scale
        settings = TrainConfig(steps=steps, device="cpu", **adam)
        contenders = {"thalweg": ours(name, steps, settings, **options), "bare loop": bare(make, steps)}
        rates = alternate(contenders, rounds=3 if quick() else 7)
        report(f"engine-{name}", "steps/s", rates, {"thalweg / bare loop": ("thalweg", "bare loop", 0.95)})


if __name__ == "__main__":
    main()
