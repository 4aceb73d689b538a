"""Convolutional encoders and decoders for images of any size from 8×8, odd sizes included."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from thalweg.nn.dense import he_initialize

__all__ = ["conv_decoder", "conv_encoder", "halvings"]

SMALLEST = 8


def halvings(height: int, width: int, min_side: int = 4) -> list[tuple[int, int]]:
    """Return the sizes of an image that is halved, rounding up, until no side is above `min_side`.

    >>> halvings(28, 28)
    [(28, 28), (14, 14), (7, 7), (4, 4)]
    """
    if min(height, width) < SMALLEST:
        raise ValueError(f"image: got {height}×{width}, wanted at least {SMALLEST}×{SMALLEST}")
    sizes = [(height, width)]
    while max(sizes[-1]) > min_side:
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes


def _channels(count: int, base: int) -> list[int]:
    return [min(base * 2**i, 8 * base) for i in range(count)]


def conv_encoder(
    shape: Sequence[int], features: int, base: int = 32, hidden: int = 256, last_gain: float = 1.0
) -> nn.Sequential:
    """Strided 3×3 convolutions that halve an image (C, H, W) down to 4×4, then two linear layers to `features`.

    Channels double from `base` up to 8·base. ReLU after every layer but the last.

    Raises ValueError for images below 8×8.

    >>> import torch
    >>> conv_encoder((1, 9, 8), features=5)(torch.zeros(2, 1, 9, 8)).shape
    torch.Size([2, 5])
    """
    sizes = halvings(shape[1], shape[2])
    channels = [shape[0], *_channels(len(sizes) - 1, base)]
    layers: list[nn.Module] = []
    for c_in, c_out in pairwise(channels):
        layers += [nn.Conv2d(c_in, c_out, 3, stride=2, padding=1), nn.ReLU()]
    flat = channels[-1] * sizes[-1][0] * sizes[-1][1]
    layers += [nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU(), nn.Linear(hidden, features)]
    network = nn.Sequential(*layers)
    he_initialize(network, last_gain)
    return network


def conv_decoder(
    features: int, shape: Sequence[int], base: int = 32, hidden: int = 256, last_gain: float = 1.0
) -> nn.Sequential:
    """The reverse of `conv_encoder`: two linear layers and transposed convolutions to an image (C, H, W).

    An even side is doubled by a kernel of size 4, an odd side n is computed from (n+1)/2 by a kernel of size 3, both
    with padding 1: sizes are exact, nothing is cropped.

    Raises ValueError for images below 8×8.

    >>> import torch
    >>> conv_decoder(5, (3, 9, 8))(torch.zeros(2, 5)).shape
    torch.Size([2, 3, 9, 8])
    """
    sizes = halvings(shape[1], shape[2])[::-1]
    channels = [*_channels(len(sizes) - 1, base)[::-1], shape[0]]
    first = (channels[0], *sizes[0])
    layers: list[nn.Module] = [nn.Linear(features, hidden), nn.ReLU()]
    layers += [nn.Linear(hidden, first[0] * first[1] * first[2]), nn.ReLU(), nn.Unflatten(1, first)]
    for i, (height, width) in enumerate(sizes[1:]):
        kernel = (4 - height % 2, 4 - width % 2)
        layers += [nn.ConvTranspose2d(channels[i], channels[i + 1], kernel, stride=2, padding=1), nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    he_initialize(network, last_gain)
    return network
