"""Weights of the members of an ensemble, fitted on validation data: nonnegative, with sum 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["fit_mixture_weights", "fit_regression_weights"]

Array = NDArray[np.float64]
STEPS, TOLERANCE = 10_000, 1e-12


def fit_mixture_weights(probabilities: Array) -> Array:
    """Return the weights θ (K,) of the simplex that minimize the mean of −log Σ_k θ_k p_k(y_i).

    `probabilities` (n, K) are those that each member gives to the label of each validation example. The loss is convex.
    Expectation maximization, θ_k ← θ_k · mean_i p_k(y_i)/Σ_j θ_j p_j(y_i), lowers it in every step, beginning with
    equal weights. On the examples of the fit, the ensemble's loss is at most that of every member and of equal weights.

    Raises ValueError for probabilities out of [0, 1], and for an example with probability 0 under all members.

    Reference: *Stacked Generalization*, David Wolpert, 1992.

    >>> fit_mixture_weights(np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8]])).round(4).tolist()
    [0.8472, 0.1528]
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or not p.size or p.min() < 0 or p.max() > 1 + 1e-6:
        raise ValueError(f"probabilities: got an array of shape {p.shape}, wanted (n, K) with values in [0, 1]")
    if (p.max(axis=1) == 0).any():
        raise ValueError("probabilities: got an example with probability 0 under all members, wanted more than 0")
    weights = np.full(p.shape[1], 1 / p.shape[1])
    for _ in range(STEPS):
        following = weights * (p / (p @ weights)[:, None]).mean(axis=0)
        if np.abs(following - weights).max() < TOLERANCE:
            break
        weights = following
    result: Array = following / following.sum()
    return result


def fit_regression_weights(predictions: Array, targets: Array) -> Array:
    """Return the weights θ (K,) of the simplex that minimize the mean of (y_i − Σ_k θ_k f_k(x_i))².

    `predictions` (n, K) are those of each member, `targets` (n,) the values. On the examples of the fit, the error is
    at most that of the best member. For unbiased independent members the weights tend to 1/MSE_k, normalized.

    Raises ValueError for shapes that do not fit.

    Reference: *Stacked regressions*, Leo Breiman, 1996.

    >>> y = np.array([0.0, 1.0, 2.0])
    >>> fit_regression_weights(np.stack([y + 1, y - 1], axis=1), y).round(6).tolist()
    [0.5, 0.5]
    """
    from scipy.optimize import nnls

    f, y = np.asarray(predictions, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if f.ndim != 2 or y.shape != f.shape[:1]:
        raise ValueError(f"predictions: got shapes {f.shape} and {y.shape}, wanted (n, K) and (n,)")
    # Σθ = 1 makes the error Σ_k θ_k (f_k − y); a heavy row holds the sum at 1
    errors = f - y[:, None]
    heavy = 1e6 * max(1.0, float(np.abs(errors).max()))
    rows = np.vstack([errors / np.sqrt(len(y)), np.full((1, f.shape[1]), heavy)])
    weights: Array = nnls(rows, np.append(np.zeros(len(y)), heavy))[0]
    return weights / weights.sum()
