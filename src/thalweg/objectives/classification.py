"""Losses of classifiers: softmax and the cross-entropy, and losses of the margin (0-1, perceptron, hinge, logistic)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

__all__ = ["cross_entropy", "hinge", "logistic", "margins", "perceptron", "signs", "softmax", "zero_one"]


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


def signs(labels: Int[Tensor, " B"] | Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """Return labels of two classes, 0 and 1 or −1 and +1, as −1 and +1.

    >>> signs(torch.tensor([0, 1])).tolist(), signs(torch.tensor([-1, 1])).tolist()
    ([-1.0, 1.0], [-1.0, 1.0])
    """
    return (labels > 0).float() * 2 - 1


def margins(logits: Float[Tensor, "B K"], labels: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
    """Return m = f_y − max_{k≠y} f_k, in float32: positive where the prediction is the label.

    For the logits (−z/2, z/2) of two classes with one score z, this is yz with y = ±1.

    Reference: *On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines*, Koby Crammer, Yoram
    Singer, 2001.

    >>> margins(torch.tensor([[-1.0, 1.0], [0.5, 3.0]]), torch.tensor([1, 0])).tolist()
    [2.0, -2.5]
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    return logits.gather(1, labels[:, None]).squeeze(1) - others


def zero_one(margin: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """Return the 0-1 loss, 1 for an error (m ≤ 0) and 0 else, which is ½|1 − y ŷ| of two classes; it has no gradient.

    >>> zero_one(torch.tensor([-1.0, 0.0, 2.0])).tolist()
    [1.0, 1.0, 0.0]
    """
    return (margin <= 0).to(margin.dtype)


def perceptron(margin: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """Return max(0, −m), with the derivative −1 at m = 0, so that A = 0 is not stationary.

    Reference: *The Perceptron*, Frank Rosenblatt, 1958.

    >>> perceptron(torch.tensor([-1.0, 0.0, 2.0])).abs().tolist()
    [1.0, 0.0, 0.0]
    """
    return torch.where(margin <= 0, -margin, 0.0)


def hinge(margin: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """Return max(0, 1 − m), an upper bound on the 0-1 loss.

    Reference: *Support-Vector Networks*, Corinna Cortes, Vladimir Vapnik, 1995.

    >>> hinge(torch.tensor([-1.0, 0.0, 1.0, 2.0])).tolist()
    [2.0, 1.0, 0.0, 0.0]
    """
    return F.relu(1 - margin)


def logistic(margin: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """Return log(1 + e^{−m}), in nats: minus the log-probability of the label under logistic regression, m = yz.

    >>> round(float(logistic(torch.zeros(1))), 6)  # log 2
    0.693147
    """
    return F.softplus(-margin)
