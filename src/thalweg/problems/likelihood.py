"""Maximum likelihood of a model with an exact density."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from thalweg.training.problem import Batch, Loss, Problem

__all__ = ["Likelihood"]


@runtime_checkable
class HasLogJoint(Protocol):
    """A model of examples and labels together."""

    def log_joint(self, x: Tensor, y: Tensor, *arguments: Any, **options: Any) -> Tensor:
        """Return log p(x, y), (B,)."""
        ...


@runtime_checkable
class Probed(Protocol):
    """A model whose log-density may be an unbiased estimate by random probes of the trace of a Jacobian."""

    probed: bool


class Likelihood(Problem):
    """One player, "model", with the loss −log p(x), or −log p(x, y) with labels y, in nats per example of raw data.

    `model.log_prob(x, noise)` returns log p, (B,); `noise` is uniform on [0, 1) in the shape of `x` where
    `model.observation` is "dequantized", else None. A model that is `probed` also receives normal noise `probe` (B, D),
    D the number of values of an example, and returns an unbiased estimate.

    Raises ValueError where a model of labels gets none.

    >>> import torch
    >>> from thalweg.models.flows.real_nvp import RealNVP
    >>> problem = Likelihood(RealNVP((2,), mean=[0.0, 0.0], std=[1.0, 1.0]))
    >>> problem.loss("model", Batch(torch.zeros(1, 2))).values.detach()  # log 2π
    tensor([1.8379])
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.players: Mapping[str, nn.Module] = {"model": model}
        self._joint = isinstance(model, HasLogJoint)

    def _is_probed(self) -> bool:
        return isinstance(self.model, Probed) and self.model.probed

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return −log p of the batch."""
        noise = batch.uniform("dequantize", *batch.x.shape[1:]) if self.model.observation == "dequantized" else None
        options = {"probe": batch.normal("probe", batch.x[0].numel())} if self._is_probed() else {}
        if self._joint:
            if batch.y is None:
                raise ValueError("labels: got none, wanted those that the model is conditioned on")
            return Loss(-self.model.log_joint(batch.x, batch.y, noise, **options))
        return Loss(-self.model.log_prob(batch.x, noise, **options))
