"""The MLP VAE (784-512-20, batch 128): images per second against Pythae and the classic DataLoader loop.

    python benchmarks/speed/vae.py [--quick]

Pythae has an environment of its own, which the first run creates; if it cannot be installed, a message says so and its
lines are left out. "shipped": with Pythae's default settings. "equal": with Thalweg's precision of float32 products and
a fused Adam. Every contender has Pythae's default widths.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from engine import B, N, X, ours
from harness import alternate, quick, report
from peers import AUTOENCODERS, interpreter, theirs
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from thalweg.config import TrainConfig

STEPS = N // B


class Scans(Dataset):
    """Images as the VAE example of PyTorch reads MNIST: each item is a PIL image that becomes a tensor in [0, 1]."""

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> torch.Tensor:
        image = Image.fromarray(X[i, 0])
        return torch.from_numpy(np.array(image, np.uint8, copy=True)).view(1, 28, 28).to(torch.float32).div(255)


def classic() -> float:
    """Train as most tutorials do: a DataLoader over items, Adam, the default precision of float32 products."""
    loader = DataLoader(Scans(), batch_size=B, shuffle=True, drop_last=True)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 40))
    decoder = nn.Sequential(nn.Linear(20, 512), nn.ReLU(), nn.Linear(512, 784))
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    began = time.perf_counter()
    for x in loader:
        mean, log_var = encoder(x).chunk(2, dim=1)
        logits = decoder(mean + torch.randn_like(mean) * (0.5 * log_var).exp())
        reconstruction = F.binary_cross_entropy_with_logits(logits, x.flatten(1), reduction="sum")
        loss = (reconstruction - 0.5 * (1 + log_var - mean.square() - log_var.exp()).sum()) / len(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return STEPS * B / (time.perf_counter() - began)


def main() -> None:
    """Compare all contenders."""
    adam = {"optimizer": "adam", "lr": 1e-3, "batch_size": B, "steps": STEPS, "device": "cpu"}
    options = {"likelihood": "bernoulli", "architecture": "dense", "hidden": 512}

    def images(run: Callable[[], float]) -> Callable[[], float]:
        return lambda: run() * B

    contenders: dict[str, Callable[[], float]] = {
        "thalweg": images(ours("vae", STEPS, TrainConfig(**adam), **options)),
        "thalweg bf16": images(ours("vae", STEPS, TrainConfig(precision="bf16", **adam), **options)),
        "classic DataLoader loop": classic,
    }
    compared = {"thalweg / classic loop": ("thalweg", "classic DataLoader loop", 2.5)}
    for mode, goal in (("shipped", 2.0), ("equal", 1.4)):
        peer = theirs(interpreter(*AUTOENCODERS), "pythae", "peer_pythae.py", mode)
        if peer:
            contenders[f"pythae, {mode}"] = lambda peer=peer: peer()[0]  # type: ignore[misc]
            compared[f"thalweg / pythae, {mode}"] = ("thalweg", f"pythae, {mode}", goal)
    if "pythae, shipped" in contenders:
        compared["thalweg bf16 / pythae, shipped"] = ("thalweg bf16", "pythae, shipped", 2.4)
    report("vae", "images/s", alternate(contenders, rounds=3 if quick() else 7), compared)


if __name__ == "__main__":
    sys.exit(main())
