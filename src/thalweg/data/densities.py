"""Distributions on R^d with exact log-densities, from which the toy data are drawn."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg.checks import positive
from thalweg.randomness import fold

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    Array = np.ndarray[Any, Any]

__all__ = ["Checkerboard", "Curves", "Density", "Mixture", "Pinwheel", "Rings"]

CHUNK = 512  # points at once, so that points × quadrature nodes in float64 fit in the cache


@dataclass(frozen=True, kw_only=True)
class Density(ABC):
    """A distribution on R^dim that can be sampled and has an exact log-density.

    >>> import torch
    >>> Checkerboard(name="board").log_prob(torch.tensor([[-3.0, -3.0], [-1.0, -3.0]]))
    tensor([-3.4657,    -inf], dtype=torch.float64)
    """

    name: str
    dim: int = 2
    extent: float = 4.0

    def sample(self, n: int, seed: int = 0) -> Array:
        """Draw `n` points, float32 (n, dim), a function of (seed, name)."""
        positive("n", n)
        return self._draw(np.random.default_rng(fold(seed, "density", self.name)), n).astype(np.float32)

    def log_prob(self, x: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
        """Return the log-density in nats, float64, −∞ outside the support. Raises ValueError for another dimension."""
        import torch

        if x.ndim != 2 or x.shape[1] != self.dim:
            raise ValueError(f"x: got shape {tuple(x.shape)}, wanted (B, {self.dim})")
        return torch.cat([self._log_prob(part.double()) for part in x.split(CHUNK)])

    @abstractmethod
    def _draw(self, rng: np.random.Generator, n: int) -> Array: ...
    @abstractmethod
    def _log_prob(self, x: Tensor) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class Mixture(Density):
    """Mixture of isotropic Gaussians: Σ_k w_k N(x; μ_k, σ_k² I)."""

    means: Sequence[Sequence[float]]
    stds: Sequence[float]
    weights: Sequence[float]

    def _draw(self, rng: np.random.Generator, n: int) -> Array:
        k = rng.choice(len(self.weights), n, p=self.weights)
        noise = rng.standard_normal((n, self.dim))
        return np.asarray(self.means)[k] + np.asarray(self.stds)[k, None] * noise

    def _log_prob(self, x: Tensor) -> Tensor:
        means, stds, weights = (x.new_tensor(a) for a in (self.means, self.stds, self.weights))
        return _log_gaussians(x, means, stds, weights.log())


@dataclass(frozen=True, kw_only=True)
class Curves(Density):
    """Isotropic Gaussian noise around plane curves c_k(t), k uniform: (1/K) Σ_k ∫₀¹ w(t) N(x; c_k(t), σ² I) dt.

    The integral is by Gauss-Legendre quadrature with nodes much closer than σ, with an error below 1e-9 nats on
    the data.
    `shape` is "moons" (two half circles, w = 1) or "spiral" (two arms, w = 2t: nearly even along the arm).
    """

    shape: str
    std: float
    nodes: int

    def _curve(self, t: Array) -> Array:
        """Return the points of both curves at t, (2, N, 2)."""
        if self.shape == "moons":  # unit radius, centered, then scaled by 2
            upper = np.stack([np.cos(np.pi * t) - 0.5, np.sin(np.pi * t) - 0.25], -1)
            return 2.0 * np.stack([upper, -upper])
        angle = 3.0 * np.pi * t
        arm = np.stack([-np.cos(angle) * angle, np.sin(angle) * angle], -1) / 3.0
        return np.stack([arm, -arm])

    def _draw(self, rng: np.random.Generator, n: int) -> Array:
        t = rng.random(n)
        points = self._curve(t if self.shape == "moons" else np.sqrt(t))
        return points[rng.integers(2, size=n), np.arange(n)] + self.std * rng.standard_normal((n, 2))

    def _log_prob(self, x: Tensor) -> Tensor:
        nodes, weights = np.polynomial.legendre.leggauss(self.nodes)
        t, weights = (nodes + 1) / 2, weights / 2
        weights = np.tile(weights * (1 if self.shape == "moons" else 2 * t), 2) / 2
        means = x.new_tensor(self._curve(t).reshape(-1, 2))
        return _log_gaussians(x, means, x.new_full((len(means),), self.std), x.new_tensor(np.log(weights)))


@dataclass(frozen=True, kw_only=True)
class Rings(Density):
    """Isotropic Gaussian noise around circles of radius R_k, k uniform, about 0.

    In closed form: mean over k of exp(−(r² + R_k²)/2σ²) I₀(r R_k/σ²) / 2πσ², with I₀ the Bessel function.
    """

    radii: Sequence[float]
    std: float

    def _draw(self, rng: np.random.Generator, n: int) -> Array:
        radius = np.asarray(self.radii)[rng.integers(len(self.radii), size=n)]
        angle = rng.uniform(0, 2 * np.pi, n)
        circle = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
        return circle + self.std * rng.standard_normal((n, 2))

    def _log_prob(self, x: Tensor) -> Tensor:
        import torch

        var, r, radii = self.std**2, x.norm(dim=1, keepdim=True), x.new_tensor(self.radii)
        each = -((r - radii) ** 2) / (2 * var) + torch.special.i0e(r * radii / var).log()
        return each.logsumexp(1) - math.log(2 * math.pi * var * len(self.radii))


@dataclass(frozen=True, kw_only=True)
class Pinwheel(Density):
    """Gaussian arms bent by a rotation that depends on the radius: x = R(2πk/K + e^{|w|/2}/4) w.

    The rotation preserves |w| and therefore areas: the density of x is that of w after the inverse rotation.
    """

    arms: int = 5
    mean: tuple[float, float] = (2.0, 0.0)
    std: tuple[float, float] = (0.5, 0.2)

    def _draw(self, rng: np.random.Generator, n: int) -> Array:
        w = rng.standard_normal((n, 2)) * self.std + self.mean
        r, arm = np.hypot(w[:, 0], w[:, 1]), 2 * np.pi / self.arms * rng.integers(self.arms, size=n)
        angle = np.arctan2(w[:, 1], w[:, 0]) + arm + np.exp(r / 2) / 4
        return np.stack([r * np.cos(angle), r * np.sin(angle)], -1)

    def _log_prob(self, x: Tensor) -> Tensor:
        import torch

        r = x.norm(dim=1, keepdim=True)
        arms = torch.arange(self.arms, device=x.device, dtype=x.dtype) * (2 * math.pi / self.arms)
        angle = torch.atan2(x[:, 1:], x[:, :1]) - arms - (r / 2).exp() / 4
        w = r[..., None] * torch.stack([angle.cos(), angle.sin()], -1)
        u = (w - x.new_tensor(self.mean)) / x.new_tensor(self.std)
        norm = math.log(2 * math.pi * math.prod(self.std) * self.arms)
        return (-0.5 * u.square().sum(-1)).logsumexp(1) - norm


@dataclass(frozen=True, kw_only=True)
class Checkerboard(Density):
    """Uniform on the 8 dark squares, of side 2, of a 4 × 4 board on [−4, 4]²: density 1/32 there, 0 elsewhere."""

    def _draw(self, rng: np.random.Generator, n: int) -> Array:
        column, half = rng.integers(4, size=n), rng.integers(2, size=n)
        corner = np.stack([column, 2 * half + column % 2], -1)
        # below 1 after rounding to float32, so that a point never falls on the next square
        inside = np.minimum(rng.random((n, 2)), 1 - 2**-20)
        return 2 * (corner + inside) - 4

    def _log_prob(self, x: Tensor) -> Tensor:
        cell = ((x + 4) / 2).floor()
        dark = (cell.sum(1) % 2 == 0) & ((cell >= 0) & (cell < 4)).all(1)
        return x.new_full((len(x),), -math.log(32)).masked_fill(~dark, -math.inf)


def _log_gaussians(x: Tensor, means: Tensor, stds: Tensor, log_weights: Tensor) -> Tensor:
    """log Σ_k w_k N(x; μ_k, σ_k² I), (B,)."""
    squared = (x.square().sum(1, keepdim=True) + means.square().sum(1) - 2 * x @ means.T).clamp(min=0)
    constant = log_weights - x.shape[1] * (stds.log() + 0.5 * math.log(2 * math.pi))
    return (constant - 0.5 * squared / stds.square()).logsumexp(1)
