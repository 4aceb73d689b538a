"""A variational model and its evidence lower bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from thalweg.training.problem import Batch, Loss

__all__ = ["Variational"]


class Variational:
    """One player, "model", that loses −ELBO in nats per sample, exactly: no weights, no means over values.

    `model(x, eps, noise)` gives the terms (elbo, reconstruction, kl), each (B,), for latent noise of `latent_dim`
    numbers and, where `model.observation` is "dequantized", uniform noise in the shape of `x`.

    Extras: `reconstruction` = E_q log p(x|z) and `kl`, so that loss = kl − reconstruction.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.players: Mapping[str, nn.Module] = {"model": model}

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return −ELBO of the batch."""
        eps = batch.normal("eps", self.model.latent_dim)
        noise = batch.uniform("dequantize", *batch.x.shape[1:]) if self.model.observation == "dequantized" else None
        terms = self.model(batch.x, eps, noise)
        return Loss(-terms.elbo, {"reconstruction": terms.reconstruction, "kl": terms.kl})
