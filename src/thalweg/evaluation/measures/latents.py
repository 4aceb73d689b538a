"""Measures of latent codes: how many dimensions vary with the data, and how well the codes predict labels."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from thalweg.abilities import Encodes, HasPosterior, HasPrior
from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.findings import Findings
from thalweg.evaluation.estimates.intervals import rate
from thalweg.evaluation.examples import Examples
from thalweg.evaluation.reference import Reference
from thalweg.evaluation.subset import subset

__all__ = ["MEANINGS", "Drawn", "active_units", "codes_of", "latent_measures"]

MAX_FITTED, NEIGHBORS, ACTIVE = 5000, 5, 0.01  # training examples; neighbors; minimum variance of an active unit

MEANINGS = {
    "active units": "The number of latent dimensions whose code varies with the example; the others carry no "
    "information, which is called posterior collapse. Higher is better for codes of equal length. The threshold "
    "assumes a prior of unit variance.",
    "linear-probe accuracy": "The accuracy of a linear classifier of the labels, fitted on the codes of training "
    "examples; higher is better. A code can contain the labels in a form that is not linearly separable.",
    "kNN accuracy": "The accuracy of the majority label of the 5 nearest codes of training examples; higher is "
    "better. It depends on the scale of each latent dimension.",
}


def latent_measures(model: Encodes, reference: Reference) -> Findings:
    """Return the number of active units of a model with a prior and, if there are labels, how well the codes predict
    them.
    """
    findings, test, training = Findings(), reference.test, reference.training
    labeled = test.y is not None and training is not None and training.y is not None
    if not (labeled or isinstance(model, HasPrior)):
        return findings
    codes = codes_of(model, test)
    if isinstance(model, HasPrior):
        findings.attempt("active units", lambda: active_units(codes, test))
        findings.tables["latents"] = {"dimensions": codes.shape[1], "variances": codes.var(axis=0).tolist()}
    if labeled and training is not None:
        few = subset(training, MAX_FITTED)
        findings.attempt("linear-probe accuracy", lambda: _probes(codes, test, codes_of(model, few), few))
    return findings


class Drawn:
    """Encodes by a draw of q(z|x); the mean of q would hide how noisy a latent dimension is."""

    def __init__(self, model: HasPosterior) -> None:
        self.model = model

    def encode(self, x: Tensor) -> Tensor:
        """Return one draw of the approximate posterior of each example."""
        codes: Tensor = self.model.posterior(x).sample()
        return codes


def codes_of(model: Encodes, examples: Examples) -> NDArray[np.float64]:
    """Return `encode(x)`, flattened to (N, d), of every example.

    Raises ValueError unless there is one code per example, FloatingPointError if one is not finite.
    """
    parts = []
    for rows, x in examples.batches():
        with examples.noise("encode", rows):
            z = model.encode(x)
        if z.ndim < 1 or len(z) != len(x):
            raise ValueError(f"encode: got shape {tuple(z.shape)} of {len(x)} examples, wanted ({len(x)}, d)")
        parts.append(z.detach().reshape(len(x), -1).double().cpu().numpy())
    codes: NDArray[np.float64] = np.concatenate(parts)
    broken = int((~np.isfinite(codes)).any(axis=1).sum())
    if broken:
        raise FloatingPointError(f"encode: the codes of {broken} of {len(codes)} examples are not finite")
    return codes


def active_units(codes: NDArray[np.float64], examples: Examples) -> Estimate:
    """Return how many columns of `codes` (N, d), E[z|x] of each example, have a variance over examples above 0.01.

    The interval counts the columns whose variance is above 0.01 at both ends of s² ± z √((m₄ − s⁴)/N), with z so that
    all d intervals hold simultaneously with 95 % (Bonferroni).

    Reference: *Importance weighted autoencoders*, Y. Burda, R. Grosse, R. Salakhutdinov, 2016, arXiv:1509.00519.

    >>> codes = np.random.default_rng(0).normal(size=(1000, 3)) * [1.0, 0.1, 0.0]
    >>> findings = active_units(codes, Examples(codes))
    >>> findings.value, findings.low, findings.high, findings.unit
    (1, 1, 2, 'units')
    """
    from scipy.special import ndtri

    n, size = codes.shape
    if n < 2:
        raise ValueError(f"active units: got {n} example, wanted at least 2 to see what varies")
    apart = codes - codes.mean(axis=0)
    variance, fourth = apart.var(axis=0), (apart**4).mean(axis=0)
    half = float(ndtri(1 - 0.025 / size)) * np.sqrt(np.maximum(fourth - variance**2, 0) / n)
    value, low, high = (int((v > ACTIVE).sum()) for v in (variance, variance - half, variance + half))
    return Estimate(
        name="active units",
        value=value,
        low=low,
        high=high,
        unit="units",
        kind="exact",
        varies=examples.varies,
        n=n,
        better="higher",
        protocol={**examples.protocol, "threshold": ACTIVE},
        method={"interval": "normal, of each unit's variance, Bonferroni", "of": size},
    )


def _probes(
    codes: NDArray[np.float64], test: Examples, known: NDArray[np.float64], training: Examples
) -> list[Estimate]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    y, labels = np.asarray(test.y), np.asarray(training.y)
    if len(np.unique(labels)) < 2 or len(np.unique(y)) < 2:
        raise ValueError("labels: got one class, wanted at least two to tell apart by the codes")
    if len(known) < NEIGHBORS:
        raise ValueError(f"training: got {len(known)} examples, wanted at least {NEIGHBORS} neighbors")
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    neighbors = KNeighborsClassifier(NEIGHBORS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a probe that has not converged is reported below
        probe.fit(known, labels)
    iterations = int(np.max(probe[-1].n_iter_))
    neighbors.fit(known, labels)
    protocol = {**test.protocol, "fitted on": len(known)}
    linear = {**protocol, "probe": "logistic regression, C = 1, on standardized codes"}
    nearest = {**protocol, "neighbors": NEIGHBORS, "distance": "Euclidean, of the codes as they are"}
    method = {"converged": iterations < 500}
    hits = [int((fitted.predict(codes) == y).sum()) for fitted in (probe, neighbors)]
    return [
        rate("linear-probe accuracy", hits[0], len(y), varies=test.varies, protocol=linear, method=method),
        rate("kNN accuracy", hits[1], len(y), varies=test.varies, protocol=nearest),
    ]
