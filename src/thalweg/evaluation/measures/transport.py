"""Optimal transport between two samples of features: the exact and the sliced Wasserstein distance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.evaluation.draws import BLOCKS, Draws
from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.intervals import jackknifed, mean_of
from thalweg.evaluation.statistics.distances import sliced_wasserstein
from thalweg.objectives.transport import optimal_coupling
from thalweg.randomness import generator

__all__ = ["Transport", "sliced_measures", "transport_measures", "wasserstein"]

MAX_EXAMPLES = 2_000  # of each: the exact plan takes less than a second, and time grows faster than the square
DIRECTIONS = 128


@dataclass(frozen=True)
class Transport:
    """W₁ and its dual potentials: `value` = mean f(x) + mean g(y), with f(x) + g(y) ≤ |x − y|."""

    value: float
    of_x: np.ndarray[Any, Any]
    of_y: np.ndarray[Any, Any]


def wasserstein(x: Tensor, y: Tensor) -> Transport:
    """Return the exact W₁ between `x` (n, d) and `y` (m, d) with equal weights: the minimum mean distance |x − y| of a
    plan.

    Computed by `optimal_coupling`: time grows faster than nm. Finite samples bias it upwards, more so in many
    dimensions.

    >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    >>> wasserstein(x, x + torch.tensor([0.0, 3.0])).value
    3.0
    """
    if x.ndim != 2 or x.shape[1:] != y.shape[1:]:
        raise ValueError(f"x, y: got shapes {tuple(x.shape)} and {tuple(y.shape)}, wanted (n, d) and (m, d)")
    plan, of_x, of_y = optimal_coupling(x, y)
    i, j = plan.nonzero()
    apart = torch.linalg.vector_norm(x.double()[i] - y.double()[j], dim=1).cpu().numpy()
    return Transport(float(plan[i, j] @ apart), of_x, of_y)


def transport_measures(draws: Draws) -> list[Estimate]:
    """Return the exact W₁ of features, from equally many examples and samples.

    W₁ is the maximum of mean f(x) + mean g(y) over potentials, so by the envelope theorem the optimal f(x) and g(y) are
    its derivatives with respect to the weights of the examples, and their variance is that of the infinitesimal
    jackknife, as in the central limit theorem for transport costs. The interval is for the mean of W₁ at this sample
    size, not for W₁ of the distributions.

    Reference: *Central limit theorems for empirical transportation cost in general dimension*, E. del Barrio, J.-M.
    Loubes, 2019, arXiv:1705.01299. *The jackknife, the bootstrap and other resampling plans*, B. Efron, 1982.
    """
    x, y = draws.few(MAX_EXAMPLES)
    result = wasserstein(x, y)
    method = {"interval": "Student, of the dual potentials", "bias": "upwards, by finite samples"}
    fields: dict[str, Any] = {
        "unit": "units",
        "kind": "estimate",
        "better": "lower",
        "method": method,
        **draws.fields(len(x), len(y)),
    }
    estimate = mean_of("W1", result.of_x + result.of_y, **fields)
    value = max(estimate.value, 0.0)  # negative only by rounding
    return [replace(estimate, value=value, low=max(estimate.low, 0.0), high=max(estimate.high, value))]


def sliced_measures(draws: Draws) -> list[Estimate]:
    """Return W₁ averaged over random directions."""
    x, y = draws.real.features, draws.fake.features
    turns = [torch.arange(len(z)) % BLOCKS for z in (x, y)]

    def sliced(out: int) -> float:
        directions = generator(draws.seed, "directions")  # the same directions for all blocks
        return sliced_wasserstein(x[turns[0] != out], y[turns[1] != out], projections=DIRECTIONS, generator=directions)

    method = {"bias": "upwards, by finite samples"}
    fields: dict[str, Any] = {"unit": "units", "least": 0.0, "better": "lower", "method": method}
    common = draws.fields(len(x), len(y), directions=DIRECTIONS)
    return [jackknifed("sliced W1", sliced(-1), [sliced(block) for block in range(BLOCKS)], **fields, **common)]
