"""The convergence rate of kernel density estimation: its exact mean integrated squared error on Gaussian mixtures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from thalweg.checks import positive

__all__ = ["GaussianMixture", "Rate", "mise", "rate", "smoothed"]


@dataclass(frozen=True)
class GaussianMixture:
    """The mixture Σ_k w_k N(x; μ_k, σ_k² I) on R^d: means (K, d), stds (K), weights (K), float64."""

    # The integrals below need products of densities (not their logarithms) of all pairs of components, which neither
    # `models.mixtures.GMM` (trainable, full covariances) nor the toy densities of `data` have.

    means: Float[Tensor, "K d"]
    stds: Float[Tensor, " K"]
    weights: Float[Tensor, " K"]

    @classmethod
    def of(cls, means: Sequence[Sequence[float]], stds: Sequence[float], weights: Sequence[float]) -> GaussianMixture:
        """Return the mixture with these parameters."""
        return cls(*(torch.tensor(v, dtype=torch.float64) for v in (means, stds, weights)))

    def prob(self, x: Float[Tensor, "B d"]) -> Float[Tensor, " B"]:
        """Return the density."""
        return self.weights @ _normal(self.means[:, None] - x.double(), self.stds[:, None])


class Rate(NamedTuple):
    """Errors at the optimal bandwidths for each number of examples, and the slope of log error against log n."""

    n: list[int]
    bandwidth: list[float]
    mise: list[float]
    slope: float


def smoothed(mixture: GaussianMixture, h: float) -> GaussianMixture:
    """Return p_h(x) = ∫ h^{−d} K((x − u)/h) p(u) du = E p̂(x), for Gaussian K: each σ² becomes σ² + h²."""
    return GaussianMixture(mixture.means, (mixture.stds**2 + positive("h", h) ** 2).sqrt(), mixture.weights)


def mise(mixture: GaussianMixture, n: int, h: float) -> float:
    """Return E ∫ (p̂ − p)² dx of a Gaussian kernel of bandwidth h around n examples of the mixture, exactly:

        (4π)^{−d/2} / (n h^d) + wᵀ[(1 − 1/n) Ω₂ − 2Ω₁ + Ω₀] w,  (Ω_a)_{jk} = N(μ_j − μ_k; 0, (σ_j² + σ_k² + a h²) I),

    where the first term is from the variance and the second from the squared bias and the rest of the variance.

    Reference: *Exact mean integrated squared error*, J. S. Marron, M. P. Wand, 1992.

    >>> normal = GaussianMixture.of([[0.0]], [1.0], [1.0])
    >>> round(mise(normal, 100, 0.4455), 5)
    0.00541
    """
    d = mixture.means.shape[1]
    apart, var = mixture.means[:, None] - mixture.means, (mixture.stds[:, None] ** 2 + mixture.stds**2)
    omega = [_normal(apart, (var + a * h**2).sqrt()) for a in (0, 1, 2)]
    inner = (1 - 1 / n) * omega[2] - 2 * omega[1] + omega[0]
    return (4 * math.pi) ** (-d / 2) / (n * h**d) + float(mixture.weights @ inner @ mixture.weights)


def rate(mixture: GaussianMixture, n: Sequence[int]) -> Rate:
    """Return the error of the optimal bandwidth for each n, and the slope of log error against log n by least squares.

    For densities of smoothness β = 2 and a kernel of order 2 it tends to −2β/(2β + d): −4/5 on the line, −4/6 in the
    plane. For smoother densities, a faster rate needs a kernel with negative values.

    >>> round(rate(GaussianMixture.of([[0.0]], [1.0], [1.0]), [10**8, 10**10]).slope, 2)
    -0.8
    """
    from scipy.optimize import minimize_scalar

    bandwidths, errors = [], []
    widest = float(mixture.stds.max())
    for count in n:
        result = minimize_scalar(
            lambda log_h, count=count: math.log(mise(mixture, count, math.exp(log_h))),
            bounds=(math.log(1e-4 * widest), math.log(2 * widest)),
            method="bounded",
            options={"xatol": 1e-6},
        )
        bandwidths.append(math.exp(result.x))
        errors.append(math.exp(result.fun))
    x, y = (torch.tensor(v, dtype=torch.float64).log() for v in (list(n), errors))
    x, y = x - x.mean(), y - y.mean()
    return Rate(list(n), bandwidths, errors, float(x @ y / (x @ x)))


def _normal(away: Float[Tensor, "... d"], std: Tensor) -> Tensor:
    """N(away; 0, std² I)."""
    d = away.shape[-1]
    return (-0.5 * away.square().sum(-1) / std**2).exp() / (2 * math.pi * std**2) ** (d / 2)
