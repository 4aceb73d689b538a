"""Entropy and cross-entropy of discrete distributions, in nats; `f_divergence("kl").discrete` is their difference."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["discrete_cross_entropy", "entropy"]


def discrete_cross_entropy(p: Float[Tensor, "*B K"], q: Float[Tensor, "*B K"]) -> Float[Tensor, "*B"]:
    """H(p, q) = −Σ_k p_k log q_k, ∞ where p_k > 0 = q_k.

    >>> discrete_cross_entropy(torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5]))  # log 2
    tensor(0.6931)
    """
    return -_p_log_q(p, q).sum(-1)


def entropy(p: Float[Tensor, "*B K"]) -> Float[Tensor, "*B"]:
    """H(p) = −Σ_k p_k log p_k, 0 ≤ H(p) ≤ log K.

    >>> entropy(torch.tensor([0.5, 0.5, 0.0]))  # log 2
    tensor(0.6931)
    """
    return -torch.xlogy(p, p).sum(-1)


def _p_log_q(p: Tensor, q: Tensor) -> Tensor:
    """Return p log q, and 0 where p is 0 with a gradient of 0 also for q = 0."""
    return torch.xlogy(p, torch.where(p > 0, q, 1.0))
