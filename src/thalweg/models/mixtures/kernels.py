"""Radial kernels on R^d, with exact normalizing constants in every dimension, and rule-of-thumb bandwidths."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from thalweg.checks import positive

__all__ = ["KERNELS", "Kernel", "rule_of_thumb"]


class Kernel(NamedTuple):
    """K(u) = c (1 − ‖u‖²)₊^power, c = Γ(d/2 + power + 1) / (π^{d/2} power!); if the power is None, N(u; 0, I).

    >>> round(math.exp(KERNELS["epanechnikov"].log_constant(1)), 6)  # ¾ (1 − u²)
    0.75
    """

    power: int | None

    def log_constant(self, d: int) -> float:
        """Return log c: of N(0, I), −(d/2) log 2π."""
        return -0.5 * d * math.log(2 * math.pi) if self.power is None else _log_constant(d, self.power)

    def log_sum(self, squared: Float[Tensor, "B n"]) -> Float[Tensor, " B"]:
        """Return log Σ_i K(u_i)/c of squared lengths ‖u_i‖², −∞ where every u_i is outside of the support."""
        if self.power is None:
            return (-0.5 * squared).logsumexp(1)
        inside = (1 - squared).clamp(min=0)
        return (inside**self.power if self.power else inside > 0).sum(1, dtype=squared.dtype).log()

    def draw(self, n: int, d: int, generator: torch.Generator | None, device: torch.device) -> Float[Tensor, "n D"]:
        """Draw n points of K, float64: of a compact kernel, a direction and ‖u‖² ~ Beta(d/2, power + 1)."""
        where = device if generator is None else generator.device
        normal = torch.randn(n, d, generator=generator, device=where, dtype=torch.float64)
        if self.power is None:
            return normal.to(device)
        # ‖u‖² = A/(A + B), A ~ Gamma(d/2) half the squared length of d normal numbers, B ~ Gamma(power + 1) a sum of
        # exponential ones
        uniform = torch.rand(n, self.power + 1, generator=generator, device=where, dtype=torch.float64)
        rest = -(-uniform).log1p().sum(1, keepdim=True)
        own = 0.5 * normal.square().sum(1, keepdim=True)
        return (normal / (2 * (own + rest)).sqrt()).to(device)

    def canonical(self, d: int) -> float:
        """Return (R/μ₂²)^{1/(d+4)}, R = ∫K² and μ₂ = ∫u₁²K: bandwidths in this ratio have the same smoothing effect.

        Reference: *Canonical kernels for density estimation*, J. S. Marron, Douglas Nolan, 1988.
        """
        if self.power is None:
            log_ratio = -0.5 * d * math.log(4 * math.pi)
        else:
            roughness = 2 * _log_constant(d, self.power) - _log_constant(d, 2 * self.power)
            log_ratio = roughness + 2 * math.log(d + 2 * self.power + 2)
        return math.exp(log_ratio / (d + 4))


def _log_constant(d: int, power: int) -> float:
    return math.lgamma(d / 2 + power + 1) - math.lgamma(power + 1) - 0.5 * d * math.log(math.pi)


KERNELS = {"gaussian": Kernel(None), "epanechnikov": Kernel(1), "biweight": Kernel(2), "tophat": Kernel(0)}


def rule_of_thumb(name: str, n: int, d: int, kernel: Kernel = KERNELS["gaussian"]) -> float:
    """Return the bandwidth h for n examples of d columns of unit variance.

    "silverman": (4/((d + 2)n))^{1/(d+4)}, optimal for Gaussian data and a Gaussian kernel; "scott": n^{−1/(d+4)}. For
    other kernels it is scaled to the same smoothing effect.

    Reference: *Density Estimation for Statistics and Data Analysis*, Bernard Silverman, 1986, section 4.3.

    >>> round(rule_of_thumb("silverman", 1, 1), 4)
    1.0592
    """
    positive("n", n)
    factor = {"silverman": (4 / (d + 2)) ** (1 / (d + 4)), "scott": 1.0}[name]
    return factor * n ** (-1 / (d + 4)) * kernel.canonical(d) / KERNELS["gaussian"].canonical(d)
