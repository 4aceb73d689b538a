"""A subset of the examples, chosen by the seed, for measures that are too slow for all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thalweg.evaluation.examples import Examples
from thalweg.randomness import fold

__all__ = ["subset"]


def subset(examples: Examples, most: int) -> Examples:
    """Return at most `most` of the examples, and record it in their protocol; all of them if there are no more.

    A smaller subset is contained in a larger one of the same seed.

    >>> few = subset(Examples(np.arange(100.0)[:, None], protocol={"split": "test"}), 3)
    >>> few.x.shape, few.protocol
    ((3, 1), {'split': 'test', 'examples': 3, 'of': 100, 'chosen by seed': 0})
    """
    count = len(examples.x)
    if count <= most:
        return examples
    rows = np.random.default_rng(fold(examples.seed, "subset")).permutation(count)[:most]
    protocol = {**examples.protocol, "examples": most, "of": count, "chosen by seed": examples.seed}
    y = None if examples.y is None else np.asarray(examples.y)[rows]
    return replace(examples, x=examples.x[rows], y=y, protocol=protocol, index=examples.places[rows])
