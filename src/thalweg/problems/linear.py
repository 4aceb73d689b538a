"""A linear classifier with a loss of its margin or the cross-entropy, and an ℓ² penalty."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from thalweg.checks import at_least
from thalweg.models.shallow.linear import LinearClassifier
from thalweg.objectives.classification import cross_entropy, margins
from thalweg.training.problem import Batch, Loss, Problem

__all__ = ["LinearClassification"]


class LinearClassification(Problem):
    """One player, "model", with the loss ℓ(m) + (λ/2)‖A‖² per sample, m the margin of the label.

    `loss` is a function of margins, (B,) → (B,); None is the cross-entropy. `l2` is λ ≥ 0; the bias has no penalty. In
    evaluation mode the loss is without the penalty, and comes with the accuracy.

    >>> import torch
    >>> from thalweg.objectives.classification import hinge
    >>> model = LinearClassifier((2,), classes=2, mean=(0.0, 0.0), std=(1.0, 1.0))
    >>> batch = Batch(torch.ones(2, 2), torch.tensor([0, 1]))
    >>> LinearClassification(model, hinge).loss("model", batch).values.tolist()
    [1.0, 1.0]
    """

    def __init__(
        self, model: LinearClassifier, loss: Callable[[Tensor], Tensor] | None = None, *, l2: float = 0.0
    ) -> None:
        self.model = model
        self.of_margins = loss
        self.l2 = at_least("l2", l2, 0)
        self.players: Mapping[str, nn.Module] = {"model": model}

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return the loss of `batch.y`."""
        assert batch.y is not None
        logits = self.model(batch.x)
        if self.of_margins is None:
            values = cross_entropy(logits, batch.y)
        else:
            values = self.of_margins(margins(logits, batch.y))
        if self.model.training:
            return Loss(values + self.l2 / 2 * self.model.linear.weight.float().square().sum() if self.l2 else values)
        return Loss(values, {"accuracy": (logits.argmax(1) == batch.y).float()})
