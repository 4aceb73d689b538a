"""Flows of flattened data through one invertible transform of R^d."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from thalweg.models.flows.flow import Flow
from thalweg.nn.transform import TransformOutput

__all__ = ["TransformedFlow"]


class TransformedFlow(Flow):
    """A flow of flattened data through one transform of R^d, which is built from the size of an example.

    `transform(y, context)` and `transform.inverse(z, context)` return the transformed examples (B, D) and the
    log-determinant of the former.

    >>> from thalweg.nn.transform import Scaling
    >>> flow = TransformedFlow((2,), Scaling(2), mean=[0.0] * 2, std=[1.0] * 2)
    >>> flow.log_prob(flow.sample(3)).shape
    torch.Size([3])
    """

    def __init__(self, shape: Sequence[int], transform: nn.Module, **settings: Any) -> None:
        super().__init__(shape, **settings)
        self.transform = transform

    def forward_transform(self, y: Tensor, context: Tensor | None = None) -> TransformOutput:
        """Map preprocessed data `(B, *shape)` to z (B, D), with the log-determinant."""
        moved: TransformOutput = self.transform(y.flatten(1), context)
        return moved

    def inverse_transform(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Invert `forward_transform`."""
        return self.inverse_transform_and_log_det(z, context).value

    def inverse_transform_and_log_det(self, z: Tensor, context: Tensor | None = None) -> TransformOutput:
        """Return y with the log-determinant of `forward_transform` there, in one pass."""
        y, log_det = self.transform.inverse(z, context)  # type: ignore[operator]
        return TransformOutput(y.reshape(-1, *self.shape), log_det)
