"""Whether a classifier is as often right as it is sure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.intervals import jackknifed
from thalweg.randomness import fold

__all__ = ["Calibration", "calibration", "calibration_error"]

Array = np.ndarray[Any, Any]
BINS, BLOCKS = 15, 10


@dataclass(frozen=True)
class Calibration:
    """Bins of confidence that hold examples: mean `confidence`, `accuracy` (fractions) and how many, `n`."""

    confidence: list[float]
    accuracy: list[float]
    n: list[int]

    @property
    def error(self) -> float:
        """Σ n_b |accuracy_b − confidence_b| / Σ n_b."""
        gaps = np.abs(np.subtract(self.accuracy, self.confidence))
        return float(np.average(gaps, weights=self.n))


def calibration(confidence: Array, hits: Array, bins: int = BINS) -> Calibration:
    """Return how often a classifier is right where it is that sure, in `bins` of equal width ((b−1)/bins, b/bins].

    `confidence` (n,) are the probabilities of the predicted classes, `hits` (n,) whether they are right.

    Reference: On calibration of modern neural networks, C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, 2017,
    arXiv:1706.04599.

    >>> estimate = calibration(np.array([0.9, 0.9, 0.5]), np.array([True, False, True]))
    >>> estimate.accuracy, estimate.n, round(estimate.error, 4)
    ([1.0, 0.5], [1, 2], 0.4333)
    """
    where = _bins(confidence, bins)
    n = np.bincount(where, minlength=bins)
    filled = n > 0
    sure, right = (np.bincount(where, weights=w, minlength=bins)[filled] / n[filled] for w in (confidence, hits))
    return Calibration(sure.tolist(), right.tolist(), n[filled].tolist())


def calibration_error(
    confidence: Array, hits: Array, *, seed: int = 0, protocol: Mapping[str, Any] | None = None, **rest: Any
) -> Estimate:
    """Return the expected calibration error (ECE) in %, of 15 bins, with the jackknife's interval over random blocks.

    It is biased upwards: a bin's accuracy varies even where the confidence is right, and no gap is negative. So the
    low end is lower by what a calibrated classifier of that confidence would show by chance, in the mean
    Σ_b √(2 Σ_{i∈b} p_i(1 − p_i) / π) / n.

    Raises ValueError for fewer than 2 examples.

    >>> print(calibration_error(np.full(1000, 0.9), np.arange(1000) % 2 == 0))
    40.0 [36.6, 42.7] %
    """
    n = len(hits)
    if n < 2:
        raise ValueError(f"calibration error: got {n} example, wanted at least 2")
    blocks = min(BLOCKS, n)
    turn = np.random.default_rng(fold(seed, "calibration")).permutation(n) % blocks
    errors = [100 * calibration(confidence[turn != b], hits[turn != b]).error for b in range(-1, blocks)]
    variance = np.bincount(_bins(confidence, BINS), weights=confidence * (1 - confidence))
    chance = 100 * float(np.sqrt(np.maximum(variance, 0.0) * 2 / math.pi).sum()) / n
    estimate = jackknifed(
        "calibration error",
        errors[0],
        errors[1:],
        n=n,
        better="lower",
        unit="%",
        least=0.0,
        most=100.0,
        protocol={**(protocol or {}), "bins": BINS},
        method={"bias": "upwards; the low end allows for it", "of a calibrated classifier, by chance": chance},
        **rest,
    )
    return replace(estimate, low=max(estimate.low - chance, 0.0))


def _bins(confidence: Array, bins: int) -> Array:
    indices: Array = np.clip(np.ceil(np.asarray(confidence) * bins).astype(np.int64) - 1, 0, bins - 1)
    return indices
