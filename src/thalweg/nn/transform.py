"""Invertible transforms with their log-determinants: what normalizing flows are composed of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Composed", "Inverse", "MapOutput", "Scaling", "Transform", "TransformOutput"]


class TransformOutput(NamedTuple):
    """The transformed examples, and log |det| of the Jacobian of `forward` at each, in nats (B,)."""

    value: Tensor
    log_det: Tensor


class MapOutput(NamedTuple):
    """The mapped values, and the logarithm of the map's slope at each; both of the shape of the values."""

    value: Tensor
    log_slope: Tensor


class Transform(nn.Module, ABC):
    """An invertible, differentiable map of examples (B, ...), which may depend on a context (B, K)."""

    @abstractmethod
    def forward(self, x: Float[Tensor, "B ..."], context: Float[Tensor, "B K"] | None = None) -> TransformOutput:
        """Return z = f(x) and log |det ∂f/∂x|."""

    @abstractmethod
    def inverse(self, z: Float[Tensor, "B ..."], context: Float[Tensor, "B K"] | None = None) -> TransformOutput:
        """Return x = f⁻¹(z), and the log-determinant of `forward` at x."""


class Composed(Transform):
    """The composition of transforms f = f_k ∘ … ∘ f_1, log |det ∂f| = Σ log |det ∂f_i|, each at the output before it.

    >>> twice = Composed(Scaling(2), Scaling(2))
    >>> twice.inverse(twice(torch.ones(1, 2)).value).value
    tensor([[1., 1.]], grad_fn=<MulBackward0>)
    """

    def __init__(self, *transforms: Transform) -> None:
        super().__init__()
        self.transforms = nn.ModuleList(transforms)

    def forward(self, x: Float[Tensor, "B ..."], context: Float[Tensor, "B K"] | None = None) -> TransformOutput:
        """Return z and the sum of the log-determinants."""
        return _apply_all(list(self.transforms), x, context)

    def inverse(self, z: Float[Tensor, "B ..."], context: Float[Tensor, "B K"] | None = None) -> TransformOutput:
        """Return x by the inverse transforms in reverse order, and the log-determinant of `forward` there."""
        return _apply_all([transform.inverse for transform in reversed(self.transforms)], z, context)  # type: ignore[misc]


def _apply_all(
    maps: Sequence[Callable[[Tensor, Tensor | None], TransformOutput]], value: Tensor, context: Tensor | None
) -> TransformOutput:
    total = value.new_zeros(len(value))
    for map in maps:
        value, log_det = map(value, context)
        total = total + log_det
    return TransformOutput(value, total)


class Inverse(Transform):
    """The inverse of a transform: z = g⁻¹(x), of log-determinant −log |det ∂g| at z.

    >>> scaling = Scaling(2)
    >>> bool((Inverse(scaling)(torch.ones(1, 2)).value == scaling.inverse(torch.ones(1, 2)).value).all())
    True
    """

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, x: Float[Tensor, "B ..."], context: Float[Tensor, "B K"] | None = None) -> TransformOutput:
        """Return z = g⁻¹(x) and its log-determinant."""
        value, log_det = self.transform.inverse(x, context)
        return TransformOutput(value, -log_det)

    def inverse(self, z: Float[Tensor, "B ..."], context: Float[Tensor, "B K"] | None = None) -> TransformOutput:
        """Return x = g(z), and the log-determinant of `forward` there."""
        value, log_det = self.transform(z, context)
        return TransformOutput(value, -log_det)


class Scaling(Transform):
    """z_i = e^{s_i} x_i with s learned, of log-determinant Σ s_i everywhere. It starts as the identity.

    >>> Scaling(3)(torch.ones(2, 3)).log_det
    tensor([0., 0.], grad_fn=<ExpandBackward0>)
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(size))

    def forward(self, x: Float[Tensor, "B D"], context: Float[Tensor, "B K"] | None = None) -> TransformOutput:
        """Return z and Σ s. A context is ignored."""
        return TransformOutput(x * self.log_scale.exp(), self.log_scale.sum().expand(len(x)))

    def inverse(self, z: Float[Tensor, "B D"], context: Float[Tensor, "B K"] | None = None) -> TransformOutput:
        """Return x, and Σ s."""
        return TransformOutput(z * self.log_scale.neg().exp(), self.log_scale.sum().expand(len(z)))
