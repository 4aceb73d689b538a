"""Distances between two samples of features: maximum mean discrepancies and sliced Wasserstein distances."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from thalweg.checks import positive
from thalweg.evaluation.statistics.kernels import discrepancies
from thalweg.objectives import transport
from thalweg.objectives.pairwise import middle, squared_distances

__all__ = [
    "TwoSample",
    "kid",
    "median_distance",
    "mmd2",
    "sliced_wasserstein",
    "wasserstein_1d",
]

FLOAT32 = 1e4  # multiple of the usual distance from the center up to which float32 resolves distances to 0.1 %


@dataclass(frozen=True, kw_only=True)
class TwoSample:
    """An MMD², its values without each block, the `p_value` of the hypothesis of equal distributions, and its
    `bandwidth`.
    """

    value: float
    left_out: tuple[float, ...] = ()
    p_value: float | None = None
    bandwidth: float | None = None


def mmd2(
    x: Tensor,
    y: Tensor,
    *,
    bandwidth: float | None = None,
    permutations: int = 199,
    blocks: int = 0,
    generator: torch.Generator | None = None,
    chunk: int = 256,
) -> TwoSample:
    """Return the unbiased MMD² of `x` (n, d) and `y` (m, d) with the kernel k(x, y) = exp(−|x − y|² / 2σ²).

    Σ_{i≠j} k(xᵢ, xⱼ)/n(n−1) + Σ_{i≠j} k(yᵢ, yⱼ)/m(m−1) − 2 Σ k(xᵢ, yⱼ)/nm. For similar distributions it is negative
    about as often as positive; it is never clipped. σ is the `bandwidth`, by default the median distance of both
    samples together. The p-value is (1 + #{shuffled ≥ observed}) / (1 + permutations) over random relabelings, which is
    exact for equal distributions. `left_out` are the values without each of `blocks` blocks (every blocks-th example of
    both).

    `objectives.mmd2` is the differentiable loss. This one is in float64 and yields the permutations and the blocks
    from the same pass over the kernel matrix, so the two share the distances only.

    The kernel is computed in `chunk` rows: memory grows with n + m, not with its square.

    Reference: *A kernel two-sample test*, A. Gretton et al., 2012.

    >>> x = torch.tensor([[0.0], [1.0]])
    >>> result = mmd2(x, x + 9, bandwidth=1.0, permutations=0)
    >>> round(result.value, 4), result.p_value
    (1.2131, 1.0)
    """
    both, n = _joined(x, y), len(x)
    sigma = median_distance(both, generator=generator) if bandwidth is None else positive("bandwidth", bandwidth)
    # powers of two: exp2 is several times faster than exp on CPUs
    both = (both - middle(both)) / (sigma * math.sqrt(2 * math.log(2)))

    def kernel(rows: slice) -> Tensor:
        return squared_distances(both[rows], both[rows.start :]).neg_().exp2_()

    shuffled = torch.zeros(len(both), permutations, dtype=torch.float64)
    for column in range(permutations):
        shuffled[torch.randperm(len(both), generator=generator)[:n], column] = 1.0
    values, others = discrepancies(kernel, n, len(both) - n, blocks, shuffled.to(both.device), chunk)
    # rounding must not break a tie with the observed labeling
    above = int((others >= values[0] - 1e-12).sum())
    return TwoSample(
        value=values[0],
        left_out=tuple(values[1:]),
        p_value=(1 + above) / (1 + permutations),
        bandwidth=float(sigma),
    )


def kid(x: Tensor, y: Tensor, *, blocks: int = 0, chunk: int = 256) -> TwoSample:
    """Return the kernel inception distance of features `x` (n, d) and `y` (m, d): the unbiased MMD² with the kernel
    (x·y/d + 1)³.

    It uses all pairs instead of random subsets: the expectation is the same, the variance smaller, and there is no
    seed. It may be negative and is never clipped. `left_out` are the values without each of `blocks` blocks, as in
    `mmd2`.

    Reference: *Demystifying MMD GANs*, M. Bińkowski et al., 2018, arXiv:1801.01401.

    >>> x = torch.tensor([[0.0], [1.0]])
    >>> kid(x, x + 1).value  # 1 + 27 − 2 (1 + 1 + 8 + 27) / 4
    9.5
    """
    both = _joined(x, y)

    def kernel(rows: slice) -> Tensor:
        return torch.mm(both[rows], both[rows.start :].T).div_(both.shape[1]).add_(1.0).pow_(3)

    values, _ = discrepancies(kernel, len(x), len(y), blocks, both.new_zeros(len(both), 0), chunk)
    return TwoSample(value=values[0], left_out=tuple(values[1:]))


def _joined(x: Tensor, y: Tensor) -> Tensor:
    if x.ndim != 2 or x.shape[1:] != y.shape[1:] or min(len(x), len(y)) < 2:
        raise ValueError(f"x, y: got shapes {tuple(x.shape)} and {tuple(y.shape)}, wanted (n, d) and (m, d), n, m ≥ 2")
    return torch.cat([x, y]).double()


def median_distance(x: Tensor, *, limit: int = 1000, generator: torch.Generator | None = None) -> float:
    """Return the median distance between pairs of `x` (n, d), of at most `limit` examples chosen by `generator`.

    If most pairs coincide it is the mean distance, and 1 if all do, since a bandwidth must be positive.

    >>> median_distance(torch.tensor([[0.0], [1.0], [3.0]]))
    2.0
    """
    if len(x) > limit:
        x = x[torch.randperm(len(x), generator=generator)[:limit].to(x.device)]
    pairs = torch.nn.functional.pdist(x.double())
    return float(pairs.median()) or float(pairs.mean()) or 1.0


def wasserstein_1d(x: Tensor, y: Tensor) -> Tensor:
    """Return W₁ = ∫|F − G| of values `x` (n, ...) and `y` (m, ...), column by column, in their unit.

    The numbers of values may differ. Finite samples bias it upwards.

    >>> wasserstein_1d(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 3.0])).item()
    2.0
    """
    if x.shape[1:] != y.shape[1:] or 0 in (len(x), len(y)):
        raise ValueError(f"x, y: got shapes {tuple(x.shape)} and {tuple(y.shape)}, wanted (n, ...) and (m, ...)")
    columns = (z.detach().double().cpu().reshape(len(z), -1).T.contiguous() for z in (x, y))
    return transport.wasserstein_1d(*columns).reshape(x.shape[1:]).to(x.device)


def sliced_wasserstein(
    x: Tensor, y: Tensor, *, projections: int = 128, generator: torch.Generator | None = None
) -> float:
    """Return W₁ along a direction, averaged over `projections` random directions, of `x` (n, d) and `y` (m, d).

    SW₁ = E_θ W₁(⟨θ, x⟩, ⟨θ, y⟩), θ uniform on the unit sphere. Finite samples bias it upwards.

    Reference: *Sliced and Radon Wasserstein barycenters of measures*, N. Bonneel et al., 2015.

    >>> x = torch.tensor([[0.0], [1.0]])
    >>> sliced_wasserstein(x, x + 3)
    3.0
    """
    if x.ndim != 2 or x.shape[1:] != y.shape[1:]:
        raise ValueError(f"x, y: got shapes {tuple(x.shape)} and {tuple(y.shape)}, wanted (n, d) and (m, d)")
    directions = torch.randn(positive("projections", projections), x.shape[1], dtype=torch.float64, generator=generator)
    center = middle(y.double())
    x, y = ((z.detach().double() - center).cpu() for z in (x, y))
    largest, usual = (max(float(f(z.abs())) for z in (x, y)) for f in (torch.max, torch.median))
    if usual > 0 and largest < FLOAT32 * usual:  # no far point whose rounding would hide the others
        x, y, directions = (x / usual).float(), (y / usual).float(), directions.float()
        return usual * float(transport.sliced_wasserstein(x, y, directions))
    return float(transport.sliced_wasserstein(x, y, directions))
