"""The Fréchet distance between samples and held-out examples, and its extrapolation to infinitely many."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

import torch

from thalweg.evaluation.draws import BLOCKS, MAX_FEATURES, Draws
from thalweg.evaluation.estimates.findings import Findings, Missing
from thalweg.evaluation.estimates.intervals import jackknifed, mean_of
from thalweg.evaluation.statistics.moments import frechet, frechet_of_few

__all__ = ["frechet_measures"]

FEW = 2_000  # examples, if moments are not available: the time of singular values is cubic


def frechet_measures(draws: Draws) -> Findings:
    """Return the squared Fréchet distance with a jackknife interval, and its limit for infinitely many samples.

    The distance of n samples and n examples is F∞ + c/n to first order. A line in 1/n through the sample sizes n and
    9n/10, the latter averaged over the ten blocks of both that can be left out, reaches F∞ = 10 Fₙ − 9 F₉ₙ/₁₀ at 1/n =
    0: the mean of the jackknife's pseudo-values, whose Student's interval is used. Every example is in equally many of
    the smaller samples, so sample sizes close to n, where the line is accurate, cost no precision.

    Reference: *Effectively unbiased FID and inception score and where to find them*, M. J. Chong, D. Forsyth, 2020,
    arXiv:1911.07023. *The jackknife, the bootstrap and other resampling plans*, B. Efron, 1982.
    """
    whole, left_out, fields = _gaps(draws)
    fields |= {"unit": "units²", "kind": "estimate", "better": "lower"}
    biased = {"bias": "upwards, by finite samples"}
    distance = jackknifed("Fréchet distance", whole, left_out, least=0.0, method=biased, **fields)
    findings, features = Findings([distance]), draws.real.features.shape[1]
    name, wanted = "Fréchet distance (n→∞)", features * BLOCKS // (BLOCKS - 1) + 1
    n = min(fields["protocol"]["n_real"], fields["protocol"]["n_fake"])
    if n < wanted:
        few = f"got {n:,} examples of {features:,} features, wanted at least {wanted:,}: below, the bias is not c/n"
        wide = f"got {features:,} features, wanted at most {MAX_FEATURES:,} to take the moments of"
        findings.missing.append(Missing(name, few if features <= MAX_FEATURES else wide))
        return findings
    assert distance.parts is not None
    how = f"line in 1/n through n and {BLOCKS - 1}n/{BLOCKS}, Student of {BLOCKS} jackknife pseudo-values"
    findings.add(mean_of(name, distance.parts, method={"interval": how, "unbiased": "may be negative"}, **fields))
    return findings


def _gaps(draws: Draws) -> tuple[float, list[float], dict[str, Any]]:
    """Return the distance of all examples, those without each block, and the fields of their estimate."""
    if draws.real.moments:
        real, fake = (reduce(add, stream.moments) for stream in (draws.real, draws.fake))
        pairs = zip(draws.real.moments, draws.fake.moments, strict=True)
        left_out = [frechet(real - a, fake - b) for a, b in pairs]
        return frechet(real, fake), left_out, draws.fields(draws.real.count, draws.fake.count)
    x, y = draws.real.features[:FEW], draws.fake.features[:FEW]
    turns = [torch.arange(len(z)) % BLOCKS for z in (x, y)]
    left_out = [frechet_of_few(x[turns[0] != b], y[turns[1] != b]) for b in range(BLOCKS)]
    return frechet_of_few(x, y), left_out, draws.fields(len(x), len(y))
