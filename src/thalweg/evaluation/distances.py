"""Distances of two samples of features: maximum mean discrepancy and sliced Wasserstein."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from thalweg.checks import positive

__all__ = ["TwoSample", "median_distance", "mmd2", "sliced_wasserstein", "wasserstein_1d"]


@dataclass(frozen=True, kw_only=True)
class TwoSample:
    """An MMD², the `p_value` of "both have one law", the kernel's `bandwidth`, and the values without each block."""

    value: float
    p_value: float
    bandwidth: float
    left_out: tuple[float, ...] = ()


def mmd2(
    x: Tensor,
    y: Tensor,
    *,
    bandwidth: float | None = None,
    permutations: int = 199,
    blocks: int = 0,
    generator: torch.Generator | None = None,
    chunk: int = 1024,
) -> TwoSample:
    """Return the unbiased MMD² of `x` (n, d) and `y` (m, d) under the kernel k(x, y) = exp(−|x − y|² / 2σ²).

    Σ_{i≠j} k(xᵢ, xⱼ)/n(n−1) + Σ_{i≠j} k(yᵢ, yⱼ)/m(m−1) − 2 Σ k(xᵢ, yⱼ)/nm. Where the laws are close it comes out
    negative about as often as positive; it is never clipped. σ is the `bandwidth`, by default the median distance of
    both together. The p-value is (1 + #{shuffled ≥ observed}) / (1 + permutations) over random relabelings, exact
    under one law. `left_out` are the values without each of `blocks` blocks (every blocks-th example of both).

    The kernel is made `chunk` rows at a time: memory grows with n + m, not its square.

    Reference: A kernel two-sample test, A. Gretton et al., 2012.

    >>> x = torch.tensor([[0.0], [1.0]])
    >>> found = mmd2(x, x + 9, bandwidth=1.0, permutations=0)
    >>> round(found.value, 4), found.p_value
    (1.2131, 1.0)
    """
    n, m = len(x), len(y)
    if x.ndim != 2 or x.shape[1:] != y.shape[1:] or min(n, m) < 2:
        raise ValueError(f"x, y: got shapes {tuple(x.shape)} and {tuple(y.shape)}, wanted (n, d) and (m, d), n, m ≥ 2")
    both = torch.cat([x, y]).double()
    sigma = median_distance(both, generator=generator) if bandwidth is None else positive("bandwidth", bandwidth)
    # one column a question: who is of the first sample, who of the second
    first = torch.zeros(n + m, 1 + blocks + permutations, dtype=torch.float64)
    second = torch.zeros_like(first)
    first[:n, : 1 + blocks] = second[n:, : 1 + blocks] = 1.0
    turn = torch.cat([torch.arange(n), torch.arange(m)])
    for block in range(blocks):
        out = turn % blocks == block
        first[out, 1 + block] = second[out, 1 + block] = 0.0
    for column in range(1 + blocks, 1 + blocks + permutations):
        first[torch.randperm(n + m, generator=generator)[:n], column] = 1.0
    second[:, 1 + blocks :] = 1 - first[:, 1 + blocks :]

    values = _mmd2(both - both.mean(dim=0), first.to(both.device), second.to(both.device), sigma, chunk).cpu()
    # rounding must not break a tie with the observed labeling itself
    above = int((values[1 + blocks :] >= values[0] - 1e-12).sum())
    return TwoSample(
        value=float(values[0]),
        p_value=(1 + above) / (1 + permutations),
        bandwidth=float(sigma),
        left_out=tuple(values[1 : 1 + blocks].tolist()),
    )


def _mmd2(z: Tensor, first: Tensor, second: Tensor, sigma: float, chunk: int) -> Tensor:
    """Return the MMD² (C,) of the rows of z (N, d) marked in each column of first and second (N, C)."""
    marks = torch.cat([first, second], dim=1)
    norms = z.square().sum(dim=1)
    within = torch.zeros(marks.shape[1], dtype=z.dtype, device=z.device)
    across = torch.zeros(first.shape[1], dtype=z.dtype, device=z.device)
    for start in range(0, len(z), chunk):
        rows = slice(start, start + chunk)
        squared = norms[rows, None] + norms - 2 * z[rows] @ z.T
        kernel = squared.clamp_(min=0).mul_(-0.5 / sigma**2).exp_()
        kernel[torch.arange(len(kernel)), torch.arange(start, start + len(kernel))] = 0.0  # no example with itself
        sums = kernel @ marks
        within += (marks[rows] * sums).sum(dim=0)
        across += (first[rows] * sums[:, first.shape[1] :]).sum(dim=0)
    n, m = first.sum(dim=0), second.sum(dim=0)
    xx, yy = within.chunk(2)
    return xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * across / (n * m)


def median_distance(x: Tensor, *, limit: int = 1000, generator: torch.Generator | None = None) -> float:
    """Return the median distance of pairs of `x` (n, d), of at most `limit` of them drawn by `generator`.

    Where most pairs coincide it is the mean distance, and 1 where all do: a bandwidth must be positive.

    >>> median_distance(torch.tensor([[0.0], [1.0], [3.0]]))
    2.0
    """
    if len(x) > limit:
        x = x[torch.randperm(len(x), generator=generator)[:limit].to(x.device)]
    pairs = torch.nn.functional.pdist(x.double())
    return float(pairs.median()) or float(pairs.mean()) or 1.0


def wasserstein_1d(x: Tensor, y: Tensor) -> Tensor:
    """Return W₁ = ∫|F − G| of numbers `x` (n, ...) and `y` (m, ...), column by column, in their unit.

    Sizes may differ. Of finite samples it is biased upwards.

    >>> wasserstein_1d(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 3.0])).item()
    2.0
    """
    if x.shape[1:] != y.shape[1:] or 0 in (len(x), len(y)):
        raise ValueError(f"x, y: got shapes {tuple(x.shape)} and {tuple(y.shape)}, wanted (n, ...) and (m, ...)")
    both, order = torch.cat([x, y]).double().sort(dim=0)
    steps = torch.where(order < len(x), both.new_tensor(1 / len(x)), both.new_tensor(-1 / len(y)))
    return (steps.cumsum(dim=0)[:-1].abs() * both.diff(dim=0)).sum(dim=0)


def sliced_wasserstein(
    x: Tensor, y: Tensor, *, projections: int = 128, generator: torch.Generator | None = None
) -> float:
    """Return W₁ along a direction, averaged over `projections` random ones, of `x` (n, d) and `y` (m, d).

    SW₁ = E_θ W₁(⟨θ, x⟩, ⟨θ, y⟩), θ uniform on the unit sphere. Of finite samples it is biased upwards.

    Reference: Sliced and Radon Wasserstein barycenters of measures, N. Bonneel et al., 2015.

    >>> x = torch.tensor([[0.0], [1.0]])
    >>> sliced_wasserstein(x, x + 3)
    3.0
    """
    if x.ndim != 2 or x.shape[1:] != y.shape[1:]:
        raise ValueError(f"x, y: got shapes {tuple(x.shape)} and {tuple(y.shape)}, wanted (n, d) and (m, d)")
    directions = torch.randn(positive("projections", projections), x.shape[1], dtype=torch.float64, generator=generator)
    directions = (directions / directions.norm(dim=1, keepdim=True)).to(x.device).T
    return float(wasserstein_1d(x.double() @ directions, y.double() @ directions).mean())
