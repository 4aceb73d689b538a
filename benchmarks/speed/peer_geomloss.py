"""Compute the distance of two samples by geomloss; runs in the environment of geomloss.

    python peer_geomloss.py sinkhorn|gaussian N [gradient]

Prints a rate and the value per line on stdin. The backend is "tensorized": the other one needs pykeops.
"""

from __future__ import annotations

import os
import sys
import time

import numpy as np
import torch
from torch import Tensor

BLUR, SCALING, BANDWIDTH = 0.05, 0.5, 1.0


def points(n: int, d: int) -> tuple[Tensor, Tensor]:
    """Return two normal samples, equal in every process; the second has the mean 1 in every coordinate."""
    draw = np.random.default_rng(0)
    return tuple(torch.from_numpy(draw.standard_normal((n, d), np.float32) + shift) for shift in (0, 1))


def main() -> None:
    """Print a rate and a value for each line on stdin."""
    out, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115
    from geomloss import SamplesLoss

    x, y = points(int(sys.argv[2]), 2)
    if sys.argv[1] == "sinkhorn":
        loss, factor = SamplesLoss("sinkhorn", p=2, blur=BLUR, scaling=SCALING, backend="tensorized"), 1
    else:  # half of the biased MMD², which includes the terms k(x, x)
        loss, factor = SamplesLoss("gaussian", blur=BANDWIDTH, backend="tensorized"), 2
    if "gradient" in sys.argv:
        x.requires_grad_()
        y.requires_grad_()
    print("ready", file=out, flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        x.grad = y.grad = None
        value = loss(x, y)
        if x.requires_grad:
            value.backward()
        print(1 / (time.perf_counter() - began), factor * value.item(), file=out, flush=True)


if __name__ == "__main__":
    main()
