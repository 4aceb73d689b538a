"""Sparsity penalties of codes."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from thalweg.checks import in_range

__all__ = ["activity_divergence", "l1_norm"]

CLOSE = 1e-6  # mean activations are clamped to [ε, 1 − ε], so that logarithms are finite


def l1_norm(code: Float[Tensor, "B d"]) -> Float[Tensor, " B"]:
    """Σ_j |z_j| of each code.

    >>> import torch
    >>> l1_norm(torch.tensor([[1.0, -2.0, 0.0]])).tolist()
    [3.0]
    """
    return code.float().abs().sum(1)


def activity_divergence(code: Float[Tensor, "B d"], target: float) -> Float[Tensor, ""]:
    """Σ_j KL(ρ ‖ ρ̂_j) in nats, with ρ̂_j the mean of z_j over the batch and ρ the `target`: for codes in [0, 1].

    KL(ρ‖ρ̂) = ρ log(ρ/ρ̂) + (1 − ρ) log((1 − ρ)/(1 − ρ̂)), between Bernoulli distributions; it is 0 where every unit
    has the mean activation ρ. It is not a mean over examples: the parts of a split batch have penalties of their own.

    Raises ValueError unless 0 < ρ < 1.

    >>> import torch
    >>> round(activity_divergence(torch.tensor([[0.25], [0.75]]), 0.25).item(), 6)
    0.130812
    """
    in_range("target", target, CLOSE, 1 - CLOSE)
    mean = code.float().mean(0).clamp(CLOSE, 1 - CLOSE)
    return (target * (target / mean).log() + (1 - target) * ((1 - target) / (1 - mean)).log()).sum()
