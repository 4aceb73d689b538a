"""The cost of spectral normalization in a step of the critic: Thalweg's and PyTorch's, beside the critic without it.

    python benchmarks/speed/spectral.py [--quick]

A step of the critic on a batch of 64 generates examples, computes the loss and its gradient, and updates by a fused
Adam, with the engine's precision of float32 products. Images have 32×32 pixels in color and a convolutional critic;
vectors have two values and a critic with three hidden layers of 256. Each layer takes one step of power iteration per
forward pass in training.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from harness import alternate, quick, report
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from thalweg.devices import fast_matmul
from thalweg.models.gans.dcgan import conv_networks
from thalweg.models.gans.gan import GAN, dense_networks
from thalweg.nn.spectral import normalize_spectrally
from thalweg.objectives.adversarial import hinge
from thalweg.problems.adversarial import AdversarialGame
from thalweg.training.problem import Batch

B = 64


def torchs(network: nn.Module) -> None:
    """Normalize every layer by the parametrization of PyTorch."""
    for layer in list(network.modules()):
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            spectral_norm(layer)


def critic_step(images: bool, normalize: Callable[[nn.Module], object], steps: int) -> Callable[[], float]:
    """Return a contender: steps of the critic per second."""
    torch.manual_seed(0)
    if images:
        shape: tuple[int, ...] = (3, 32, 32)
        model = GAN(conv_networks(shape, 64, 256, batch_norm=False), shape, latent_dim=64, levels=256)
    else:
        shape, scale = (2,), {"mean": [0.0, 0.0], "std": [1.0, 1.0]}
        model = GAN(dense_networks(shape, 64, 256), shape, latent_dim=64, **scale)
    normalize(model.critic)
    if images:
        model.to(memory_format=torch.channels_last)
    x: Any = torch.randint(256, (B, *shape), dtype=torch.uint8) if images else torch.randn(B, *shape)
    game, parameters = AdversarialGame(model, hinge()), list(model.critic.parameters())
    optimizer = torch.optim.Adam(parameters, 2e-4, betas=(0.0, 0.9), fused=True)

    def go() -> float:
        with fast_matmul(torch.device("cpu")):
            began = time.perf_counter()
            for step in range(steps):
                optimizer.zero_grad()
                game.loss("critic", Batch(x, seed=step)).values.mean().backward(inputs=parameters)
                optimizer.step()
            return steps / (time.perf_counter() - began)

    return go


def main() -> None:
    """Compare the contenders for both critics."""
    for name, images, steps in (("convolutions", True, 20), ("vectors", False, 500)):
        steps //= 5 if quick() else 1
        contenders = {
            "without": critic_step(images, lambda network: None, steps),
            "thalweg": critic_step(images, normalize_spectrally, steps),
            "torch": critic_step(images, torchs, steps),
        }
        compared = {
            "thalweg / without": ("thalweg", "without", 1 / 1.1),
            "thalweg / torch": ("thalweg", "torch", 1 / 1.15),
        }
        report(f"spectral-{name}", "steps/s", alternate(contenders, rounds=3 if quick() else 7), compared)


if __name__ == "__main__":
    main()
