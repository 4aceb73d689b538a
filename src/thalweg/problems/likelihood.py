"""Maximum likelihood of a model with an exact density."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from thalweg.training.problem import Batch, Loss, Problem

__all__ = ["Likelihood"]


class Likelihood(Problem):
    """One player, "model", that loses −log p(x), or −log p(x, y) of labels y too, in nats per example of raw data.

    `model.log_prob(x, noise)` gives log p, (B,); where `model.observation` is "dequantized", `noise` is uniform on
    [0, 1) in the shape of `x`, else None. A model that is `probed` gets normal noise (B, D) as `probe`, too, D the
    number of values of an example, and gives an unbiased estimate.

    >>> import torch
    >>> from thalweg.models.flows.real_nvp import RealNVP
    >>> problem = Likelihood(RealNVP((2,), mean=[0.0, 0.0], std=[1.0, 1.0]))
    >>> problem.loss("model", Batch(torch.zeros(1, 2))).values.detach()  # log 2π
    tensor([1.8379])
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.players: Mapping[str, nn.Module] = {"model": model}

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return −log p of the batch."""
        noise = batch.uniform("dequantize", *batch.x.shape[1:]) if self.model.observation == "dequantized" else None
        given = {"probe": batch.normal("probe", batch.x[0].numel())} if getattr(self.model, "probed", False) else {}
        if hasattr(self.model, "log_joint"):  # of data and labels together
            if batch.y is None:
                raise ValueError("labels: got none, wanted those that the model is conditioned on")
            return Loss(-self.model.log_joint(batch.x, batch.y, noise, **given))
        return Loss(-self.model.log_prob(batch.x, noise, **given))
