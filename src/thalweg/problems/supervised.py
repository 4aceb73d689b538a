"""A classifier and its cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from thalweg.objectives.classification import cross_entropy
from thalweg.training.problem import Batch, Loss, Problem

__all__ = ["Supervised"]


class Supervised(Problem):
    """One player, "model", with the cross-entropy of the labels as its loss, in nats per sample.

    `model(x)` returns logits (B, K) of raw `x`. Labels are class indices (B,) or, from an augmentation that mixes
    examples, probabilities (B, K).

    >>> import torch
    >>> loss = Supervised(nn.Linear(2, 3)).loss("model", Batch(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64)))
    >>> loss.values.shape
    torch.Size([4])
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.players: Mapping[str, nn.Module] = {"model": model}

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return the cross-entropy of `batch.y`."""
        assert batch.y is not None
        return Loss(cross_entropy(self.model(batch.x), batch.y))
