"""An autoencoder and its squared error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from thalweg.objectives.reconstruction import squared_error
from thalweg.training.problem import Batch, Loss

__all__ = ["Autoencoding"]


class Autoencoding:
    """One player, "model", that loses ‖x − D(E(x))‖² per sample, in the units of `model.preprocess`.

    `model.preprocess(x)` brings raw data to the network's units, where `model(y)` reconstructs it.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.players: Mapping[str, nn.Module] = {"model": model}

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return the squared error of the batch."""
        target = self.model.preprocess(batch.x)
        return Loss(squared_error(self.model(target), target))
