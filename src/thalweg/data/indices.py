"""The order in which examples are drawn, as a function of (seed, step).

Every scheme is one endless stream of indices, made of pages; batch k is the part [kB, (k+1)B) of it. So batches have
one static shape, any step can be asked for at any time, and nothing has to be rescued when a run is resumed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.randomness import fold

__all__ = ["SCHEMES", "indices", "page", "page_length", "randomness"]

Array = np.ndarray[Any, Any]
SCHEMES = ("full", "with-replacement", "without-replacement", "cyclic", "shuffled")
BLOCK = 64  # batches drawn together by the schemes that draw anew for every batch


def page_length(scheme: str, n: int, batch_size: int) -> int:
    """How many indices of the stream are made at once: an epoch, or `BLOCK` batches.

    >>> page_length("shuffled", 10, 4), page_length("with-replacement", 10, 4)
    (10, 256)
    """
    return BLOCK * batch_size if scheme in ("with-replacement", "without-replacement") else n


def randomness(seed: int, number: int) -> np.random.Generator:
    """What page `number` of the stream is drawn from."""
    return np.random.default_rng(fold(seed, "batches", number))


def page(scheme: str, rng: np.random.Generator, n: int, batch_size: int) -> Array:
    """Draw one page of the stream of indices of `scheme`: `page_length` indices, int64.

    with-replacement: independent uniform indices. without-replacement: for each batch the first B of a fresh
    permutation. cyclic (and full, where B = N): 0, 1, ..., N−1. shuffled: a fresh permutation σ of them all.

    The mean over a batch is an unbiased estimate of the mean over the set for full, with- and without-replacement. For
    cyclic and shuffled it is not, given what was drawn before, but every index comes exactly once in N draws.

    >>> page("cyclic", randomness(0, 0), n=4, batch_size=2)
    array([0, 1, 2, 3])
    """
    if scheme == "with-replacement":
        return rng.integers(n, size=BLOCK * batch_size)
    if scheme == "without-replacement":
        # `choice` has the law of the first B of a permutation, at a cost of B, not N
        return np.concatenate([rng.choice(n, batch_size, replace=False) for _ in range(BLOCK)])
    if scheme == "shuffled":
        return rng.permutation(n)
    return np.arange(n)


def indices(scheme: str, seed: int, step: int, n: int, batch_size: int) -> Array:
    """The indices of batch `step`, int64 (B,): a function of its arguments alone.

    *Reference*: Ryu and Yin, Large-Scale Convex Optimization, 2022 (sampling schemes of SGD).

    >>> indices("cyclic", 0, 2, n=5, batch_size=2)
    array([4, 0])
    >>> sorted(np.concatenate([indices("shuffled", 0, k, n=6, batch_size=2) for k in range(3)]).tolist())
    [0, 1, 2, 3, 4, 5]
    """
    length = page_length(scheme, n, batch_size)
    start = step * batch_size
    parts = []
    for number in range(start // length, (start + batch_size - 1) // length + 1):
        whole = page(scheme, randomness(seed, number), n, batch_size)
        parts.append(whole[max(0, start - number * length) : max(0, start + batch_size - number * length)])
    return np.concatenate(parts)
