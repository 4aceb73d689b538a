"""Sampling 28×28 images of 256 levels from a gated PixelCNN: cached features beside a full pass for every pixel.

    python benchmarks/speed/pixelcnn.py [--quick]

Rates are pixels per second. Thalweg samples whole images; the full passes are timed on 14 pixels only, since each of
them costs the same. Both must draw the same levels from the same noise; this is checked on the first two rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from harness import alternate, quick, report
from torch import Tensor

from thalweg.models.autoregressive.cached import cached_sample, draw_level
from thalweg.models.autoregressive.pixelcnn import PixelCNN

SIDE, PASSES = 28, 14


def full_passes(model: PixelCNN, noise: Tensor, pixels: int) -> Tensor:
    """Return the levels of the first pixels, with a full pass over the image for each."""
    symbols = torch.zeros(noise.shape, dtype=torch.int64)
    with torch.no_grad():
        for i in range(pixels):
            r, c = divmod(i, SIDE)
            symbols[:, 0, r, c] = draw_level(model(symbols)[:, :, 0, r, c], noise[:, 0, r, c])
    return symbols


def rate(work: Callable[[], object], pixels: int) -> Callable[[], float]:
    """Return a contender: pixels per second."""

    def go() -> float:
        began = time.perf_counter()
        work()
        return pixels / (time.perf_counter() - began)

    return go


if __name__ == "__main__":
    torch.manual_seed(0)
    model = PixelCNN((1, SIDE, SIDE), 256).eval()
    contenders: dict[str, Callable[[], float]] = {}
    compared = {}
    for n in (1,) if quick() else (1, 16, 64):
        noise = torch.rand(n, 1, SIDE, SIDE)
        whole = cached_sample(model, noise)
        assert torch.equal(whole[:, :, :2], full_passes(model, noise, 2 * SIDE)[:, :, :2])
        ours, theirs = f"thalweg, {n} at once", f"a full pass a pixel, {n} at once"
        contenders[ours] = rate(lambda noise=noise: cached_sample(model, noise), n * SIDE * SIDE)  # type: ignore[misc]
        contenders[theirs] = rate(lambda noise=noise: full_passes(model, noise, PASSES), n * PASSES)  # type: ignore[misc]
        compared[f"kept features / full passes, {n} at once"] = (ours, theirs, 10.0)
    report("pixelcnn", "pixels/s", alternate(contenders, rounds=3 if quick() else 7), compared)
