"""Measures: what a model is worth, each number an `Estimate` with its interval, unit, kind and protocol.

The room stands alone: it takes callables, or any module, and asks for abilities, never for a class.
"""

from thalweg.evaluation.estimate import Estimate, comparable, differences, mean_of, rate
from thalweg.evaluation.measures import evaluate

__all__ = ["Estimate", "comparable", "differences", "evaluate", "mean_of", "rate"]
