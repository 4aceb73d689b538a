"""Squared distances of all pairs of two samples, as fast as a matrix product and nearly as accurate as differences."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["middle", "squared_distances"]


def middle(x: Float[Tensor, "n d"]) -> Float[Tensor, " d"]:
    """Return the median of every column, without a gradient.

    Unlike the mean it is close to most points even if there are outliers, so products of centered points lose little
    precision.

    >>> middle(torch.tensor([[0.0], [1.0], [1e30]]))
    tensor([1.])
    """
    return x.detach().median(dim=0).values


def squared_distances(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """Return ‖x_i − y_j‖² of all pairs, differentiable; relative errors are below about ε^⅔, ε that of the dtype.

    The product ‖x‖² + ‖y‖² − 2 x·y has an error of ε (‖x‖² + ‖y‖²); pairs with a squared distance below ε^⅓ times that
    sum are recomputed from their difference. Callers should center the points with `middle` first, so that there are
    few such pairs.

    >>> squared_distances(torch.tensor([[0.0, 3.0]]), torch.tensor([[4.0, 0.0], [0.0, 3.0]]))
    tensor([[25.,  0.]])
    """
    of_x, of_y = (z.square().sum(1, keepdim=True) for z in (x, y))
    one = torch.ones_like
    squares = torch.cat([x, of_x, one(of_x)], 1) @ torch.cat([-2 * y, one(of_y), of_y], 1).T
    share = torch.finfo(x.dtype).eps ** (1 / 3)
    near = squares.detach() < share * of_x.detach() + share * of_y.detach().T
    if not near.any():
        return squares
    i, j = near.nonzero(as_tuple=True)
    step = max(1, 2**22 // max(x.shape[1], 1))  # pairs per chunk, whose differences have `d` values each
    again = [(x[a] - y[b]).square().sum(1) for a, b in zip(i.split(step), j.split(step), strict=True)]
    return squares.index_put((i, j), torch.cat(again))
