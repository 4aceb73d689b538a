"""Maximum likelihood of a model with a closed-form step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from thalweg.problems.likelihood import Likelihood
from thalweg.training.problem import Batch, Loss, Problem, Solution

__all__ = ["Fitting"]


class Fitting(Problem):
    """One player, "model", with the loss −log p(x), in nats per example of raw data, and the closed-form step
    `model.fit`.

    It is trained by the update `ClosedForm`; the batch should be all the training data, a stage with the scheme "full".

    `model.fit(x, noise, keys)` returns the log-densities before the step and whether the fit has converged; `keys` are
    uniform numbers (B, model.keys), `noise` is that of the dequantization of images. Examples with log-density −∞,
    outside the support of every kernel, are left out of the loss; the extra `outside` is their share.

    Raises ValueError where no example has a finite log-density.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.players: Mapping[str, nn.Module] = {"model": model}
        self._likelihood = Likelihood(model)

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return −log p of the batch."""
        return self._likelihood.loss(player, batch)

    def closed_form_step(self, player: str, batch: Batch) -> Solution:
        """Fit the model to the batch."""
        noise = batch.uniform("dequantize", *batch.x.shape[1:]) if self.model.observation == "dequantized" else None
        fit = self.model.fit(batch.x, noise, batch.uniform("fit", self.model.keys))
        known = fit.log_prob.isfinite()
        if bool(known.all()):
            return Solution(Loss(-fit.log_prob), fit.last)
        if not bool(known.any()):
            raise ValueError("bandwidth: got one with no other example within reach of any kernel, wanted a larger one")
        return Solution(Loss(-fit.log_prob[known], {"outside": 1 - known.double().mean()}), fit.last)
