"""The order in which examples are drawn, as a function of (seed, step).

Every scheme is an infinite sequence of indices, divided into pages; batch k is its part [kB, (k+1)B). Batches therefore
have one fixed size, the batch of any step can be computed directly, and a resumed run needs no state.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.randomness import fold

__all__ = ["SCHEMES", "indices", "page", "page_length", "randomness"]

Array = np.ndarray[Any, Any]
SCHEMES = ("full", "with-replacement", "without-replacement", "cyclic", "shuffled")
BLOCK = 64  # batches in a page of the schemes that draw each batch independently


def page_length(scheme: str, n: int, batch_size: int) -> int:
    """Return the number of indices in a page: an epoch, or `BLOCK` batches.

    >>> page_length("shuffled", 10, 4), page_length("with-replacement", 10, 4)
    (10, 256)
    """
    return BLOCK * batch_size if scheme in ("with-replacement", "without-replacement") else n


def randomness(seed: int, number: int) -> np.random.Generator:
    """Return the generator of page `number`."""
    return np.random.default_rng(fold(seed, "batches", number))


def page(scheme: str, rng: np.random.Generator, n: int, batch_size: int) -> Array:
    """Draw one page of the sequence of indices of `scheme`: `page_length` indices, int64.

    - with-replacement: independent uniform indices
    - without-replacement: for each batch the first B of a new permutation
    - cyclic, and full, where B = N: 0, 1, ..., N−1
    - shuffled: a new permutation of all indices

    The mean over a batch is an unbiased estimate of the mean over the data set for full, with- and without-replacement.
    For cyclic and shuffled it is biased given the earlier batches, but every index occurs exactly once in N draws.

    >>> page("cyclic", randomness(0, 0), n=4, batch_size=2)
    array([0, 1, 2, 3])
    """
    if scheme == "with-replacement":
        return rng.integers(n, size=BLOCK * batch_size)
    if scheme == "without-replacement":
        # `choice` has the distribution of the first B of a permutation, at a cost of B instead of N
        return np.concatenate([rng.choice(n, batch_size, replace=False) for _ in range(BLOCK)])
    if scheme == "shuffled":
        return rng.permutation(n)
    return np.arange(n)


def indices(scheme: str, seed: int, step: int, n: int, batch_size: int) -> Array:
    """Return the indices of batch `step`, int64 (B,), a function of the arguments.

    Reference: *Large-Scale Convex Optimization*, Ernest Ryu, Wotao Yin, 2022 (sampling schemes of stochastic gradient
    descent).

    >>> indices("cyclic", 0, 2, n=5, batch_size=2)
    array([4, 0])
    >>> sorted(np.concatenate([indices("shuffled", 0, k, n=6, batch_size=2) for k in range(3)]).tolist())
    [0, 1, 2, 3, 4, 5]
    """
    length = page_length(scheme, n, batch_size)
    start = step * batch_size
    parts = []
    for number in range(start // length, (start + batch_size - 1) // length + 1):
        drawn = page(scheme, randomness(seed, number), n, batch_size)
        parts.append(drawn[max(0, start - number * length) : max(0, start + batch_size - number * length)])
    return np.concatenate(parts)
