"""Mixtures of Gaussians over raw data: densities that can be sampled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.config import Discrete
from thalweg.nn.preprocess import Standardize

__all__ = ["Gaussians"]

Array = np.ndarray[Any, Any]


class Gaussians(nn.Module):
    """p(x) = Σ_k π_k N(x − c; μ_k, L_k L_kᵀ) of raw vectors, or of integer images plus uniform noise on [0, 1).

    c is the `center`, by default 0: subtracting it first avoids the loss of digits far from the origin. Uniform noise
    as wide as their step is added to `discrete` columns of vectors, and the logarithm of the step to the log-density:
    its mean is then a lower bound on the log-probability of the values. With a `basis` U (D, r) of orthonormal columns
    the Gaussians are those of Uᵀ(x − c), and the rest of x is N(0, `rest`) in every direction. All in float64.

    Reference: A note on the evaluation of generative models, L. Theis, A. van den Oord, M. Bethge, 2016,
    arXiv:1511.01844 (uniform dequantization).

    >>> unit = Gaussians(np.ones(1), np.zeros((1, 2)), np.eye(2)[None], shape=(2,))
    >>> unit.observation, round(float(unit.log_prob(torch.zeros(1, 2))), 4)
    ('continuous', -1.8379)
    """

    def __init__(
        self,
        weights: Array,
        means: Array,
        factors: Array,
        *,
        shape: Sequence[int],
        levels: int | None = None,
        discrete: Sequence[Discrete | None] = (),
        basis: Array | None = None,
        center: Array | None = None,
        rest: float = 0.0,
    ) -> None:
        super().__init__()
        self.shape, self.levels, self.rest = tuple(shape), levels, rest
        d = self.shape[0]
        self.columns = None if levels else Standardize([0.0] * d, [1.0] * d, self.shape, discrete)
        self.observation = "dequantized" if levels or any(discrete) else "continuous"
        self.log_weights, self.means = _fixed(np.log(weights)), _fixed(means)
        lower = np.tril_indices(means.shape[1])
        # the lower triangles, row by row: as many numbers as there are fitted parameters
        self.factors = _fixed(factors[:, *lower])
        self.basis = None if basis is None else _fixed(basis)
        origin = torch.zeros(math.prod(shape), dtype=torch.float64) if center is None else _fixed(center).data
        self.register_buffer("center", origin)

    center: Tensor

    def _factor(self, k: int) -> Tensor:
        d, device = self.means.shape[1], self.means.device
        factor, lower = self.means.new_zeros(d, d), torch.tril_indices(d, d, device=device)
        factor[lower[0], lower[1]] = self.factors[k]
        return factor

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the log-density (B,) of raw data in nats; levels and discrete columns get noise that is drawn here."""
        y = x.double()
        beside = y.new_zeros(())
        if self.observation == "dequantized":
            noise = torch.rand(y.shape, dtype=y.dtype, device=y.device)
            y = y + noise if self.columns is None else self.columns.dequantize(y, noise)
            beside = beside + (0.0 if self.columns is None else self.columns.log_steps)
        y = y.flatten(1) - self.center
        if self.basis is not None:
            d, r = self.basis.shape
            inside = y @ self.basis
            outside = y.square().sum(dim=1) - inside.square().sum(dim=1)
            y, beside = inside, beside - 0.5 * (outside / self.rest + (d - r) * math.log(2 * math.pi * self.rest))
        terms = []
        for k, mean in enumerate(self.means):
            factor = self._factor(k)
            z = torch.linalg.solve_triangular(factor, (y - mean).T, upper=False)
            terms.append(self.log_weights[k] - 0.5 * z.square().sum(dim=0) - factor.diagonal().log().sum())
        return torch.stack(terms).logsumexp(dim=0) - 0.5 * self.means.shape[1] * math.log(2 * math.pi) + beside

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `n` raw examples: float64 vectors, or uint8 images."""
        d, device = self.means.shape[1], self.means.device
        where = device if generator is None else generator.device
        shared: dict[str, Any] = {"generator": generator, "device": where, "dtype": torch.float64}
        component = torch.multinomial(self.log_weights.exp().to(where), n, replacement=True, generator=generator)
        component, y = component.to(device), torch.randn(n, d, **shared).to(device)
        for k in component.unique().tolist():
            rows = component == k
            y[rows] = self.means[k] + y[rows] @ self._factor(k).T
        if self.basis is not None:
            noise = torch.randn(n, len(self.basis), **shared).to(device)
            noise = noise - noise @ self.basis @ self.basis.T
            y = y @ self.basis.T + math.sqrt(self.rest) * noise
        y = (self.center + y).unflatten(1, self.shape)
        if self.columns is None:
            return y.floor().clamp(0, (self.levels or 1) - 1).to(torch.uint8)
        return self.columns.quantize(self.columns.dequantize(y, -0.5))


def _fixed(a: Array) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.ascontiguousarray(a, dtype=np.float64)), requires_grad=False)
