"""Maximum mean discrepancies of a kernel, in tiles: of all examples, without each block, for shuffled labels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["discrepancies"]


def discrepancies(
    kernel: Callable[[slice], Tensor], n: int, m: int, blocks: int, shuffled: Tensor, chunk: int
) -> tuple[list[float], Tensor]:
    """Return the MMD² of all examples and without each block, and those (P,) for labels given by the columns of
    `shuffled`.

    `kernel(rows)` returns k of those rows with themselves and all later ones, so that each pair is computed once. Sums
    over pairs of blocks then give the value without any block in closed form.
    """
    groups = max(blocks, 1)
    turn = torch.cat([torch.arange(n) % groups, groups + torch.arange(m) % groups]).to(shuffled.device)
    member = torch.nn.functional.one_hot(turn, 2 * groups).double()
    marks = torch.cat([member, shuffled], dim=1)
    pairs = shuffled.new_zeros(2 * groups, 2 * groups)
    within, degree = shuffled.new_zeros(shuffled.shape[1]), shuffled.new_zeros(n + m)
    for start in range(0, n + m, chunk):
        rows = slice(start, min(start + chunk, n + m))
        once = kernel(rows)
        once[:, : len(once)].triu_(diagonal=1)  # no example with itself
        sums = once @ marks[start:]
        pairs += member[rows].T @ sums[:, : 2 * groups]
        if shuffled.shape[1]:
            within += (shuffled[rows] * sums[:, 2 * groups :]).sum(dim=0)
            degree[rows] += once.sum(dim=1)
            degree[start:] += once.sum(dim=0)

    sizes = torch.bincount(turn, minlength=2 * groups).double()
    pairs = pairs + pairs.T
    values = []
    for out in range(-1, blocks):
        first = [group for group in range(groups) if group != out]
        second = [groups + group for group in first]
        xx, yy, xy = (pairs[a][:, b].sum() for a, b in ((first, first), (second, second), (first, second)))
        values.append(float(_value(xx, yy, xy, sizes[first].sum(), sizes[second].sum())))
    within *= 2
    across = degree @ shuffled - within
    others = _value(within, degree.sum() - within - 2 * across, across, n, m)
    return values, others


def _value(xx: Tensor, yy: Tensor, xy: Tensor, n: Tensor | int, m: Tensor | int) -> Tensor:
    return xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m)
