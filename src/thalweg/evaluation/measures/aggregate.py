"""Comparison of the aggregate posterior, the distribution of the codes of all data, with the prior."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution

from thalweg.abilities import Encodes, HasPosterior, HasPrior
from thalweg.evaluation.draws import BLOCKS, MIN_EXAMPLES
from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.findings import Findings
from thalweg.evaluation.estimates.intervals import jackknifed
from thalweg.evaluation.examples import Examples, seeded
from thalweg.evaluation.measures.latents import Drawn, codes_of
from thalweg.evaluation.reference import Reference
from thalweg.evaluation.statistics.distances import median_distance, mmd2
from thalweg.evaluation.statistics.moments import Moments
from thalweg.evaluation.subset import subset
from thalweg.randomness import generator

__all__ = ["MEANINGS", "aggregate_kl", "aggregate_measures", "aggregate_mmd2"]

MAX_EXAMPLES, PERMUTATIONS = 2_000, 199  # all pairs of codes, in about a second

MEANINGS = {
    "aggregate MMD²": "The squared maximum mean discrepancy between the codes of held-out examples and as many draws "
    "of the prior, with a Gaussian kernel whose bandwidth is the median distance between draws of the prior: 0 if the "
    "codes together have the prior's distribution. The estimate is unbiased, so for a good model it is as often below "
    "0 as above. Its p-value tests whether the distributions are equal. Codes of pure noise have the prior's "
    "distribution, too, and reconstruct nothing. Codes of other lengths have another kernel, and a row of their own.",
    "aggregate KL": "The KL divergence, in nats, from a Gaussian with the mean and covariance of the codes to one "
    "with those of the prior: 0 if these agree, however much the distributions differ otherwise. The bias of a finite "
    "number of codes is subtracted, so for a good model it can be below 0. It is a sum over latent dimensions: codes "
    "of other lengths have a row of their own.",
}


class CodesWithPrior(Encodes, HasPrior, Protocol):
    """An encoder, and the prior of its codes."""


def aggregate_measures(model: CodesWithPrior, reference: Reference) -> Findings:
    """Return distances between the aggregate posterior of the test examples and the prior.

    Codes are one draw z ~ `posterior(x)` per example, or `encode(x)` if the encoder is deterministic, of at most 2,000
    examples.

    Reference: *Wasserstein Auto-Encoders*, Ilya Tolstikhin et al., 2018, arXiv:1711.01558. *ELBO surgery*, M. D.
    Hoffman, M. J. Johnson, 2016.
    """
    findings = Findings()
    examples = subset(reference.test, MAX_EXAMPLES)
    codes = torch.from_numpy(codes_of(Drawn(model) if isinstance(model, HasPosterior) else model, examples))
    findings.attempt("aggregate MMD²", lambda: aggregate_mmd2(codes, model.prior, examples))
    findings.attempt("aggregate KL", lambda: aggregate_kl(codes, model.prior, examples))
    return findings


def aggregate_mmd2(codes: Tensor, prior: Distribution, examples: Examples) -> Estimate:
    """Return the unbiased MMD² between `codes` (n, d) and n draws of the `prior`, with the p-value of a permutation
    test.

    The kernel is exp(−‖z − z′‖²/2s²) with s the median distance between draws of the prior, so it is the same for all
    models with that prior.
    """
    _check(codes, prior)
    with seeded(examples.seed, "prior", device=examples.device):
        z = prior.sample((len(codes),)).double().cpu()
    width = median_distance(z, generator=generator(examples.seed, "bandwidth"))
    random = generator(examples.seed, "permutations")
    findings = mmd2(codes, z, bandwidth=width, permutations=PERMUTATIONS, blocks=BLOCKS, generator=random)
    method = {"bandwidth": width, "p-value": findings.p_value, "unbiased": "may be negative"}
    fields = _fields(examples, codes, kernel="Gaussian, of the median distance of the prior")
    return jackknifed("aggregate MMD²", findings.value, findings.left_out, n=len(codes), method=method, **fields)


def aggregate_kl(codes: Tensor, prior: Distribution, examples: Examples) -> Estimate:
    """Return KL(N(m, S) ‖ N(μ, Σ)) in nats, with m and S the moments of the distribution of `codes` (n, d), μ and Σ the
    prior's.

    The plug-in value ½ (tr Σ⁻¹S + (m − μ)ᵀΣ⁻¹(m − μ) − d + log |Σ| − log |S|) is, for Gaussian codes, biased upwards by
    ½ (tr Σ⁻¹S/n − Σᵢ ψ((n − i)/2) + d log((n − 1)/2)), i = 1 … d, which is subtracted. `method` has the term of the
    means, which is unbiased for codes of any distribution.

    >>> from torch.distributions import Independent, Normal
    >>> codes = 1 + torch.randn(2000, 3, generator=torch.Generator().manual_seed(0))  # ½ · 3 · 1² nats
    >>> print(aggregate_kl(codes, Independent(Normal(torch.zeros(3), 1.0), 1), Examples(codes.numpy())))
    1.455 ± 0.090 nats
    """
    _check(codes, prior)
    n, size = codes.shape
    if n * (BLOCKS - 1) // BLOCKS <= size:
        raise ValueError(f"test examples: got {n}, wanted more of them for a covariance of {size} numbers")
    parts = [Moments.of(codes[block::BLOCKS]) for block in range(BLOCKS)]
    whole = sum(parts[1:], parts[0])
    of_prior = _gaussian(prior)
    value, of_means = _divergence(whole, *of_prior)
    left_out = [_divergence(whole - part, *of_prior)[0] for part in parts]
    method = {"of the means": of_means, "unbiased": "for Gaussian codes; may be negative"}
    return jackknifed("aggregate KL", value, left_out, n=n, unit="nats", method=method, **_fields(examples, codes))


def _divergence(codes: Moments, mean: Tensor, covariance: Tensor) -> tuple[float, float]:
    """Return the divergence and its term of the means, both without bias."""
    n, size = codes.count, len(mean)
    apart, spread = codes.mean - mean, torch.linalg.solve(covariance, codes.covariance).trace()
    of_means = (apart @ torch.linalg.solve(covariance, apart) - spread / n) / 2
    halves = (n - torch.arange(1, size + 1, dtype=torch.float64)) / 2
    log_det = torch.logdet(codes.covariance) - (halves.digamma() - math.log((n - 1) / 2)).sum()
    return float(of_means + (spread - size + torch.logdet(covariance) - log_det) / 2), float(of_means)


def _gaussian(prior: Distribution) -> tuple[Tensor, Tensor]:
    """Return the mean and the covariance of the prior."""
    from torch.distributions import Independent

    if hasattr(prior, "covariance_matrix"):
        covariance = prior.covariance_matrix
    elif isinstance(prior, Independent):
        covariance = prior.variance.diag()
    else:
        raise ValueError(f"prior: got {type(prior).__name__}, wanted one with a known covariance")
    return prior.mean.double().cpu(), covariance.double().cpu()


def _check(codes: Tensor, prior: Distribution) -> None:
    if len(codes) < MIN_EXAMPLES:
        raise ValueError(f"test examples: got {len(codes)}, wanted at least {MIN_EXAMPLES}")
    if tuple(prior.event_shape) != tuple(codes.shape[1:]):
        raise ValueError(f"prior: got events of shape {tuple(prior.event_shape)}, wanted ({codes.shape[1]},) as codes")


def _fields(examples: Examples, codes: Tensor, **protocol: Any) -> dict[str, Any]:
    protocol = {**examples.protocol, "latent dimensions": codes.shape[1], **protocol, "seed": examples.seed}
    return {"better": "lower", "varies": examples.varies, "protocol": protocol}
