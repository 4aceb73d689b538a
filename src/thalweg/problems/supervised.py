"""A classifier and its cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from thalweg.checks import in_range
from thalweg.models.classifiers.airbench import normalize_filters
from thalweg.objectives.classification import cross_entropy
from thalweg.training.problem import Batch, Loss, Problem

__all__ = ["NormalizedFilters", "Supervised", "WithAuxiliaryHeads"]


class Supervised(Problem):
    """One player, "model", with the cross-entropy of the labels as its loss, in nats per sample.

    `model(x)` returns logits (B, K) of raw `x`. Labels are class indices (B,) or, from an augmentation that mixes
    examples, probabilities (B, K). In training, `label_smoothing` s replaces label y by (1 − s)·y + s/K; the loss then
    has a minimum above 0, .867 for ten classes and s = .2. In evaluation mode labels are as they are, and the loss
    comes with the accuracy.

    >>> import torch
    >>> loss = Supervised(nn.Linear(2, 3)).loss("model", Batch(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64)))
    >>> loss.values.shape
    torch.Size([4])
    """

    def __init__(self, model: nn.Module, *, label_smoothing: float = 0.0) -> None:
        self.model = model
        self.label_smoothing = in_range("label_smoothing", label_smoothing, 0.0, 1.0)
        self.players: Mapping[str, nn.Module] = {"model": model}

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return the cross-entropy of `batch.y`."""
        assert batch.y is not None
        if self.model.training:
            return Loss(self.smoothed(self.model(batch.x), batch.y))
        logits = self.model(batch.x)
        extras = {} if batch.y.is_floating_point() else {"accuracy": (logits.argmax(1) == batch.y).float()}
        return Loss(cross_entropy(logits, batch.y), extras)

    def smoothed(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy (B,) of smoothed labels."""
        return cross_entropy(logits, labels, label_smoothing=self.label_smoothing)


class WithAuxiliaryHeads(Supervised):
    """A classifier with `heads(x)`, the logits of several classifiers; the others' losses count .3 beside the first's.

    In evaluation mode only the first counts, which is `model(x)`.

    Reference: *Going Deeper with Convolutions*, Christian Szegedy, Wei Liu, Yangqing Jia, Pierre Sermanet, Scott Reed,
    Dragomir Anguelov, Dumitru Erhan, Vincent Vanhoucke, Andrew Rabinovich, 2014, arXiv:1409.4842.
    """

    WEIGHT = 0.3

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return the weighted sum of the cross-entropies of all heads in training, else that of the first."""
        if not self.model.training:
            return super().loss(player, batch)
        assert batch.y is not None
        first, *others = (self.smoothed(logits, batch.y) for logits in self.model.heads(batch.x))  # type: ignore[operator]
        return Loss(first + self.WEIGHT * sum(others), {"main": first})


class NormalizedFilters(Supervised):
    """A classifier whose convolutions keep the norm √(output channels): they are scaled to it after each step.

    Batch normalization has to follow every convolution, so that this changes the size of the next step alone.
    """

    def project(self, player: str) -> None:
        """Scale the weights of the convolutions."""
        normalize_filters(self.model)
