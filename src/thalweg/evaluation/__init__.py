"""Measures: what a model is worth, each number an `Estimate` with its interval, unit, kind and protocol.

The room stands alone: it takes callables, or any module, and asks for abilities, never for a class.
"""

from thalweg.evaluation.distances import TwoSample, mmd2, sliced_wasserstein, wasserstein_1d
from thalweg.evaluation.estimate import Estimate, comparable, differences, mean_of, rate
from thalweg.evaluation.measures import evaluate
from thalweg.evaluation.moments import Moments, frechet
from thalweg.evaluation.neighbors import Prdc, prdc
from thalweg.evaluation.samples import sample_measures

__all__ = [
    "Estimate",
    "Moments",
    "Prdc",
    "TwoSample",
    "comparable",
    "differences",
    "evaluate",
    "frechet",
    "mean_of",
    "mmd2",
    "prdc",
    "rate",
    "sample_measures",
    "sliced_wasserstein",
    "wasserstein_1d",
]
