"""Whether samples lie where the data do, and the data where samples do: by balls around nearest neighbors."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

__all__ = ["Prdc", "prdc"]


class Prdc(NamedTuple):
    """Four numbers; all but the density from 0 to 1."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: Tensor, fake: Tensor, k: int = 5) -> Prdc:
    """Return precision, recall, density and coverage of `fake` (m, d) against `real` (n, d).

    B(x) is the closed ball around x up to its k-th nearest neighbor within its own sample. Precision: the share of
    fakes in any B(real). Recall: the share of reals in any B(fake). Density: how many B(real) hold a fake, over k, on
    average; may exceed 1. Coverage: the share of B(real) that hold any fake. For two samples of one law the expected
    density is 1 and the expected coverage near 1 − 2⁻ᵏ.

    Memory grows with (n + m)². Raises ValueError unless n, m > k ≥ 1.

    Reference: Improved precision and recall metric for assessing generative models, T. Kynkäänniemi et al., 2019,
    arXiv:1904.06991; Reliable fidelity and diversity metrics for generative models, M. F. Naeem et al., 2020,
    arXiv:2002.09797.

    >>> import torch
    >>> x = torch.arange(4.0)[:, None]
    >>> prdc(x, x + 0.5, k=1)
    Prdc(precision=1.0, recall=1.0, density=1.75, coverage=1.0)
    """
    return prdc_of(*distances(real, fake), k)


def distances(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return squared distances among reals (n, n), from reals to fakes (n, m), and among fakes (m, m), in float64.

    One that rounding cannot tell from 0 is 0.
    """
    if real.ndim != 2 or real.shape[1:] != fake.shape[1:]:
        raise ValueError(f"real, fake: got shapes {tuple(real.shape)}, {tuple(fake.shape)}, wanted (n, d) and (m, d)")
    middle = real.double().mean(dim=0)
    x, y = real.double() - middle, fake.double() - middle
    return _squared(x, x), _squared(x, y), _squared(y, y)


def prdc_of(real: Tensor, across: Tensor, fake: Tensor, k: int = 5) -> Prdc:
    """Return what `prdc` does, from squared distances."""
    if not 1 <= k < min(len(real), len(fake)):
        raise ValueError(f"k: got {k}, wanted from 1 to below the {min(len(real), len(fake))} examples of a sample")
    # a point is its own 0-th neighbor; equal distances may differ by rounding
    near_real, near_fake = ((d.kthvalue(k + 1, dim=1).values * (1 + 1e-9)) for d in (real, fake))
    inside = across <= near_real[:, None]
    return Prdc(
        precision=float(inside.any(dim=0).double().mean()),
        recall=float((across <= near_fake).any(dim=1).double().mean()),
        density=float(inside.double().sum(dim=0).mean() / k),
        coverage=float(inside.any(dim=1).double().mean()),
    )


def _squared(x: Tensor, y: Tensor) -> Tensor:
    size = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)
    squared = size - 2 * x @ y.T
    return squared.masked_fill_(squared < 1e-12 * size, 0.0)
