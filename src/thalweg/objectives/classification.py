"""Losses of classifiers: the softmax function and the cross-entropy loss."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

__all__ = ["cross_entropy", "softmax"]


def softmax(scores: Float[Tensor, "*B K"]) -> Float[Tensor, "*B K"]:
    """Probabilities μ_i = e^{z_i}/Σ_j e^{z_j}, computed after subtracting the largest score, which avoids overflow.

    >>> [round(p, 4) for p in softmax(torch.tensor([1.0, 2.0, 3.0])).tolist()]
    [0.09, 0.2447, 0.6652]
    """
    return torch.softmax(scores, dim=-1)


def cross_entropy(
    logits: Float[Tensor, "B K"], labels: Int[Tensor, " B"] | Float[Tensor, "B K"], *, label_smoothing: float = 0.0
) -> Float[Tensor, " B"]:
    """Cross-entropy of the labels under softmax, ℓ(f, y) = −f_y + log Σ_j e^{f_j}, nats per sample, in float32.

    Labels may be probabilities p of the classes: ℓ(f, p) = Σ_k p_k ℓ(f, k). With `label_smoothing` s they are replaced
    by (1 − s)·p + s/K.

    >>> round(float(cross_entropy(torch.zeros(1, 10), torch.tensor([3]))), 6)  # log 10
    2.302585
    """
    labels = labels.float() if labels.is_floating_point() else labels
    return F.cross_entropy(logits.float(), labels, reduction="none", label_smoothing=label_smoothing)
