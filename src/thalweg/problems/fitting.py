"""Maximum likelihood of a model that knows its own closed-form step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from thalweg.problems.likelihood import Likelihood
from thalweg.training.problem import Batch, Loss, Problem, Solution

__all__ = ["Fitting"]


class Fitting(Problem):
    """One player, "model", that loses −log p(x), in nats per example of raw data, and moves by `model.fit`.

    For the update `ClosedForm`. The batch should be the whole training split: a stage with the scheme "full".

    `model.fit(x, noise, keys)` returns the log-densities it met and whether another step would change nothing; `keys`
    are uniform numbers (B, model.keys), `noise` is that of the dequantization of images. A log-density of −∞, of an
    example beyond every kernel, is left out of the loss and counted in the extra `outside`, their share.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.players: Mapping[str, nn.Module] = {"model": model}
        self._likelihood = Likelihood(model)

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return −log p of the batch."""
        return self._likelihood.loss(player, batch)

    def closed_form_step(self, player: str, batch: Batch) -> Solution:
        """Let the model fit the batch."""
        noise = batch.uniform("dequantize", *batch.x.shape[1:]) if self.model.observation == "dequantized" else None
        fit = self.model.fit(batch.x, noise, batch.uniform("fit", self.model.keys))
        known = fit.log_prob.isfinite()
        if bool(known.all()):
            return Solution(Loss(-fit.log_prob), fit.last)
        if not bool(known.any()):
            raise ValueError("bandwidth: got one that leaves every example alone, wanted a larger one")
        return Solution(Loss(-fit.log_prob[known], {"outside": 1 - known.double().mean()}), fit.last)
