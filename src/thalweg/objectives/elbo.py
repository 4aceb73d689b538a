"""The evidence lower bound, ELBO = E_q log p(x|z) − KL(q(z|x) ‖ p(z)), and its parts."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["ElboTerms", "gaussian_kl", "reparameterize"]


class ElboTerms(NamedTuple):
    """One draw's estimate of each example's ELBO and its two terms, nats (B,): elbo = reconstruction − kl."""

    elbo: Tensor
    reconstruction: Tensor
    kl: Tensor


def gaussian_kl(mean: Float[Tensor, "B d"], log_sigma: Float[Tensor, "B d"]) -> Float[Tensor, " B"]:
    """KL(N(μ, diag σ²) ‖ N(0, I)) = ½ Σ (σ² + μ² − 1 − log σ²), in nats.

    Some lectures print the bracket without the ½, which trains with the KL counted twice.

    >>> round(float(gaussian_kl(torch.tensor([[1.0, -2.0]]), 0.5 * torch.tensor([[0.5, 2.0]]).log())), 6)
    2.75
    """
    return (0.5 * (torch.exp(2.0 * log_sigma) + mean * mean - 1.0) - log_sigma).sum(1)


def reparameterize(
    mean: Float[Tensor, "B d"], log_sigma: Float[Tensor, "B d"], eps: Float[Tensor, "B d"]
) -> Float[Tensor, "B d"]:
    """Return z = μ + σ·ε, a draw from N(μ, diag σ²) that is differentiable in μ and σ, for ε from N(0, I).

    >>> reparameterize(torch.ones(1, 1), torch.zeros(1, 1), torch.full((1, 1), 2.0)).item()
    3.0
    """
    return torch.addcmul(mean, log_sigma.exp(), eps)
