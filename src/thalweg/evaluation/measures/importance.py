"""Importance-weighted bounds: from the ELBO with one draw of the posterior to a tighter bound with 64 draws."""

from __future__ import annotations

import math
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from thalweg.abilities import HasLogLikelihood, HasPosterior, HasPrior
from thalweg.evaluation.estimates.figures import Axis, Curve
from thalweg.evaluation.estimates.findings import Findings
from thalweg.evaluation.estimates.intervals import mean_of
from thalweg.evaluation.examples import Examples
from thalweg.evaluation.measures.likelihood import bits_of, nats_and_bits, observation_of, quantity_of
from thalweg.evaluation.reference import Reference
from thalweg.evaluation.subset import subset

__all__ = ["MEANINGS", "LatentVariableModel", "importance_curve", "importance_measures", "log_weights"]

MAX_EXAMPLES, DRAWS = 500, 64  # examples, and draws of each; the decoder runs on all draws

MEANINGS = {
    "IWAE-64": "A lower bound on the log-likelihood from 64 importance samples of q(z|x) per example, tighter than "
    "the ELBO; higher is better. The gap depends on q: with a poor encoder, a good decoder gets a low value.",
    "IWAE-64 bits/dim": "The same bound in bits per value of an example; lower is better. It is an upper bound on "
    "bits/dim.",
}


@runtime_checkable
class LatentVariableModel(HasPrior, HasPosterior, HasLogLikelihood, Protocol):
    """A prior, an approximate posterior and an observation model."""


def importance_measures(model: LatentVariableModel, reference: Reference) -> Findings:
    """Return the importance-weighted bound of 64 draws, and the curve of the bound over 1, 2, 4 ... draws."""
    findings = Findings()
    examples, observation = subset(reference.test, MAX_EXAMPLES), observation_of(model, reference.spec)
    quantity, curve = quantity_of(observation, reference.spec), importance_curve(log_weights(model, examples, DRAWS))
    shared: dict[str, Any] = {"unit": "nats", "better": "higher", "varies": examples.varies}
    means = {k: mean_of(f"IWAE-{k}", values, **shared) for k, values in curve.items()}
    findings.figures = [
        Curve(
            section="bounds",
            panel=quantity,
            x_axis=Axis(label="K", scale="log2"),
            y_axis=Axis(label="bound, nats"),
            x=[float(k) for k in means],
            y=[m.value for m in means.values()],
            low=[m.low for m in means.values()],
            high=[m.high for m in means.values()],
            sizes=[1.0] * len(means),
        )
    ]
    method = {"by": "posterior", "observation": observation, "seed": examples.seed, "batch size": examples.batch_size}
    if observation == "dequantized":
        method["noise"] = "drawn anew with each z"
    bits = bits_of(observation, reference.spec)
    findings.add(nats_and_bits(f"IWAE-{DRAWS}", curve[DRAWS], examples, quantity=quantity, bits=bits, method=method))
    return findings


@torch.no_grad()
def log_weights(model: LatentVariableModel, examples: Examples, draws: int) -> np.ndarray[Any, Any]:
    """Return log p(x|z) + log p(z) − log q(z|x), nats (N, draws), for `draws` z from q = `model.posterior(x)` each.

    Each weight is an unbiased estimate of p(x). The noise of dequantization is one more latent variable, uniform under
    p and q, which `log_likelihood` draws anew for each z: the weight is unbiased for the probability of the levels, not
    of one dequantized image.

    The decoder runs on one draw of a batch at a time.

    Raises ValueError if a distribution does not return one value per example.
    """
    findings = np.empty((len(examples.x), draws))
    for rows, x in examples.batches():
        with examples.noise("importance", rows):
            posterior, prior = model.posterior(x), model.prior
            for k in range(draws):
                z = posterior.sample()
                parts = {
                    "log_likelihood": model.log_likelihood(x, z),
                    "prior": prior.log_prob(z),
                    "posterior": posterior.log_prob(z),
                }
                findings[rows, k] = _one_each(parts, len(x)).cpu().numpy()
    return findings


def _one_each(parts: dict[str, Tensor], count: int) -> Tensor:
    for name, value in parts.items():
        if value.shape != (count,):
            raise ValueError(f"{name}: got values of shape {tuple(value.shape)}, wanted ({count},), one per example")
    values = {name: value.double() for name, value in parts.items()}
    return values["log_likelihood"] + values["prior"] - values["posterior"]


def importance_curve(weights: np.ndarray[Any, Any]) -> dict[int, np.ndarray[Any, Any]]:
    """Return log 1/K Σ w_k, (N,) nats, for K = 1, 2, 4 ... up to the number of draws, from log w (N, draws).

    For each K it is the mean over disjoint groups of K draws. Its expectation, that of K new draws, grows with K
    towards log p(x), and the curve of a power of two draws never falls, since all K use the same draws.

    Reference: *Importance weighted autoencoders*, Y. Burda, R. Grosse, R. Salakhutdinov, 2016, arXiv:1509.00519.

    >>> curve = importance_curve(np.log([[1.0, 3.0]]))
    >>> {k: round(float(v[0]), 4) for k, v in curve.items()}  # (log 1 + log 3) / 2, and log of (1 + 3) / 2
    {1: 0.5493, 2: 0.6931}
    """
    draws, curve = weights.shape[1], {}
    for k in (2**i for i in range(draws.bit_length())):
        groups = weights[:, : draws - draws % k].reshape(len(weights), -1, k)
        curve[k] = (np.logaddexp.reduce(groups, axis=2) - math.log(k)).mean(axis=1)
    return curve
