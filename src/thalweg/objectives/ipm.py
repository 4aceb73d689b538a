"""Integral probability metrics d_F(p, q) = sup over f in F of E_p f − E_q f, of discrete distributions."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from thalweg.checks import choice
from thalweg.objectives.mmd import Kernel
from thalweg.objectives.pairwise import middle, squared_distances
from thalweg.objectives.transport import wasserstein

__all__ = ["integral_probability_metric"]


def integral_probability_metric(
    p: Float[Tensor, " K"],
    q: Float[Tensor, " K"],
    functions: str,
    points: Float[Tensor, "K d"] | None = None,
    kernel: Kernel | None = None,
) -> Float[Tensor, ""]:
    """Return d_F of two discrete distributions.

    `functions` is the class F: "unit", values in [0, 1], gives the total variation TV = ½ Σ |p − q|; "bounded", values
    in [−1, 1], gives 2 TV; "lipschitz", |f(x) − f(y)| ≤ ‖x − y‖, gives W₁; "rkhs", norm at most 1 in the reproducing
    kernel Hilbert space of `kernel`, gives the MMD. The last two need the `points`.

    >>> import torch
    >>> p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.2, 0.6])
    >>> integral_probability_metric(p, q, "bounded"), integral_probability_metric(p, q, "unit")
    (tensor(0.8000), tensor(0.4000))
    """
    choice("functions", functions, ("unit", "bounded", "lipschitz", "rkhs"))
    difference = p - q
    if functions in ("unit", "bounded"):
        total: Tensor = difference.abs().sum()
        return total / 2 if functions == "unit" else total
    if points is None:
        raise ValueError(f"points: got none, wanted the points of p and q to know which functions are {functions}")
    if functions == "lipschitz":
        return wasserstein(points, points, p, q)
    if kernel is None:
        raise ValueError("kernel: got none, wanted the kernel of the function space")
    points = points - middle(points)
    gram = kernel(squared_distances(points, points))
    return (difference @ gram @ difference).clamp(min=0).sqrt()
