"""Double descent: the test error over the number of parameters has a peak where training errors become 0."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.nn.initialize import initialize
from thalweg.randomness import generator

__all__ = ["Curve", "gaussian_risk", "mlp_threshold", "mlp_widths", "random_features"]

CUT = 1e-12  # of the largest singular value: smaller ones count as 0
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Curve:
    """Results over `widths`: test `mse`, test `error` (share of wrong classes) and `norm` of the solution.

    All three are (widths, settings, seeds), where the settings are ridges or steps. The mean of the mse over seeds has
    no finite expectation at the threshold; draw the median, on a logarithmic axis.
    """

    widths: tuple[int, ...]
    mse: Array
    error: Array
    norm: Array


def random_features(
    x: Array,
    y: Array,
    x_test: Array,
    y_test: Array,
    *,
    widths: Sequence[int],
    ridges: Sequence[float] = (0.0,),
    seeds: int = 5,
    classes: int = 10,
) -> Curve:
    """Fit one-hot labels by random ReLU features φ(x) = ReLU(xW)/√N, with W ~ N(0, 1/d), for several widths N.

    The solution minimizes ‖ΦA − Y‖² + λ‖A‖²; for λ = 0 it is the one of least norm, by a singular value decomposition.
    Without a ridge the test error has its maximum where the number of features is that of the examples `x` (n, d).

    Reference: *Reconciling modern machine-learning practice and the classical bias-variance trade-off*, Mikhail Belkin,
    Daniel Hsu, Siyuan Ma, Soumik Mandal, 2019, arXiv:1812.11118.

    >>> random = np.random.default_rng(0)
    >>> x, y = random.normal(size=(40, 5)), random.integers(0, 2, 40)
    >>> random_features(x, y, x, y, widths=[10, 80], seeds=1, classes=2).error[1].item()  # interpolates
    0.0
    """
    one_hot, target = np.eye(classes)[y], np.eye(classes)[y_test]
    shape = (len(widths), len(ridges), seeds)
    mse, error, norm = np.empty(shape), np.empty(shape), np.empty(shape)
    for seed in range(seeds):
        draw = np.random.default_rng(seed)
        for i, width in enumerate(widths):
            w = draw.normal(size=(x.shape[1], width)) / math.sqrt(x.shape[1])
            train, test = (np.maximum(a @ w, 0) / math.sqrt(width) for a in (x, x_test))
            u, s, vt = np.linalg.svd(train, full_matrices=False)
            kept = s > CUT * s[0]
            u, s, vt = u[:, kept], s[kept], vt[kept]
            for j, ridge in enumerate(ridges):
                a = vt.T @ ((s / (s**2 + ridge))[:, None] * (u.T @ one_hot))
                output = test @ a
                mse[i, j, seed] = np.square(output - target).sum(1).mean()
                error[i, j, seed] = (output.argmax(1) != y_test).mean()
                norm[i, j, seed] = np.linalg.norm(a)
    return Curve(tuple(widths), mse, error, norm)


def gaussian_risk(p: int, *, n: int, d: int, sigma: float) -> float:
    """Return the expected test error of least squares on p of d Gaussian features, from n examples, in closed form.

    y = xᵀβ + σε with x ~ N(0, I_d), ‖β‖ = 1 in a uniform direction, and the least-norm solution on the first p
    coordinates. With the signal ‖β_p‖² = p/d within them and r = 1 − p/d + σ² outside:

    - r (1 + p/(n − p − 1)) for p ≤ n − 2;
    - ∞ for n − 1 ≤ p ≤ n + 1;
    - (p/d)(1 − n/p) + r (1 + n/(p − n − 1)) for p ≥ n + 2.

    Reference: *Two models of double descent for weak features*, Mikhail Belkin, Daniel Hsu, Ji Xu, 2019,
    arXiv:1903.07571.

    >>> [round(gaussian_risk(p, n=40, d=200, sigma=0.5), 4) for p in (5, 20, 80, 200)]
    [1.4051, 2.3605, 1.9218, 1.1129]
    """
    rest = 1 - p / d + sigma**2
    if p <= n - 2:
        return rest * (1 + p / (n - p - 1))
    if p <= n + 1:
        return math.inf
    return p / d * (1 - n / p) + rest * (1 + n / (p - n - 1))


def mlp_threshold(n: int, d: int, classes: int) -> float:
    """Return the width H of one hidden layer at which the parameters (d + 1)H + (H + 1)K are as many as n·K.

    >>> round(mlp_threshold(4000, 784, 10), 1)
    50.3
    """
    return (n * classes - classes) / (d + 1 + classes)


def mlp_widths(
    x: Tensor,
    y: Tensor,
    x_test: Tensor,
    y_test: Tensor,
    *,
    widths: Sequence[int],
    steps: Sequence[int] = (2000,),
    lr: float = 5e-3,
    seeds: int = 3,
    classes: int = 10,
) -> Curve:
    """Train one hidden ReLU layer of several widths on the squared error of one-hot labels, with all examples at once.

    Adam with a constant rate for the first half of the steps, then falling linearly to 0; with several `steps` the rate
    is constant and the errors are those after each of them. Weights are drawn as `he`, those of the output times .1.
    """
    one_hot = nn.functional.one_hot(y, classes).to(x.dtype)
    target = nn.functional.one_hot(y_test, classes).to(x.dtype)
    shape = (len(widths), len(steps), seeds)
    mse, error, norm = np.empty(shape), np.empty(shape), np.empty(shape)
    for seed in range(seeds):
        for i, width in enumerate(widths):
            with torch.random.fork_rng([]):
                torch.manual_seed(int(torch.randint(2**31, (), generator=generator(seed, "double descent", width))))
                network = nn.Sequential(nn.Linear(x.shape[1], width), nn.ReLU(), nn.Linear(width, classes))
                initialize(network, "he")
            output_layer = network[2]
            assert isinstance(output_layer, nn.Linear)
            with torch.no_grad():
                output_layer.weight.mul_(0.1)
            optimizer = torch.optim.Adam(network.parameters(), lr=lr)
            last = max(steps)
            for step in range(1, last + 1):
                if len(steps) == 1:
                    optimizer.param_groups[0]["lr"] = lr * min(1.0, 2 * (1 - (step - 1) / last))
                optimizer.zero_grad()
                (network(x) - one_hot).square().sum(1).mean().backward()
                optimizer.step()
                if step in steps:
                    j = list(steps).index(step)
                    with torch.no_grad():
                        output = network(x_test)
                    mse[i, j, seed] = float((output - target).square().sum(1).mean())
                    error[i, j, seed] = float((output.argmax(1) != y_test).float().mean())
                    norm[i, j, seed] = math.sqrt(sum(float(p.detach().square().sum()) for p in network.parameters()))
    return Curve(tuple(widths), mse, error, norm)
