"""Invertible transforms of R^d one after another, and the simplest of them."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thalweg.nn.dequantize import Moved

__all__ = ["Composed", "Scaling"]


class Composed(nn.Module):
    """Transforms one after another: f = f_k ∘ … ∘ f_1, log |det ∂f| = Σ log |det ∂f_i|, each at what came before it.

    A transform has `forward(x, context)` and `inverse(z, context)`, and both return where it takes each example and
    the log-determinant of `forward` there. The inverse of the composition undoes them in reverse order.

    >>> twice = Composed(Scaling(2), Scaling(2))
    >>> twice.inverse(twice(torch.ones(1, 2)).value).value
    tensor([[1., 1.]], grad_fn=<MulBackward0>)
    """

    def __init__(self, *transforms: nn.Module) -> None:
        super().__init__()
        self.transforms = nn.ModuleList(transforms)

    def forward(self, x: Float[Tensor, "B ..."], context: Float[Tensor, "B K"] | None = None) -> Moved:
        """Return z and the sum of the log-determinants."""
        return _through(list(self.transforms), x, context)

    def inverse(self, z: Float[Tensor, "B ..."], context: Float[Tensor, "B K"] | None = None) -> Moved:
        """Return x, and the log-determinant of `forward` there."""
        transforms: list[Any] = list(self.transforms)
        return _through([transform.inverse for transform in reversed(transforms)], z, context)


def _through(maps: list[Any], value: Tensor, context: Tensor | None) -> Moved:
    total = value.new_zeros(len(value))
    for map in maps:
        value, log_det = map(value, context)
        total = total + log_det
    return Moved(value, total)


class Scaling(nn.Module):
    """z_i = e^{s_i} x_i with s learned: a log-determinant of Σ s_i, the same everywhere. It starts as the identity.

    >>> Scaling(3)(torch.ones(2, 3)).log_det
    tensor([0., 0.], grad_fn=<ExpandBackward0>)
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(size))

    def forward(self, x: Float[Tensor, "B D"], context: Float[Tensor, "B K"] | None = None) -> Moved:
        """Return z and Σ s. A context changes nothing."""
        return Moved(x * self.log_scale.exp(), self.log_scale.sum().expand(len(x)))

    def inverse(self, z: Float[Tensor, "B D"], context: Float[Tensor, "B K"] | None = None) -> Moved:
        """Return x, and Σ s."""
        return Moved(z * self.log_scale.neg().exp(), self.log_scale.sum().expand(len(z)))
