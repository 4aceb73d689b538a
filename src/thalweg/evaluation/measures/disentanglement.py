"""Whether each generative factor of the data corresponds to one latent dimension, where the factors are known."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg.abilities import Encodes, HasPosterior
from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.findings import Findings
from thalweg.evaluation.estimates.intervals import jackknifed, rate
from thalweg.evaluation.examples import Examples
from thalweg.evaluation.measures.latents import Drawn, codes_of
from thalweg.evaluation.reference import Reference
from thalweg.evaluation.statistics.information import levels_of, mutual_information
from thalweg.randomness import fold

__all__ = ["MEANINGS", "disentanglement_measures"]

BINS, LEVELS, BLOCKS = 20, 10, 10  # of a latent dimension; of a continuous factor; of the jackknife
# of the β-VAE score; pairs per point; minimum number of examples, below which bins are empty
POINTS, PAIRS, MIN_EXAMPLES = 1000, 64, 200

MEANINGS = {
    "MIG": "The mutual information gap: the difference between the mutual information of a factor with the best and "
    "with the second best latent dimension, divided by the factor's entropy, averaged over factors. 1 means one "
    "latent dimension per factor, 0 none or several; higher is better. One latent dimension can still describe "
    "several factors, and a code can be useful without being aligned with them.",
    "beta-VAE score": "The accuracy of a linear classifier that predicts which factor is shared by pairs of examples, "
    "from the mean absolute difference of their codes in each latent dimension; higher is better, and chance level is "
    "100 % divided by the number of factors. It is easier to satisfy than MIG: a factor may be spread over several "
    "latent dimensions.",
}


def disentanglement_measures(model: Encodes, reference: Reference) -> Findings:
    """Return the mutual information gap and the β-VAE score, on data with known factors.

    There is no result if the test examples have no `factors`.
    """
    findings, test, factors = Findings(), reference.test, reference.test.factors
    if not factors:
        return findings

    def measured() -> Findings:
        codes = codes_of(model, test)
        drawn = codes_of(Drawn(model), test) if isinstance(model, HasPosterior) else codes
        return _measure(codes, drawn, factors, test)

    findings.attempt("MIG", measured)
    return findings


def _measure(
    codes: NDArray[np.float64], drawn: NDArray[np.float64], factors: Mapping[str, Any], test: Examples
) -> Findings:
    findings = Findings()
    if len(codes) < MIN_EXAMPLES:
        raise ValueError(f"factors: got {len(codes)} examples, wanted at least {MIN_EXAMPLES} to fill {BINS} bins")
    known = {name: levels_of(np.asarray(values), LEVELS) for name, values in factors.items()}
    known = {name: levels for name, levels in known.items() if len(np.unique(levels)) > 1}
    if codes.shape[1] < 2 or not known:
        raise ValueError(f"MIG: got codes of {codes.shape[1]} and {len(known)} factors that vary, wanted 2 and 1")
    findings.attempt("MIG", lambda: _gap(drawn, known, test, findings.tables))
    if len(known) > 1:
        findings.attempt("beta-VAE score", lambda: _pairs(codes, known, test))
    return findings


def _gap(
    codes: NDArray[np.float64], factors: Mapping[str, NDArray[np.int64]], test: Examples, tables: dict[str, Any]
) -> Estimate:
    """Return the mutual information gap, (1/F) Σ_f (I(z_best; v_f) − I(z_second; v_f)) / H(v_f), with one z per
    example.

    z is a draw of q(z|x), or the code of a deterministic encoder.

    Latent dimensions and continuous factors are divided into bins with equally many examples, so that increasing
    functions of a latent dimension do not change the measure.

    Reference: *Isolating sources of disentanglement in variational autoencoders*, T. Q. Chen, X. Li, R. Grosse, D.
    Duvenaud, 2018, arXiv:1802.04942. Bins as in *Challenging common assumptions in the unsupervised learning of
    disentangled representations*, F. Locatello et al., 2019, arXiv:1811.12359.
    """
    binned = np.stack([levels_of(column, BINS) for column in codes.T])

    def shares(rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return I(z_j; v_f) / H(v_f), (factors, latent dimensions)."""
        findings = []
        for levels in factors.values():
            v = levels[rows]
            findings.append(np.array([mutual_information(z[rows], v) for z in binned]) / mutual_information(v, v))
        return np.stack(findings)

    def mean_gap(known: NDArray[np.float64]) -> float:
        top = np.sort(known, axis=1)
        return float((top[:, -1] - top[:, -2]).mean())

    whole = shares(np.ones(len(codes), dtype=bool))
    blocks = np.arange(len(codes)) * BLOCKS // len(codes)
    left_out = [mean_gap(shares(blocks != b)) for b in range(BLOCKS)]
    top = np.sort(whole, axis=1)
    tables["disentanglement"] = {
        "factors": list(factors),
        # shares of each factor's entropy, one row per factor, one column per latent dimension
        "information": whole.tolist(),
        "gaps": (top[:, -1] - top[:, -2]).tolist(),
    }
    return jackknifed(
        "MIG",
        mean_gap(whole),
        left_out,
        n=len(codes),
        better="higher",
        varies=test.varies,
        least=0.0,
        most=1.0,
        protocol={**test.protocol, "factors": list(factors), "bins": BINS, "levels": LEVELS},
        method={"of": "a draw of q(z|x) an example, or the code of a deterministic encoder", "seed": test.seed},
    )


