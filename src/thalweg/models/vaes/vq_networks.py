"""The networks of the VQ-VAEs: strided convolutions and residual blocks between data and a grid of vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from thalweg.nn.dense import he_initialize, mlp

__all__ = ["Residual", "dense_networks", "downward", "grid_sizes", "upward"]

HEAD_GAIN = 0.1  # initial scale of a decoder's last weights: p(x|z) starts near the mean of the data
SMALLEST = 8


class Residual(nn.Module):
    """x + conv1×1(ReLU(conv3×3(ReLU(x))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        return x + self.branch(x)

    def __repr__(self) -> str:
        return f"Residual({self.branch[1].in_channels})"


def grid_sizes(shape: Sequence[int], halvings: int) -> list[tuple[int, int]]:
    """Return the sizes of an image (C, H, W) that is halved that often, rounding up.

    Raises ValueError for images below 8×8.

    >>> grid_sizes((3, 128, 128), 2), grid_sizes((1, 9, 8), 1)
    ([(128, 128), (64, 64), (32, 32)], [(9, 8), (5, 4)])
    """
    if min(shape[1:]) < SMALLEST:
        raise ValueError(f"image: got {shape[1]}×{shape[2]}, wanted at least {SMALLEST}×{SMALLEST}")
    sizes = [(shape[1], shape[2])]
    for _ in range(halvings):
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes


def downward(inputs: int, outputs: int, hidden: int, sizes: Sequence[tuple[int, int]]) -> nn.Sequential:
    """A strided convolution for each halving of `sizes`, two residual blocks, and a 1×1 convolution to `outputs`.

    The kernel size is 4 along even sides and 3 along odd sides.

    >>> import torch
    >>> downward(1, 5, 16, [(9, 8), (5, 4)])(torch.zeros(2, 1, 9, 8)).shape
    torch.Size([2, 5, 5, 4])
    """
    layers: list[nn.Module] = []
    for i, (height, width) in enumerate(sizes[:-1]):
        layers += [nn.ReLU()] if i else []
        layers += [nn.Conv2d(hidden if i else inputs, hidden, _kernel(height, width), stride=2, padding=1)]
    network = nn.Sequential(*layers, Residual(hidden), Residual(hidden), nn.ReLU(), nn.Conv2d(hidden, outputs, 1))
    he_initialize(network)
    return network


def upward(
    inputs: int, outputs: int, hidden: int, sizes: Sequence[tuple[int, int]], last_gain: float = HEAD_GAIN
) -> nn.Sequential:
    """The reverse of `downward`: a 3×3 convolution, two residual blocks, a transposed convolution for each doubling.

    >>> import torch
    >>> upward(5, 3, 16, [(9, 8), (5, 4)])(torch.zeros(2, 5, 5, 4)).shape
    torch.Size([2, 3, 9, 8])
    """
    layers: list[nn.Module] = [nn.Conv2d(inputs, hidden, 3, padding=1), Residual(hidden), Residual(hidden)]
    for i, (height, width) in reversed(list(enumerate(sizes[:-1]))):
        rise = nn.ConvTranspose2d(hidden, hidden if i else outputs, _kernel(height, width), stride=2, padding=1)
        layers += [nn.ReLU(), rise]
    network = nn.Sequential(*layers)
    he_initialize(network, last_gain)
    return network


def _kernel(height: int, width: int) -> tuple[int, int]:
    return 4 - height % 2, 4 - width % 2


def dense_networks(
    shape: Sequence[int], outputs: int, dim: int, places: int, hidden: int
) -> tuple[nn.Module, nn.Module]:
    """Return encoder and decoder, two hidden layers each, between an example and vectors (B, dim, places)."""
    size = math.prod(shape)
    encoder = nn.Sequential(nn.Flatten(), *mlp((size, hidden, hidden, places * dim)), nn.Unflatten(1, (dim, places)))
    decoder = nn.Sequential(nn.Flatten(), *mlp((places * dim, hidden, hidden, outputs * size), last_gain=HEAD_GAIN))
    if len(shape) > 1:
        decoder.append(nn.Unflatten(1, (outputs * shape[0], *shape[1:])))
    return encoder, decoder
