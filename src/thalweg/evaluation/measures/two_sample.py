"""Whether samples and held-out examples can be told apart: by the means of a kernel, and by a classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from thalweg.evaluation.draws import BLOCKS, Draws
from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.intervals import jackknifed, rate
from thalweg.evaluation.statistics.distances import kid, median_distance, mmd2
from thalweg.randomness import fold, generator

__all__ = ["Told", "classifier_measures", "classify", "kid_measures", "mmd_measures"]

PERMUTATIONS = 199
MOST = 2_000  # of each, half of them to train on: about a second for 784 features
TREES = 200


def mmd_measures(draws: Draws) -> list[Estimate]:
    """Return the unbiased MMD² of a Gaussian kernel as wide as the median distance of examples, and its test."""
    x, y = draws.real.features, draws.fake.features
    sigma = median_distance(x, generator=generator(draws.seed, "bandwidth"))
    random = generator(draws.seed, "permutations")
    result = mmd2(x, y, bandwidth=sigma, permutations=PERMUTATIONS, blocks=BLOCKS, generator=random)
    method = {
        "bandwidth": sigma,
        "p-value": result.p_value,
        "permutations": PERMUTATIONS,
        "unbiased": "may be negative",
    }
    fields = draws.fields(len(x), len(y), kernel="Gaussian, of the median distance of the examples")
    return [jackknifed("MMD²", result.value, result.left_out, better="lower", method=method, **fields)]


def kid_measures(draws: Draws) -> list[Estimate]:
    """Return the kernel inception distance of the features, over all pairs."""
    x, y = draws.real.features, draws.fake.features
    result, fields = kid(x, y, blocks=BLOCKS), draws.fields(len(x), len(y), kernel="(x·y/d + 1)³")
    method = {"unbiased": "may be negative"}
    return [jackknifed("KID", result.value, result.left_out, better="lower", method=method, **fields)]


@dataclass(frozen=True)
class Told:
    """Of `n` examples that a classifier had not seen it told `hits` right; `p_value` under guessing."""

    hits: int
    n: int
    p_value: float


def classify(x: Tensor, y: Tensor, seed: int = 0) -> Told:
    """Return how many of the second halves of `x` and `y` (n, d) a classifier trained on the first halves tells apart.

    Both are as many, so guessing gives 50 %; the p-value is the binomial law's chance of as many hits or more by it.

    Reference: Revisiting classifier two-sample tests, D. Lopez-Paz, M. Oquab, 2017, arXiv:1610.06545.

    >>> import torch
    >>> x = torch.arange(100.0)[:, None]
    >>> classify(x, x + 1000)
    Told(hits=100, n=100, p_value=7.888609052210118e-31)
    """
    from scipy.stats import binom
    from sklearn.ensemble import ExtraTreesClassifier

    if x.ndim != 2 or x.shape != y.shape or len(x) < 4:
        raise ValueError(f"x, y: got shapes {tuple(x.shape)} and {tuple(y.shape)}, wanted (n, d) of both, n ≥ 4")
    half = len(x) // 2
    seen, unseen = (
        np.concatenate([z[part].cpu().numpy() for z in (x, y)]) for part in (slice(half), slice(half, None))
    )
    # Of ten kinds tried at a thousand of each on shifts, scales, correlations, tails, missing modes, soft edges and
    # digits, these trees and boosted ones (three times slower on pixels) were above chance on the most pairs: a
    # logistic regression sees shifts alone, a support vector machine no tails, a small network neither.
    trees = ExtraTreesClassifier(TREES, random_state=fold(seed, "classifier") % 2**32)
    trees.fit(seen, np.repeat([0, 1], half))
    hits = int((trees.predict(unseen) == np.repeat([0, 1], len(x) - half)).sum())
    return Told(hits, len(unseen), float(binom.sf(hits - 1, len(unseen), 0.5)))


def classifier_measures(draws: Draws) -> list[Estimate]:
    """Return the accuracy of a classifier that tells samples from examples."""
    x, y = draws.few(MOST)
    result = classify(x, y, draws.seed)
    method: dict[str, Any] = {"p-value": result.p_value, "classifier": f"{TREES} extremely randomized trees"}
    fields = {**draws.fields(len(x), len(y)), "better": "lower", "kind": "estimate", "method": method}
    fields.pop("n")
    return [rate("C2ST accuracy", result.hits, result.n, **fields)]
