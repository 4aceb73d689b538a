"""The split of each example, for training, validation or testing, as a function of a hash of its content.

An example that is added to a file or folder therefore changes the split of no other, and duplicates share a split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from thalweg.randomness import fold

__all__ = ["TEST", "TRAIN", "VALIDATION", "assign", "content_keys", "first_of_each", "keys_of", "stable_subset"]

Array = np.ndarray[Any, Any]
TRAIN, VALIDATION, TEST = 0, 1, 2


def content_keys(x: Array) -> Array:
    """Return a 64-bit hash of each example of `x` (N, ...), uint64 (N,): equal for equal examples.

    >>> keys = content_keys(np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]))
    >>> bool(keys[0] == keys[2] != keys[1])
    True
    """
    return keys_of(np.ascontiguousarray(example).data for example in x)


def keys_of(contents: Iterable[Any]) -> Array:
    """Return a 64-bit hash of each bytes object, uint64."""
    hashes = b"".join(hashlib.blake2b(content, digest_size=8).digest() for content in contents)
    return np.frombuffer(hashes, "<u8").astype(np.uint64)


def assign(keys: Array, *, test: float, validation: float, seed: int) -> Array:
    """Return the split of each example: TEST where u < test, VALIDATION where u < test + validation, else TRAIN.

    u is uniform on [0, 1), a function of the example's key and the seed. If a share is positive and its split would be
    empty (of a few dozen examples), it gets the training examples with the smallest u: only then can an added example
    change the split of another.

    >>> parts = assign(content_keys(np.arange(1000.0)[:, None]), test=0.1, validation=0.2, seed=0)
    >>> [int((parts == part).sum()) for part in (TRAIN, VALIDATION, TEST)]
    [705, 193, 102]
    """
    u = _uniform(keys, seed, "split")
    parts = np.where(u < test, TEST, np.where(u < test + validation, VALIDATION, TRAIN)).astype(np.int8)
    for part, share in ((TEST, test), (VALIDATION, validation)):
        rest = parts == TRAIN
        if share and rest.any() and not (parts == part).any():
            least = rest & (u == u[rest].min())
            if least.sum() < rest.sum():  # if all examples are equal, they stay in the training split
                parts[least] = part
    return parts


def stable_subset(keys: Array, count: int, seed: int) -> Array:
    """Return the rows, in order, of the `count` examples with the smallest u, another function of key and seed."""
    return np.sort(np.argsort(_uniform(keys, seed, "examples"), kind="stable")[:count])


def first_of_each(keys: Array) -> Array:
    """Return the rows, in order, of the first example of each content."""
    return np.sort(np.unique(keys, return_index=True)[1])


def _uniform(keys: Array, seed: int, name: str) -> Array:
    """Return a number in [0, 1) for each key, by the finalizer of SplitMix64 of key and seed."""
    with np.errstate(over="ignore"):
        z = keys + np.uint64(fold(seed, name)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
