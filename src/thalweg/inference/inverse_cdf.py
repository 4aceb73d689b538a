"""Inverse transform sampling of scalar distributions, including those with atoms."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from thalweg.checks import positive
from thalweg.randomness import fold, generator

__all__ = ["generalized_inverse", "sample_by_inverse"]

HALVINGS = 200


def generalized_inverse(cdf: Callable[[Tensor], Tensor], u: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return F⁻¹(u) = inf{x : F(x) ≥ u} of a distribution function F, by bisection in float64, for u in (0, 1).

    Where F is continuous and increasing, this is its inverse. At an atom, where F jumps, it is the atom for all u of
    the jump; where F is constant, it is the left end of the interval. For uniform U, F⁻¹(U) has the distribution
    function F for every F, since F⁻¹(u) ≤ x if and only if u ≤ F(x).

    `cdf` maps points to probabilities, elementwise, and is right-continuous.

    Raises ValueError for u outside of (0, 1), and for a `cdf` that does not reach u on ±10³⁰⁰.

    >>> fair = lambda x: 0.5 * (x >= 0) + 0.5 * (x >= 1)  # a coin
    >>> generalized_inverse(fair, torch.tensor([0.2, 0.5, 0.50001, 0.9])).round(decimals=6).abs().tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    u = u.double()
    if not bool(((u > 0) & (u < 1)).all()):
        raise ValueError("u: got values outside of (0, 1), wanted probabilities")
    low, high = torch.full_like(u, -1.0), torch.full_like(u, 1.0)
    for side, reached in ((low, lambda p: p < u), (high, lambda p: p >= u)):
        while not bool((done := reached(cdf(side))).all()):
            side[~done] *= 10
            if side.abs().max() > 1e300:
                raise ValueError("cdf: got a function that does not reach u on ±10³⁰⁰, wanted a distribution function")
    for _ in range(HALVINGS):
        middle = low + (high - low) / 2
        enough = cdf(middle) >= u
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    return high


def sample_by_inverse(inverse: Callable[[Tensor], Tensor], n: int, *, seed: int = 0) -> Float[Tensor, " n"]:
    """Return n samples F⁻¹(U), U uniform on (0, 1), float64, from the inverse of a distribution function.

    For example, −log(1 − U)/λ has the exponential distribution of rate λ.

    >>> x = sample_by_inverse(lambda u: -(-u).log1p() / 2.0, 100_000)
    >>> round(float(x.mean()), 2)  # 1/λ
    0.5
    """
    source = generator(fold(seed, "inverse"))
    u = torch.rand(positive("n", n), generator=source, dtype=torch.float64)
    return inverse(u.clamp(min=torch.finfo(torch.float64).tiny))
