"""The Parzen window estimate: a kernel density of samples, an outdated measure of generative models."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.abilities import Samples
from thalweg.checks import positive
from thalweg.evaluation.estimates.findings import Findings, Missing
from thalweg.evaluation.estimates.intervals import mean_of
from thalweg.evaluation.examples import Examples
from thalweg.evaluation.measures.samples import drawn
from thalweg.evaluation.reference import Reference
from thalweg.evaluation.subset import subset

__all__ = ["MEANINGS", "parzen_log_density", "parzen_measures"]

# samples, as in the papers; test examples; validation examples for the choice of σ
SAMPLES, MAX_EXAMPLES, CHOOSING = 10_000, 1000, 200

MEANINGS = {
    "Parzen window": "The log-density of held-out examples under Gaussian kernels centered at samples, in nats; "
    "higher is better. Many GAN papers report it although it ranks models wrongly: k-means centers of the training "
    "data get a higher value than the true distribution. Use it only for comparison with such papers.",
}


def parzen_measures(model: Samples, reference: Reference) -> Findings:
    """Return the mean log-density of test examples under Gaussian kernels around 10,000 samples of the model.

    The kernel's width maximizes the density of validation examples. Images are pixels in [0, 1], as in the papers;
    columns of vectors are divided by their standard deviation for the kernel, and the density is of raw values. There
    is no result for tokens.

    Reference: *A note on the evaluation of generative models*, L. Theis, A. van den Oord, M. Bethge, 2016,
    arXiv:1511.01844: section 3.2, against its use.
    """
    findings, spec = Findings(), reference.spec
    if spec.kind == "tokens":
        return findings
    if reference.validation is None:
        raise ValueError("validation: got no examples, wanted some to choose the kernel's width on")
    if spec.kind == "vector" and any(spec.discrete):
        reason = (
            "some columns are discrete: with narrower kernels, the kernel density of the samples grows without bound"
        )
        findings.missing.append(Missing("Parzen window", reason))
        return findings
    count, test = reference.samples or SAMPLES, subset(reference.test, MAX_EXAMPLES)
    scale = torch.ones(1, dtype=torch.float64)
    if spec.kind == "image":
        scale = scale * (spec.levels - 1 if spec.levels else 1)
    elif spec.std:
        scale = torch.tensor(spec.std, dtype=torch.float64)

    samples = drawn(model, count, spec, test, reference.seed).flatten(1)
    x, choosing = (_flat(examples) for examples in (test, subset(reference.validation, CHOOSING)))
    sigma = _best_width(choosing, samples, scale)
    values = parzen_log_density(x, samples, sigma, scale)
    if spec.kind == "image":
        quantity = "Parzen window: kernel density of pixels in [0, 1]"
    else:
        quantity, values = "Parzen window: kernel density of the raw values", values - float(scale.log().sum())
    protocol = {**test.protocol, "quantity": quantity, "samples": count}
    method = {"by": "sample", "σ": sigma, "σ chosen on": "validation examples", "seed": reference.seed}
    shared: dict[str, Any] = {"unit": "nats", "better": "higher", "kind": "estimate", "varies": test.varies}
    findings.add(mean_of("Parzen window", values, protocol=protocol, method=method, **shared))
    return findings


def parzen_log_density(
    x: Tensor, samples: Tensor, sigma: float, scale: Tensor | float = 1.0, chunk: int = 500
) -> np.ndarray[Any, Any]:
    """Return log 1/n Σ N(x; sample, σ² I), nats (N,), of `x` (N, d) under kernels around `samples` (n, d), in float64.

    Both are divided by `scale` first, and the density is of the quotient.

    >>> round(float(parzen_log_density(torch.zeros(1, 2), torch.zeros(5, 2), 1.0)[0]), 6)  # −log 2π
    -1.837877
    """
    positive("sigma", sigma)
    return np.concatenate([_smoothed(_squared(part, samples, scale), sigma, x.shape[1]) for part in x.split(chunk)])


def _squared(x: Tensor, samples: Tensor, scale: Tensor | float, chunk: int = 1000) -> Tensor:
    """Return squared distances (N, n); samples, which may be bytes, are converted to float64 in chunks."""
    x = x.double() / scale
    middle = x.mean(dim=0)  # near 0, products of rows lose fewer digits
    x, findings = x - middle, []
    for part in samples.split(chunk):
        y = part.double() / scale - middle
        findings.append(x.square().sum(dim=1)[:, None] + y.square().sum(dim=1) - 2 * x @ y.T)
    return torch.cat(findings, dim=1).clamp_(min=0)


def _smoothed(squared: Tensor, sigma: float, size: int) -> np.ndarray[Any, Any]:
    kernels = (squared * (-0.5 / sigma**2)).logsumexp(dim=1) - math.log(squared.shape[1])
    return (kernels - size * math.log(sigma * math.sqrt(2 * math.pi))).numpy()


def _best_width(x: Tensor, samples: Tensor, scale: Tensor) -> float:
    """Return the σ that maximizes the mean log-density of `x`, to 1 %."""
    from scipy.optimize import minimize_scalar

    squared = _squared(x, samples, scale)
    rms = math.sqrt(float(squared.mean()) / x.shape[1])
    if rms == 0:
        raise ValueError("Parzen window: got samples and examples that are all the same, wanted any spread")
    findings = minimize_scalar(
        lambda log_sigma: -float(_smoothed(squared, math.exp(log_sigma), x.shape[1]).mean()),
        bounds=(math.log(rms / 1000), math.log(2 * rms)),
        method="bounded",
        options={"xatol": 0.01},
    )
    return math.exp(float(findings.x))


def _flat(examples: Examples) -> Tensor:
    return torch.from_numpy(np.array(examples.x[:])).flatten(1)
