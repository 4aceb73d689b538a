"""Two-sample tests between samples and held-out examples: kernel distances and a classifier."""

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

__all__ = ["Classification", "classifier_measures", "classify", "kid_measures", "mmd_measures"]

PERMUTATIONS = 199
MAX_TESTED = 2_000  # of each, half of them for training: about a second for 784 features
TREES = 200


def mmd_measures(draws: Draws) -> list[Estimate]:
    """Return the unbiased MMD² with a Gaussian kernel of the examples' median distance, and its p-value."""
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
class Classification:
    """The number of correct predictions, `hits`, on `n` new examples, and the `p_value` at chance level."""

    hits: int
    n: int
    p_value: float


def classify(x: Tensor, y: Tensor, seed: int = 0) -> Classification:
    """Return how well a classifier trained on the first halves of `x` and `y` (n, d) distinguishes the second halves.

    Both have equal sizes, so chance level is 50 %; the p-value is the binomial probability of at least as many hits by
    chance.

    Reference: *Revisiting classifier two-sample tests*, D. Lopez-Paz, M. Oquab, 2017, arXiv:1610.06545.

    >>> import torch
    >>> x = torch.arange(100.0)[:, None]
    >>> classify(x, x + 1000)
    Classification(hits=100, n=100, p_value=7.888609052210118e-31)
    """
    from scipy.stats import binom
    from sklearn.ensemble import ExtraTreesClassifier

    if x.ndim != 2 or x.shape != y.shape or len(x) < 4:
        raise ValueError(f"x, y: got shapes {tuple(x.shape)} and {tuple(y.shape)}, wanted (n, d) of both, n ≥ 4")
    half = len(x) // 2
    seen, unseen = (
        np.concatenate([z[part].cpu().numpy() for z in (x, y)]) for part in (slice(half), slice(half, None))
    )
    # Of ten kinds of classifiers, with a thousand examples of each, on shifts, scales, correlations, tails, missing
    # modes, soft edges and digits, these trees and boosted ones (three times slower on pixels) were above chance most
    # often: logistic regression detects only shifts, a support vector machine no tails, a small network neither.
    trees = ExtraTreesClassifier(TREES, random_state=fold(seed, "classifier") % 2**32)
    trees.fit(seen, np.repeat([0, 1], half))
    hits = int((trees.predict(unseen) == np.repeat([0, 1], len(x) - half)).sum())
    return Classification(hits, len(unseen), float(binom.sf(hits - 1, len(unseen), 0.5)))


def classifier_measures(draws: Draws) -> list[Estimate]:
    """Return the accuracy of a classifier that distinguishes samples from examples."""
    x, y = draws.few(MAX_TESTED)
    result = classify(x, y, draws.seed)
    method: dict[str, Any] = {"p-value": result.p_value, "classifier": f"{TREES} extremely randomized trees"}
    fields = {**draws.fields(len(x), len(y)), "better": "lower", "kind": "estimate", "method": method}
    fields.pop("n")
    return [rate("C2ST accuracy", result.hits, result.n, **fields)]
