"""Mixtures of two images and of their labels: mixup and CutMix."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from thalweg.batch import Batch
from thalweg.randomness import fold

__all__ = ["mixed"]


def mixed(batch: Batch, *, classes: int, mixup: float = 0.0, cutmix: float = 0.0) -> Batch:
    """Mix each image with its neighbor in the batch, 2k with 2k + 1, and the labels as probabilities (B, K).

    The share λ of the own image is drawn from Beta(α, α), once per batch as in both papers. mixup gives λx + (1 − λ)x'
    and the label λy + (1 − λ)y', CutMix replaces a rectangle of area about 1 − λ by that of the neighbor; it is cut off
    at the edges, and its actual area is the share of the neighbor's label. With both, each batch has one of them with
    probability 1/2. The last example of a batch of odd size stays as it is. Integer images are rounded.

    Examples must come in a random order, so that neighbors are random pairs. Raises ValueError if the batch has class
    indices no more, or if a pair would be in two processes.

    >>> batch = Batch(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1), torch.tensor([0, 1]))
    >>> mix = mixed(batch, classes=2, mixup=1.0)
    >>> bool(torch.allclose(mix.x.flatten(), mix.y[:, 1]))  # the share of class 1 is the share of the second image
    True
    """
    x, y = batch.x, batch.y
    if y is None or y.is_floating_point() or y.ndim != 1:
        raise ValueError("mixup, cutmix: got no class indices (B,), wanted labels that are not mixed yet")
    start, stop, total = batch.rows or (0, len(x), len(x))
    if start % 2 or (stop % 2 and stop != total):
        raise ValueError(
            f"mixup, cutmix: got rows {start} to {stop - 1} of {total} in one process, wanted an even number for each"
        )
    draw = random.Random(fold(batch.seed, "mixing"))  # numbers on the host: a box is then a slice
    pasted = cutmix > 0 and (mixup == 0 or draw.random() < 0.5)
    share = draw.betavariate(cutmix, cutmix) if pasted else draw.betavariate(mixup, mixup)
    partner = _neighbors(len(x), x.device)
    labels = F.one_hot(y, classes).float()
    if pasted:
        top, bottom, left, right = _box(draw, share, x.shape[2], x.shape[3])
        share = 1 - (bottom - top) * (right - left) / (x.shape[2] * x.shape[3])
        own, x = x, x.clone()
        x[:, :, top:bottom, left:right] = own[partner][:, :, top:bottom, left:right]
    else:
        values = x if x.is_floating_point() else x.float()
        values = share * values + (1 - share) * values[partner]
        x = values if x.is_floating_point() else values.round().to(x.dtype)
    return replace(batch, x=x, y=share * labels + (1 - share) * labels[partner])


def _neighbors(n: int, device: torch.device) -> Tensor:
    """Return 1, 0, 3, 2, ...; the last of an odd number is its own neighbor."""
    return (torch.arange(n, device=device) ^ 1).clamp_(max=n - 1)


def _box(draw: random.Random, share: float, height: int, width: int) -> tuple[int, int, int, int]:
    """Return a rectangle with the shape of the image and about 1 − share of its area, cut off at the edges."""
    edges = []
    for side in (height, width):
        length, center = int(side * math.sqrt(1 - share)), draw.randrange(side)
        first = center - length // 2
        edges += [max(first, 0), min(first + length, side)]
    return edges[0], edges[1], edges[2], edges[3]
