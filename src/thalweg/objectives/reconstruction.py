"""Reconstruction losses."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

__all__ = ["coin_cross_entropy", "squared_error"]


def squared_error(reconstruction: Float[Tensor, B * shape], target: Float[Tensor, B * shape]) -> Float[Tensor, " B"]:
    """Squared error ‖x̂ − x‖² of each example, summed over its values, in squared units of `target`.

    >>> import torch
    >>> squared_error(torch.zeros(1, 3), torch.tensor([[1.0, 2.0, 2.0]])).item()
    9.0
    """
    return (reconstruction.float() - target).square().flatten(1).sum(1)


def coin_cross_entropy(logits: Float[Tensor, B * shape], target: Float[Tensor, B * shape]) -> Float[Tensor, " B"]:
    """−Σ [t log σ(l) + (1 − t) log(1 − σ(l))] of each example, in nats, with targets t in [0, 1].

    The minimum, at σ(l) = t, is the entropy of Bernoulli(t), not 0.

    >>> import torch
    >>> round(coin_cross_entropy(torch.zeros(1, 2), torch.tensor([[0.3, 1.0]])).item(), 6)  # 2 log 2
    1.386294
    """
    losses = F.binary_cross_entropy_with_logits(logits.float(), target.float(), reduction="none")
    return losses.flatten(1).sum(1)
