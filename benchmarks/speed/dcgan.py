"""DCGAN on 32×32 color images with batches of 64: steps per second, each a step of the critic and the generator.

    python benchmarks/speed/dcgan.py [--quick]

The engine of Thalweg is compared with a bare loop and with the trainer of torchgan. Torchgan has an environment of its
own, which the first run creates; if it cannot be installed, a message says so and its lines are left out. All
contenders have the same layers and Adam. The bare loop is written for speed: tensors in memory, fused optimizers, no
gradients that are not used.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from engine import ours
from harness import alternate, quick, report
from peers import ADVERSARIAL, interpreter, theirs
from torch.nn.functional import softplus

from thalweg.config import TrainConfig
from thalweg.data import Spec, Split
from thalweg.models.gans.dcgan import conv_networks

B, N, STEPS = 64, 10_000, 10 if quick() else 100
SPEC = Spec(name="pixels", kind="image", shape=(3, 32, 32), levels=256, mean=(127.5,) * 3, std=(73.9,) * 3)
X = np.random.default_rng(0).integers(0, 256, (N, 3, 32, 32), dtype=np.uint8)


def bare(layout: torch.memory_format, bf16: bool = False) -> Callable[[], float]:
    """Return a contender: the bare loop."""
    data = torch.from_numpy(X).float() / 127.5 - 1

    def go() -> float:
        torch.manual_seed(0)
        generator, critic = (network.to(memory_format=layout) for network in conv_networks(SPEC.shape, 100, 256))
        of_generator, of_critic = (
            torch.optim.Adam(network.parameters(), 2e-4, betas=(0.5, 0.999), fused=True)
            for network in (generator, critic)
        )
        torch.set_float32_matmul_precision("medium")
        order = torch.randperm(N)
        began = time.perf_counter()
        for step in range(STEPS):
            real = data[order[B * step : B * (step + 1)]]
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                with torch.no_grad():
                    fake = generator(torch.randn(B, 100))
                loss = (softplus(-critic(real).float()) + softplus(critic(fake).float())).mean()
            of_critic.zero_grad()
            loss.backward()
            of_critic.step()
            critic.requires_grad_(False)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = softplus(-critic(generator(torch.randn(B, 100))).float()).mean()
            of_generator.zero_grad()
            loss.backward()
            of_generator.step()
            critic.requires_grad_(True)
        seconds = time.perf_counter() - began
        torch.set_float32_matmul_precision("highest")
        return STEPS / seconds

    return go


def main() -> None:
    """Compare all contenders."""
    settings = {"steps": STEPS, "batch_size": B, "ema": 0.0, "device": "cpu"}
    data = {"spec": SPEC, "split": Split(X)}
    contenders: dict[str, Callable[[], float]] = {
        "thalweg": ours("dcgan", STEPS, TrainConfig(**settings), **data),
        "thalweg bf16": ours("dcgan", STEPS, TrainConfig(precision="bf16", **settings), **data),
        "bare loop": bare(torch.contiguous_format),
        "bare loop, channels_last": bare(torch.channels_last),
        "bare loop, channels_last, bf16": bare(torch.channels_last, bf16=True),
    }
    compared = {
        f"{mine} / {other}": (mine, other, 0.95)
        for mine, other in (
            ("thalweg", "bare loop"),
            ("thalweg", "bare loop, channels_last"),
            ("thalweg bf16", "bare loop, channels_last, bf16"),
        )
    }
    peer = theirs(interpreter(*ADVERSARIAL), "torchgan", "peer_torchgan.py", str(STEPS))
    if peer:
        contenders["torchgan"] = lambda: peer()[0]
        compared["thalweg / torchgan"] = ("thalweg", "torchgan", 1.2)
        compared["thalweg bf16 / torchgan"] = ("thalweg bf16", "torchgan", 1.9)
    report("dcgan", "steps/s", alternate(contenders, rounds=3 if quick() else 7), compared)


if __name__ == "__main__":
    main()
