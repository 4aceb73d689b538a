"""Divergences of two Gaussians with independent coordinates, in closed form where there is one."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from thalweg.checks import choice
from thalweg.objectives.f_divergence import F_DIVERGENCES, f_divergence

__all__ = ["gaussian_divergence"]

MAX_DISTANCE = 40.0  # range of the quadrature in standard deviations: log-densities reach −700


def gaussian_divergence(name: str, p: Normal, q: Normal) -> Tensor:
    """Return D_f(p‖q), nats, of N(μ, diag σ²) given as Normal(μ, σ), coordinates last.

    KL both ways, Jeffreys, squared Hellinger, Pearson and Neyman are closed forms for any number of coordinates;
    the total variation, JS and `gan` = 2 JS of one pair of scalar Gaussians are computed by quadrature in float64.

    Raises ValueError for these three divergences of several coordinates or of several pairs.

    >>> gaussian_divergence("kl", Normal(torch.zeros(1), 1.0), Normal(torch.ones(1), 2.0))
    tensor(0.4431)
    """
    choice("divergence", name, F_DIVERGENCES)
    if name == "kl":
        return kl_divergence(p, q).sum(-1)
    if name == "reverse-kl":
        return kl_divergence(q, p).sum(-1)
    if name == "jeffreys":
        return (kl_divergence(p, q) + kl_divergence(q, p)).sum(-1)
    if name == "squared-hellinger":
        return -2 * torch.expm1(_log_affinity(p, q).sum(-1))
    if name == "pearson":
        return torch.expm1(_log_second_moment(p, q).sum(-1))
    if name == "neyman":
        return torch.expm1(_log_second_moment(q, p).sum(-1))
    normals = []
    for normal in (p, q):
        if normal.loc.numel() != 1:
            got = tuple(normal.loc.shape)
            raise ValueError(f"{name}: got Gaussians of shape {got}, wanted one coordinate (there is no closed form)")
        mean, std = (number.to("cpu", torch.float64).reshape(()) for number in (normal.loc, normal.scale))
        normals.append(Normal(mean, std))
    # Piecewise, so that a Gaussian that is much narrower than the other, or far from it, has enough points.
    ends = sorted((normal.loc + side * MAX_DISTANCE * normal.scale).item() for normal in normals for side in (-1, 1))
    pieces = [
        f_divergence(name).densities(normals[0].log_prob, normals[1].log_prob, low, high, points=200_001)
        for low, high in pairwise(ends)
    ]
    return torch.stack(pieces).sum().to(p.loc)


def _log_affinity(p: Normal, q: Normal) -> Tensor:
    """log ∫ √(pq) per coordinate."""
    total = p.variance + q.variance
    return 0.5 * (2 * p.scale * q.scale / total).log() - 0.25 * (p.loc - q.loc).square() / total


def _log_second_moment(p: Normal, q: Normal) -> Tensor:
    """log ∫ p²/q per coordinate; +∞ where the tails of q are too light."""
    room = 2 * q.variance - p.variance
    inside = room.clamp(min=torch.finfo(room.dtype).tiny)
    value = (q.variance / (p.scale * inside.sqrt())).log() + (p.loc - q.loc).square() / inside
    return torch.where(room > 0, value, math.inf)
