"""What reconstructions lose."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

__all__ = ["squared_error"]


def squared_error(reconstruction: Float[Tensor, B * shape], target: Float[Tensor, B * shape]) -> Float[Tensor, " B"]:
    """Squared error ‖x̂ − x‖² of each example, summed over its values, in squared units of `target`.

    >>> import torch
    >>> squared_error(torch.zeros(1, 3), torch.tensor([[1.0, 2.0, 2.0]])).item()
    9.0
    """
    return (reconstruction.float() - target).square().flatten(1).sum(1)
