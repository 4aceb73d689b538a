"""Crop, flip and normalize batches of images by kornia; runs in the environment of kornia.

    python peer_kornia.py STEPS

Prints a rate in images per second for each line on stdin.
"""

from __future__ import annotations

import os
import sys
import time

import torch

B, N = 128, 20_000


def main() -> None:
    """Print a rate for each line on stdin."""
    out, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115
    import kornia.augmentation as K

    steps = int(sys.argv[1])
    x = torch.randint(0, 256, (N, 3, 32, 32), dtype=torch.uint8).float() / 255
    transform = K.AugmentationSequential(
        K.RandomCrop((32, 32), padding=4),
        K.RandomHorizontalFlip(p=0.5),
        K.Normalize(mean=torch.tensor([0.491, 0.482, 0.447]), std=torch.tensor([0.247, 0.243, 0.262])),
    )
    print("ready", file=out, flush=True)
    for _ in sys.stdin:
        order = torch.randperm(N)
        began = time.perf_counter()
        for step in range(steps):
            transform(x[order[B * step % N : B * step % N + B]])
        print(steps * B / (time.perf_counter() - began), file=out, flush=True)


if __name__ == "__main__":
    main()
