"""A variational model and the bound on its likelihood that trains it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from thalweg.training.problem import Batch, Loss, Problem

__all__ = ["Variational"]


class Variational(Problem):
    """One player, "model", with the negative of the objective `model(x, eps, noise)` as its loss, in nats per sample,
    summed over all values and without weights. For a VAE this is −ELBO exactly.

    The model returns an `Objective` for latent noise of `model.noise_shape` and, where `model.observation` is
    "dequantized", uniform noise in the shape of `x`. Its terms are recorded.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.players: Mapping[str, nn.Module] = {"model": model}

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return the negative objective of the batch."""
        eps = batch.normal("eps", *self.model.noise_shape)
        noise = batch.uniform("dequantize", *batch.x.shape[1:]) if self.model.observation == "dequantized" else None
        objective = self.model(batch.x, eps, noise)
        return Loss(-objective.values, objective.terms)