def _pairs(codes: NDArray[np.float64], factors: Mapping[str, NDArray[np.int64]], test: Examples) -> Estimate:
    """Return the β-VAE score: the accuracy of a linear classifier of the factor that 64 pairs of examples share.

    A point is the mean |z − z′| over pairs with equal level of one factor and all others arbitrary. The classifier is
    fitted on points of one half of the examples and tested on points of the other. The interval is over the points.

    Reference: *β-VAE: learning basic visual concepts with a constrained variational framework*, I. Higgins et al.,
    2017.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(fold(test.seed, "pairs"))
    half = rng.permutation(len(codes)) < len(codes) // 2
    points = []
    for part in (half, ~half):
        here = {name: levels[part] for name, levels in factors.items()}
        shared = rng.integers(len(factors), size=POINTS)
        points.append((_distances(codes[part], list(here.values()), shared, rng), shared))
    (x, y), (x_test, y_test) = points
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a classifier that has not converged is still linear
        classifier.fit(x, y)
    hits = int((classifier.predict(x_test) == y_test).sum())
    return rate(
        "beta-VAE score",
        hits,
        POINTS,
        varies=test.varies,
        protocol={**test.protocol, "factors": list(factors), "levels": LEVELS, "pairs of a point": PAIRS},
        method={"classifier": "logistic regression, C = 1, on standardized distances", "seed": test.seed},
    )


def _distances(
    codes: NDArray[np.float64], factors: list[NDArray[np.int64]], shared: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the mean |z − z′| of pairs with equal factor number `shared` (points,), for each latent dimension."""
    orders, starts, counts = [], [], []
    for levels in factors:  # examples sorted by level, so that those of one level are consecutive
        size = np.bincount(levels)
        orders.append(np.argsort(levels, kind="stable"))
        starts.append(np.cumsum(size) - size)
        counts.append(size)
    first = rng.integers(len(codes), size=(len(shared), PAIRS))
    second = np.empty_like(first)
    for f, levels in enumerate(factors):
        rows = shared == f
        level = levels[first[rows]]
        at = starts[f][level] + (rng.random(level.shape) * counts[f][level]).astype(np.int64)
        second[rows] = orders[f][at]
    distances: NDArray[np.float64] = np.abs(codes[first] - codes[second]).mean(axis=1)
    return distances
