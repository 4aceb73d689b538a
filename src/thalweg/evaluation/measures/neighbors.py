"""Precision, recall, density and coverage of samples, from nearest-neighbor balls."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from thalweg.evaluation.draws import BLOCKS, Draws
from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.intervals import jackknifed, rate
from thalweg.objectives.pairwise import middle, squared_distances

__all__ = ["Prdc", "neighbor_measures", "prdc", "prdc_left_out"]

NEAREST = 5
MAX_ZERO = 0.05  # accepted share of balls with radius 0
TILE = 1_000  # rows of either sample in a tile of distances


class Prdc(NamedTuple):
    """Precision, recall and coverage in [0, 1], and density."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: Tensor, fake: Tensor, k: int = 5) -> Prdc:
    """Return precision, recall, density and coverage of `fake` (m, d) against `real` (n, d).

    B(x) is the closed ball around x with the k-th nearest neighbor of its own sample on its boundary. Precision: the
    share of fakes in any B(real). Recall: the share of reals in any B(fake). Density: the mean number of B(real) that
    contain a fake, divided by k; it may exceed 1. Coverage: the share of B(real) that contain any fake. For two samples
    of one distribution the expected density is 1 and the expected coverage near 1 − 2⁻ᵏ.

    Distances are computed in tiles: memory grows with n + m. Distances that rounding cannot distinguish from 0 are 0.
    Raises ValueError unless n, m > k ≥ 1.

    Reference: *Improved precision and recall metric for assessing generative models*, T. Kynkäänniemi et al., 2019,
    arXiv:1904.06991. *Reliable fidelity and diversity metrics for generative models*, M. F. Naeem et al., 2020,
    arXiv:2002.09797.

    >>> x = torch.arange(4.0)[:, None]
    >>> prdc(x, x + 0.5, k=1)
    Prdc(precision=1.0, recall=1.0, density=1.75, coverage=1.0)
    """
    return prdc_left_out(real, fake, k, 0)[0]


def prdc_left_out(real: Tensor, fake: Tensor, k: int, blocks: int) -> list[Prdc]:
    """Return `prdc` of all examples, and without each of `blocks` blocks (every blocks-th example of both)."""
    if real.ndim != 2 or real.shape[1:] != fake.shape[1:]:
        raise ValueError(f"real, fake: got shapes {tuple(real.shape)}, {tuple(fake.shape)}, wanted (n, d) and (m, d)")
    n, m, groups = len(real), len(fake), max(blocks, 1)
    least = min(n, m) - (-(-min(n, m) // blocks) if blocks else 0)
    if not 1 <= k < least:
        raise ValueError(f"k: got {k}, wanted from 1 to below the {least} examples of a sample")
    tiles = groups * -(-max(n, m) // (groups * TILE))  # row i is in tile i % tiles, and in block i % groups
    center = middle(real.double())
    x, y = ([(z[t::tiles].double() - center) for t in range(tiles)] for z in (real, fake))
    reach_x, reach_y = (_reach(z, k, blocks) for z in (x, y))

    # 1 + blocks results, of all examples and without each block, from the few pairs that are near enough in any of them
    counts = torch.zeros(1 + blocks, dtype=torch.int64)
    precise, covered, recalled = ([torch.zeros(1 + blocks, len(p), dtype=torch.bool) for p in z] for z in (y, x, x))
    for s, t in ((s, t) for s in range(tiles) for t in range(tiles)):
        squared = squared_distances(x[s], y[t])
        left_out = {s % groups, t % groups} if blocks else set()
        question, i, j = _inside(squared, reach_x[s][:, :, None], left_out)
        counts += torch.bincount(question, minlength=1 + blocks)
        precise[t][question, j] = covered[s][question, i] = True
        question, i, _ = _inside(squared, reach_y[t][:, None, :], left_out)
        recalled[s][question, i] = True

    def share(parts: list[Tensor], out: int) -> float:
        return float(torch.cat([p[1 + out] for t, p in enumerate(parts) if t % groups != out]).double().mean())

    estimates = []
    for out in range(-1, blocks):
        fakes = sum(len(p) for t, p in enumerate(y) if t % groups != out)
        density = int(counts[1 + out]) / (k * fakes)
        estimates.append(Prdc(share(precise, out), share(recalled, out), density, share(covered, out)))
    return estimates


def _inside(squared: Tensor, reach: Tensor, blocks: set[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return (result, row, column) of each pair within `reach`, for the results that contain both of its blocks."""
    i, j = torch.nonzero(squared <= reach.amax(dim=0), as_tuple=True)
    asked = [question for question in range(len(reach)) if question - 1 not in blocks]
    near = reach.expand(-1, *squared.shape)[:, i, j][asked]
    which, pair = torch.nonzero(squared[i, j] <= near, as_tuple=True)
    return torch.tensor(asked)[which], i[pair], j[pair]


def _reach(tiles: list[Tensor], k: int, blocks: int) -> list[Tensor]:
    """Return for each tile the squared distance (1 + blocks, n) to the k-th neighbor, of all examples and without each
    block.

    Without the block that contains a point, the value of that point has no meaning.
    """
    estimates = []
    for own in tiles:
        # a point is its own 0-th neighbor; the k + 1 nearest of all are among the k + 1 nearest of the tiles
        near = [squared_distances(own, other).topk(min(k + 1, len(other)), largest=False).values for other in tiles]
        kept = ([d for t, d in enumerate(near) if out < 0 or t % blocks != out] for out in range(-1, blocks))
        # equal distances may differ by rounding
        estimates.append(torch.stack([torch.cat(d, dim=1).kthvalue(k + 1).values * (1 + 1e-9) for d in kept]))
    return estimates


def neighbor_measures(draws: Draws) -> list[Estimate]:
    """Return precision, recall and coverage in %, and density.

    Raises ValueError if more than 5 % of the held-out examples equal five others: balls with radius 0 around discrete
    values do not measure distances.
    """
    x, y = draws.real.features, draws.fake.features
    _, counts = x.unique(dim=0, return_counts=True)
    zero = float(counts[counts > NEAREST].sum()) / len(x)
    if zero > MAX_ZERO:
        raise ValueError(
            f"of {100 * zero:.0f} % of the held-out examples the {NEAREST} nearest others are at distance 0,"
            f" wanted at most {100 * MAX_ZERO:.0f} % such examples"
        )
    whole, *others = prdc_left_out(x, y, NEAREST, BLOCKS)
    fields = {**draws.fields(len(x), len(y), k=NEAREST), "better": "higher"}
    estimates = []
    for name in Prdc._fields:
        value, left_out = getattr(whole, name), [getattr(other, name) for other in others]
        if name == "density":
            estimates.append(jackknifed(name, value, left_out, least=0.0, **fields))
            continue
        n = len(y) if name == "precision" else len(x)
        percent = jackknifed(name, 100 * value, [100 * v for v in left_out], unit="%", least=0.0, most=100.0, **fields)
        wilson = rate(name, round(value * n), n)  # the jackknife interval is empty at 0 and 100 %
        low, high = min(wilson.low, percent.low), max(wilson.high, percent.high)
        method = {"interval": f"{percent.method['interval']}, never narrower than Wilson's"}
        estimates.append(replace(percent, low=low, high=high, method=method))
    return estimates
