"""Clusters of codes, found without labels, and how well they agree with labels."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalweg.checks import in_range
from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.intervals import jackknifed, rate
from thalweg.randomness import fold

__all__ = ["Clusters", "agreement", "k_means", "matched"]

STARTS, BLOCKS = 10, 10  # of k-means, of which the best is kept; of the jackknife


class Clusters(NamedTuple):
    """Which cluster each example is in (N,), the clusters' centers (K, d), and the sum of squared distances to them."""

    of: NDArray[np.int64]
    centers: NDArray[np.float64]
    inertia: float


def k_means(codes: ArrayLike, clusters: int, *, seed: int = 0) -> Clusters:
    """Return the K = `clusters` clusters of `codes` (N, d) with the least Σ‖z − center‖² of ten starts (k-means++).

    Numbers of the code weigh as much as they vary: nothing is standardized.

    Raises ValueError unless 1 ≤ K ≤ N, and where fewer than K codes differ.

    Reference: Least squares quantization in PCM, S. Lloyd, 1982. k-means++: the advantages of careful seeding,
    D. Arthur, S. Vassilvitskii, 2007.

    >>> k_means([[0.0], [9.0], [1.0], [8.0]], 2).of.tolist() in ([0, 1, 0, 1], [1, 0, 1, 0])
    True
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    z = np.asarray(codes, dtype=np.float64)
    in_range("clusters", clusters, 1, len(z))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            fit = KMeans(clusters, n_init=STARTS, random_state=fold(seed, "k-means") % 2**32).fit(z)
        except ConvergenceWarning:
            different = len(np.unique(z, axis=0))
            raise ValueError(f"clusters: got {clusters}, wanted at most {different}, as many codes differ") from None
    return Clusters(fit.labels_.astype(np.int64), fit.cluster_centers_, float(fit.inertia_))


def matched(clusters: ArrayLike, labels: ArrayLike) -> dict[int, int]:
    """Return the label of each cluster that lets most examples agree: one cluster a label, one label a cluster.

    It is the assignment problem, solved exactly. Where there are more clusters than labels, some have none.

    Reference: The Hungarian method for the assignment problem, H. W. Kuhn, 1955.

    >>> matched([0, 0, 1, 1], [7, 7, 7, 5])
    {0: 7, 1: 5}
    """
    from scipy.optimize import linear_sum_assignment

    rows, place = np.unique(np.asarray(clusters), return_inverse=True)
    columns, label = np.unique(np.asarray(labels), return_inverse=True)
    table = np.zeros((len(rows), len(columns)), dtype=np.int64)
    np.add.at(table, (place, label), 1)
    pairs = zip(*linear_sum_assignment(table, maximize=True), strict=True)
    return {int(rows[i]): int(columns[j]) for i, j in pairs}


def agreement(
    clusters: ArrayLike,
    labels: ArrayLike,
    *,
    seed: int = 0,
    varies: str = "test examples",
    protocol: Mapping[str, Any] | None = None,
) -> list[Estimate]:
    """Return NMI, ARI and the matched accuracy in % of clusters (N,) with labels (N,).

    NMI = 2 I(C; Y) / (H(C) + H(Y)), from 0 to 1. ARI is the share of pairs that clusters and labels join or part alike,
    with chance subtracted: 0 of random clusters, 1 at best. Matched accuracy is the share of examples whose cluster's
    label, by `matched`, is their own.

    Intervals are over examples, the clusters and their matching as they are: of the first two by a jackknife of ten
    random blocks, drawn by `seed`, of the accuracy Wilson's.

    Raises ValueError for less than 20 examples, or as many labels as not.

    Reference: Cluster ensembles, A. Strehl, J. Ghosh, 2002. Comparing partitions, L. Hubert, P. Arabie, 1985.

    >>> [str(e) for e in agreement([0, 1] * 20, [5, 3] * 20)]
    ['1', '1', '100.0 [91.2, 100.0] %']
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    c, y = np.asarray(clusters), np.asarray(labels)
    if c.shape != y.shape or c.ndim != 1:
        raise ValueError(f"labels: got shape {y.shape} for {len(c)} examples, wanted one per example")
    n = len(c)
    if n < 2 * BLOCKS:
        raise ValueError(f"labels: got {n} examples, wanted at least {2 * BLOCKS} for an interval")
    turn = np.random.default_rng(fold(seed, "agreement")).permutation(n) % BLOCKS

    def estimate(name: str, measure: Callable[..., float], least: float) -> Estimate:
        left_out = [float(measure(y[turn != b], c[turn != b])) for b in range(BLOCKS)]
        value = min(max(float(measure(y, c)), least), 1.0)  # rounding may pass the ends
        shared: dict[str, Any] = {"kind": "exact", "varies": varies, "protocol": protocol or {}}
        method = {"of": "the clusters as they are"}
        return jackknifed(name, value, left_out, n=n, better="higher", least=least, most=1.0, method=method, **shared)

    label = matched(c, y)
    hits = int(np.sum([label.get(int(one), None) == own for one, own in zip(c, y, strict=True)]))
    return [
        estimate("NMI", normalized_mutual_info_score, 0.0),
        estimate("ARI", adjusted_rand_score, -0.5),
        rate("matched accuracy", hits, n, varies=varies, protocol=protocol or {}),
    ]
