"""Initial centers of a mixture: k-means++ and k-means."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["k_means"]


def k_means(y: Float[Tensor, "B D"], count: int, keys: Float[Tensor, "B K"], *, rounds: int = 50) -> Int[Tensor, " B"]:
    """Return the index of the nearest of `count` centers for each example.

    The initialization is random, by the uniform `keys`, one column per center.

    The next center is an example, drawn with a probability proportional to its squared distance to the nearest center
    so far: of 2 + ln K candidates drawn without replacement, the one with the smallest remaining sum of squared
    distances. Then the centers are moved to the means of the examples nearest to them, repeatedly.

    Reference: *k-means++: The Advantages of Careful Seeding*, David Arthur, Sergei Vassilvitskii, 2007.

    >>> keys = torch.rand(6, 2, generator=torch.Generator().manual_seed(0))
    >>> nearest = k_means(torch.tensor([0.0, 0.1, 0.2, 5.0, 5.1, 5.2])[:, None], 2, keys)
    >>> bool(nearest[0] != nearest[3]), nearest.bincount().tolist()
    (True, [3, 3])
    """
    gumbel = -(-keys.to(y.dtype).log()).log()  # the index of the largest log p + Gumbel noise is a sample from p
    centers = y[gumbel[:, 0].argmax()][None]
    nearest, trials = _squared(y, centers)[:, 0], min(2 + int(math.log(count)), len(y))
    for k in range(1, count):
        candidates = y[(nearest.log() + gumbel[:, k]).topk(trials).indices]
        left = torch.minimum(nearest[:, None], _squared(y, candidates))
        best = left.sum(0).argmin()
        centers, nearest = torch.cat([centers, candidates[best][None]]), left[:, best]
    own = _squared(y, centers).argmin(1)
    for _ in range(rounds):
        member = torch.nn.functional.one_hot(own, count).to(y.dtype)
        size = member.sum(0)[:, None]
        centers = torch.where(size > 0, member.T @ y / size.clamp(min=1), centers)
        before, own = own, _squared(y, centers).argmin(1)
        if torch.equal(before, own):
            break
    return own


def _squared(y: Tensor, centers: Tensor) -> Float[Tensor, "B K"]:
    squared = y.square().sum(1, keepdim=True) + centers.square().sum(1) - 2 * y @ centers.T
    return squared.clamp(min=0)
