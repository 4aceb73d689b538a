"""Log-likelihoods per example, summed over its values: `(B, ...)` → `(B,)` nats."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

__all__ = ["bernoulli_log_prob", "discretized_logistic_log_prob", "gaussian_log_prob"]

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


def bernoulli_log_prob(x: Float[Tensor, B * shape], logits: Float[Tensor, B * shape]) -> Float[Tensor, " B"]:
    """Log-probability of binary data, Σ x·l − log(1 + eˡ), from logits l.

    >>> round(float(bernoulli_log_prob(torch.ones(1, 1), torch.zeros(1, 1))), 6)  # log ½
    -0.693147
    """
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


def gaussian_log_prob(
    x: Float[Tensor, B * shape], mean: Float[Tensor, B * shape], log_sigma: Tensor
) -> Float[Tensor, " B"]:
    """Log-density of independent Gaussians, Σ −½((x−μ)/σ)² − log σ − ½ log 2π; `log_sigma` broadcasts.

    The term −n log σ is included: without it a learned σ has no optimum.

    >>> round(float(gaussian_log_prob(torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(()))), 6)
    -0.918939
    """
    z = (x - mean) * (-log_sigma).exp()
    return (-0.5 * z * z - (log_sigma + HALF_LOG_2PI)).flatten(1).sum(1)


def discretized_logistic_log_prob(
    x: Float[Tensor, B * shape],
    mean: Float[Tensor, B * shape],
    log_scale: Tensor,
    *,
    half_bin: Tensor,
    lowest: Tensor,
    highest: Tensor,
) -> Float[Tensor, " B"]:
    """Exact log-probability of evenly spaced levels: a logistic distribution, integrated over bins.

    The first and the last bin include the tails.

    P(x) = σ(b) − σ(a) with a, b = (x ∓ half_bin − μ)/s; a = −∞ at the lowest level, b = ∞ at the highest. Computed
    as log σ(b) + log σ(−a) + log(1 − e^(a−b)), which is accurate in the tails.

    All arguments are in the same unit, in which levels are 2·half_bin apart. `lowest` and `highest` are the edge
    levels.

    Reference: *PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood and Other
    Modifications*, Tim Salimans, Andrej Karpathy, Xi Chen, Diederik P. Kingma, 2017, arXiv:1701.05517.

    >>> levels = torch.arange(5.0)[:, None]
    >>> edge, half = torch.tensor([0.0, 4.0]), torch.tensor(0.5)
    >>> p = discretized_logistic_log_prob(
    ...     levels, torch.tensor(1.3), torch.tensor(0.2), half_bin=half, lowest=edge[0], highest=edge[1]
    ... )
    >>> round(float(p.exp().sum()), 6)
    1.0
    """
    inverse = (-log_scale).exp()
    centered, half = (x - mean) * inverse, half_bin * inverse
    not_lowest, not_highest = x > lowest + half_bin, x < highest - half_bin
    below = F.softplus(centered - half) * not_lowest  # −log σ(−a)
    above = F.softplus(-centered - half) * not_highest  # −log σ(b)
    width = torch.log(-torch.expm1(-2.0 * half)) * (not_lowest & not_highest)
    return (width - below - above).flatten(1).sum(1)
