"""Measures of models, each value an `Estimate` with its interval, unit, kind and protocol.

The measures take callables, or any module, and ask for abilities, never for a class.
"""

from thalweg.evaluation.estimates.estimate import Estimate, comparable, difference, differences
from thalweg.evaluation.estimates.findings import Findings, Missing
from thalweg.evaluation.estimates.intervals import jackknifed, mean_of, over_seeds, rate
from thalweg.evaluation.groups import evaluate, reference_of
from thalweg.evaluation.measures.neighbors import Prdc, prdc
from thalweg.evaluation.measures.samples import sample_measures
from thalweg.evaluation.reference import Features, Reference, raw_features
from thalweg.evaluation.statistics.distances import TwoSample, mmd2, sliced_wasserstein, wasserstein_1d
from thalweg.evaluation.statistics.moments import Moments, frechet

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
