"""Networks of strided convolutions, for images of any size."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from thalweg.models.gans.gan import Networks
from thalweg.nn.conv import halvings

__all__ = ["conv_networks"]


def conv_networks(shape: Sequence[int], latent_dim: int, hidden: int = 128, batch_norm: bool = True) -> Networks:
    """Strided convolutions as in DCGAN, for images (C, H, W) of any size from 8×8, weights from N(0, 0.02²).

    With `batch_norm` both use batch normalization, except for the critic's first layer and the generator's last.
    Otherwise the generator uses group normalization, so that samples do not depend on each other, and the critic has no
    normalization, which would invalidate bounds on its slope.

    The smallest feature map, 4×4 (2×2 for images up to 16×16), has `hidden` channels; each doubling of the size halves
    their number, down to 8. Even sides are halved or doubled with a kernel of size 4, odd sides with a kernel of size
    3. The generator ends in tanh.

    Raises ValueError for images below 8×8.

    Reference: *Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks*, Alec
    Radford, Luke Metz, Soumith Chintala, 2016, arXiv:1511.06434.

    >>> import torch
    >>> generator, critic = conv_networks((3, 9, 8), latent_dim=2, hidden=16)
    >>> critic(generator(torch.zeros(5, 2))).shape
    torch.Size([5])
    """
    sizes = halvings(shape[1], shape[2], min_side=4 if max(shape[1:]) > 16 else 2)
    channels = [shape[0], *[max(hidden >> i, min(hidden, 8)) for i in reversed(range(len(sizes) - 1))]]
    down: list[nn.Module] = []
    up: list[nn.Module] = []
    for i, (height, width) in enumerate(sizes[:-1]):
        kernel = (4 - height % 2, 4 - width % 2)
        outer, inner = channels[i], channels[i + 1]
        down.append(nn.Conv2d(outer, inner, kernel, stride=2, padding=1))
        if batch_norm and i > 0:
            down.append(nn.BatchNorm2d(inner))
        down.append(nn.LeakyReLU(0.2))
        rise = nn.ConvTranspose2d(inner, outer, kernel, stride=2, padding=1)
        norm = nn.BatchNorm2d(inner) if batch_norm else nn.GroupNorm(math.gcd(8, inner), inner)
        up = [norm, nn.ReLU(), rise, *up]
    smallest = (channels[-1], *sizes[-1])
    flat = math.prod(smallest)
    generator = nn.Sequential(nn.Linear(latent_dim, flat), nn.Unflatten(1, smallest), *up)
    critic = nn.Sequential(*down, nn.Flatten(), nn.Linear(flat, 1), nn.Flatten(0))
    for layer in (*generator.modules(), *critic.modules()):
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
    return Networks(generator.append(nn.Tanh()), critic)
