"""Measures: what a model is worth, each number an `Estimate` with its interval, unit, kind and protocol.

The room stands alone: it takes callables, or any module, and asks for abilities, never for a class.
"""

from thalweg.evaluation.distances import TwoSample, mmd2, sliced_wasserstein, wasserstein_1d
from thalweg.evaluation.estimate import Estimate, comparable, difference, differences
from thalweg.evaluation.findings import Findings, Missing
from thalweg.evaluation.intervals import jackknifed, mean_of, over_seeds, rate
from thalweg.evaluation.measures import evaluate, reference_of
from thalweg.evaluation.moments import Moments, frechet
from thalweg.evaluation.neighbors import Prdc, prdc
from thalweg.evaluation.reference import Features, Reference, raw_features
from thalweg.evaluation.samples import sample_measures

__all__ = [
    "Estimate",
    "Features",
    "Findings",
    "Missing",
    "Moments",
    "Prdc",
    "Reference",
    "TwoSample",
    "comparable",
    "difference",
    "differences",
    "evaluate",
    "frechet",
    "jackknifed",
    "mean_of",
    "mmd2",
    "over_seeds",
    "prdc",
    "rate",
    "raw_features",
    "reference_of",
    "sample_measures",
    "sliced_wasserstein",
    "wasserstein_1d",
]
