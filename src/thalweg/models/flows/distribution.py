"""A flow as a `torch.distributions.Distribution` over raw data."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

__all__ = ["FlowDistribution", "SampleWithLogProb"]


class SampleWithLogProb(NamedTuple):
    """Samples, and the log-density of each, in nats."""

    value: Tensor
    log_prob: Tensor


@runtime_checkable
class Invertible(Protocol):
    """What the distribution requires of a flow: an invertible map between raw data and a base distribution."""

    shape: tuple[int, ...]
    context: int
    base_distribution: Any  # has log_prob(z) -> (B, D)

    def draw(self, n: int) -> Tensor:
        """Draw z (n, D) of the base distribution."""

    def forward_and_log_det(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return z and the log-determinant."""

    def inverse(self, z: Tensor, context: Tensor | None) -> Tensor:
        """Return x."""

    def inverse_and_log_det(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return x, and the log-determinant of the forward map there."""


class FlowDistribution(Distribution):
    """The distribution of raw data under a flow, for one context or a batch of contexts.

    For images it is the distribution of dequantized levels, floats in [0, levels). `rsample` is differentiable with
    respect to the flow's parameters and the context.

    >>> from thalweg.models.flows.real_nvp import RealNVP
    >>> distribution = RealNVP((3,), mean=[0.0] * 3, std=[1.0] * 3, hidden=8)()
    >>> x, log_prob = distribution.rsample_and_log_prob((5,))
    >>> bool(torch.allclose(distribution.log_prob(x), log_prob, atol=1e-5))
    True
    """

    has_rsample = True
    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  # the base class has it so

    def __init__(self, flow: Invertible, context: Tensor | None = None) -> None:
        if (context is None) != (flow.context == 0) or (context is not None and context.shape[-1] != flow.context):
            got = "none" if context is None else f"shape {tuple(context.shape)}"
            raise ValueError(f"context: got {got}, wanted {f'(..., {flow.context})' if flow.context else 'none'}")
        self.flow, self.context = flow, context
        batch = torch.Size() if context is None else context.shape[:-1]
        super().__init__(batch, torch.Size(flow.shape), validate_args=False)

    @property
    def support(self) -> Any:
        """All real tensors; outside of the support of the data the density is very small, but not 0."""
        return constraints.independent(constraints.real, len(self.event_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density, nats, of values (..., *batch, *shape)."""
        lead = value.shape[: value.ndim - len(self.event_shape)]
        lead = torch.broadcast_shapes(lead, self.batch_shape)
        x = value.expand(*lead, *self.event_shape).reshape(-1, *self.event_shape)
        z, log_det = self.flow.forward_and_log_det(x, self._contexts(lead))
        return (log_det + self.flow.base_distribution.log_prob(z).sum(1)).reshape(lead)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw values `(*sample_shape, *batch, *shape)`, differentiable."""
        lead = self._extended_shape(torch.Size(sample_shape))[: -len(self.event_shape)]
        z = self.flow.draw(lead.numel())
        return self.flow.inverse(z, self._contexts(lead)).reshape(*lead, *self.event_shape)

    def rsample_and_log_prob(self, sample_shape: Any = ()) -> SampleWithLogProb:
        """Draw values and their log-density, in one pass where the flow supports it."""
        lead = self._extended_shape(torch.Size(sample_shape))[: -len(self.event_shape)]
        z = self.flow.draw(lead.numel())
        x, log_det = self.flow.inverse_and_log_det(z, self._contexts(lead))
        log_prob = log_det + self.flow.base_distribution.log_prob(z).sum(1)
        return SampleWithLogProb(x.reshape(*lead, *self.event_shape), log_prob.reshape(lead))

    def _contexts(self, lead: torch.Size) -> Tensor | None:
        if self.context is None:
            return None
        return self.context.expand(*lead, self.flow.context).reshape(-1, self.flow.context)
