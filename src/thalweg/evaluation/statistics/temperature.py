"""Temperature scaling: one number, fitted on held-out examples, that calibrates the probabilities of a classifier."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.evaluation.estimates.estimate import Estimate

__all__ = ["Temperature", "fit_temperature"]

Array = np.ndarray[Any, Any]
HALVINGS = 60
RANGE = 12.0  # of |log T|
NORMAL = 1.959963984540054


@dataclass(frozen=True)
class Temperature:
    """The temperature `value` that minimizes the label loss, and the standard `error` of its logarithm, of `n`."""

    value: float
    error: float
    n: int

    def estimate(self, **rest: Any) -> Estimate:
        """Return the temperature with the interval T·exp(±1.96·error)."""
        low, high = (self.value * math.exp(sign * NORMAL * self.error) for sign in (-1, 1))
        return Estimate(
            name="temperature", value=self.value, low=low, high=high, unit="", kind="estimate",
            varies="validation examples", n=self.n, better=None, **rest,
        )  # fmt: skip


def fit_temperature(logits: Array, labels: Array) -> Temperature:
    """Return the temperature T that minimizes the mean of −log softmax(z/T)_y over logits z (n, K) and labels (n,).

    The loss is convex in q = 1/T. Its derivative, the mean of Σ_k softmax(qz)_k z_k − z_y, is increasing in q, and its
    root is found by halving an interval of log q, in float64. The most probable class does not depend on T. The
    standard error of log T is that of an M-estimator, √(mean g²/n) / |mean dg/d log T|, with the derivatives g.

    Raises ValueError where the loss has no minimum: if each label has the largest logit, or the labels' logits are not
    above the others' on average; and for logits that are not finite.

    Reference: *On Calibration of Modern Neural Networks*, Chuan Guo, Geoff Pleiss, Yu Sun, Kilian Weinberger, 2017,
    arXiv:1706.04599.

    >>> z = np.array([[2.0, 0.0]] * 4)
    >>> round(fit_temperature(z, np.array([0, 0, 0, 1])).value, 4)  # 3/4 = sigmoid(2/T), so T = 2/log 3
    1.8205
    """
    z = np.asarray(logits, dtype=np.float64)
    z = z - z.max(axis=1, keepdims=True)
    own = z[np.arange(len(z)), labels]
    if not np.isfinite(z).all():
        raise ValueError("temperature: got a class with probability 0, wanted finite logits")
    cold, warm = _slopes(z, own, math.exp(RANGE)).mean(), _slopes(z, own, math.exp(-RANGE)).mean()
    if not warm < 0 < cold:
        why = "every label has the largest logit, so the loss falls to 0 with the temperature"
        if warm >= 0:
            why = "the labels have logits that are no larger than others on average, so no temperature helps"
        raise ValueError(f"temperature: got {len(z)} labels whose loss has no minimum: {why}")
    low, high = -RANGE, RANGE
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _slopes(z, own, math.exp(middle)).mean() < 0:
            low = middle
        else:
            high = middle
    q = math.exp((low + high) / 2)
    g, step = _slopes(z, own, q), 1e-4
    curvature = (_slopes(z, own, q * math.exp(step)).mean() - _slopes(z, own, q * math.exp(-step)).mean()) / (2 * step)
    return Temperature(1 / q, math.sqrt(float(np.square(g).mean()) / len(z)) / float(curvature), len(z))


def _slopes(z: Array, own: Array, q: float) -> Array:
    """Return Σ_k softmax(qz)_k z_k − z_y of each example (n,)."""
    p = np.exp(q * z)
    slopes: Array = (p * z).sum(axis=1) / p.sum(axis=1) - own
    return slopes
