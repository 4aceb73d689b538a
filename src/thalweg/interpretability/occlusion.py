"""Occlusion: what the network says when a patch of the image is covered, for every position of the patch."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from thalweg.checks import choice, positive
from thalweg.interpretability.layers import activations_of
from thalweg.interpretability.state import frozen

if TYPE_CHECKING:
    from thalweg.interpretability.network import Network, Progress, Target
    from thalweg.interpretability.result import Explanation

__all__ = ["FILLS", "blurred", "occlusion", "windows"]

FILLS = ("gray", "zero", "blur")
BLUR = 1 / 8  # standard deviation of the blur, in sides of the image


def occlusion(
    probe: Network,
    x: Tensor,
    target: Target = None,
    *,
    size: int | None = None,
    stride: int | None = None,
    fill: str | float = "gray",
    layer: str | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Return, for every position of a covered square, the probability of the class, (B, P, Q).

    The square has sides of `size` pixels, by default a quarter of the image, and moves by `stride`, by default half of
    it; the last position ends at the border. Covered pixels are gray (1/2), zero, a strongly blurred image, or a
    number in [0, 1].

    In `extra` are Zeiler's other two maps and an attribution: "class", the most probable class (B, P, Q); with `layer`,
    "feature map", the sum of the channel's positive activations (B, P, Q), where the channel is the selected one or,
    by default, for each image the one with the largest sum, whose number is "channel" (B,); "attribution" (B, H, W),
    the mean of S(x) − S(covered x) over the positions that cover a pixel, for the score S before the softmax.

    Reference: *Visualizing and Understanding Convolutional Networks*, Matthew Zeiler, Rob Fergus, 2013,
    arXiv:1311.2901.
    """
    x = probe.images(x)
    side = min(x.shape[2:])
    size = max(1, side // 4) if size is None else positive("size", size)
    stride = max(1, size // 2) if stride is None else positive("stride", stride)
    if size > side:
        raise ValueError(f"size: got {size}, wanted at most {side}, the side of the images")
    masks, grid = windows(tuple(x.shape[2:]), size, stride)
    masks = masks.to(x.device)
    selector = probe.selector(layer) if layer else None
    names = [selector.layer] if selector else []
    probability, label, feature, channels, targets, certain = [], [], [], [], [], []
    attribution = torch.zeros(len(x), *x.shape[2:], device=x.device)
    network = nullcontext() if selector else probe.fast()
    with frozen(probe.model), torch.no_grad(), network, activations_of(probe.model, names) as kept:
        chunk = probe.chunk_size(x)
        for i, image in enumerate(x):
            scores = probe.scores(image[None])
            chosen = probe.targets(scores, probe.part(target, slice(i, i + 1), len(x)))[0]
            channel = None
            if selector:
                channel = _channel(kept[selector.layer]) if selector.channel is None else selector.channel
                channels.append(channel)
            covered = _fill(image, fill)
            rows = []
            for part in masks.split(chunk):
                rows.append(
                    probe.scores(torch.where(part[:, None], covered, image).to(memory_format=torch.channels_last))
                )
                if selector:
                    feature.append(kept[selector.layer][:, channel].clamp(min=0).reshape(len(part), -1).sum(1))
            if progress:
                progress(i + 1, len(x))
            out = torch.cat(rows)
            probability.append(out.softmax(1)[:, chosen])
            label.append(out.argmax(1))
            drop = scores[0, chosen] - out[:, chosen]
            attribution[i] = (masks * drop[:, None, None]).sum(0) / masks.sum(0).clamp(min=1)
            targets.append(int(chosen))
            certain.append(float(scores.softmax(1)[0, chosen]))
    extra = {"class": torch.stack(label).view(-1, *grid).cpu(), "attribution": attribution.cpu()}
    if selector:
        extra |= {"feature map": torch.cat(feature).view(-1, *grid).cpu(), "channel": torch.tensor(channels)}
    settings = {"size": size, "stride": stride, "fill": fill} | ({"layer": layer} if layer else {})
    return probe.result("occlusion", torch.stack(probability).view(-1, *grid), x, target=tuple(targets),
                        probability=tuple(certain), settings=settings, extra=extra)  # fmt: skip


def windows(shape: tuple[int, ...], size: int, stride: int) -> tuple[Tensor, tuple[int, int]]:
    """Return the masks (P·Q, H, W) of all positions of a square, and (P, Q).

    >>> masks, grid = windows((4, 5), size=2, stride=2)
    >>> grid, masks[-1].nonzero().tolist()
    ((2, 3), [[2, 3], [2, 4], [3, 3], [3, 4]])
    """
    starts = [[*range(0, side - size, stride), side - size] for side in shape]
    axes = []
    for side, firsts in zip(shape, starts, strict=True):
        places, first = torch.arange(side), torch.tensor(firsts)[:, None]
        axes.append((places >= first) & (places < first + size))
    masks = axes[0][:, None, :, None] & axes[1][None, :, None, :]
    return masks.flatten(0, 1), (len(starts[0]), len(starts[1]))


def _channel(activation: Tensor) -> int:
    """Return the channel of one image with the largest sum of positive activations."""
    return int(activation[0].clamp(min=0).reshape(activation.shape[1], -1).sum(1).argmax())


def _fill(image: Tensor, fill: str | float) -> Tensor:
    """Return what a covered pixel shows, (C, H, W)."""
    if isinstance(fill, str):
        choice("fill", fill, FILLS)
        if fill == "blur":
            return blurred(image, BLUR * min(image.shape[1:]))
        return torch.full_like(image, 0.5 if fill == "gray" else 0.0)
    if not 0 <= fill <= 1:
        raise ValueError(f"fill: got {fill}, wanted gray, zero, blur or a number in [0, 1]")
    return torch.full_like(image, float(fill))


def blurred(image: Tensor, sigma: float) -> Tensor:
    """Return the image convolved with a Gaussian; at the border the kernel is normalized over the pixels inside."""
    reach = max(1, round(3 * sigma))
    places = torch.arange(-reach, reach + 1, device=image.device)
    kernel = torch.exp(-0.5 * (places / sigma) ** 2).to(image)
    kernel = kernel / kernel.sum()
    both = torch.stack([image, torch.ones_like(image)]).flatten(0, 1)[:, None]
    both = F.conv2d(F.conv2d(both, kernel.view(1, 1, -1, 1), padding=(reach, 0)), kernel.view(1, 1, 1, -1),
                    padding=(0, reach))  # fmt: skip
    values, weights = both[:, 0].chunk(2)
    return values / weights
