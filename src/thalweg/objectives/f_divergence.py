"""f-divergences D_f(p‖q) = ∫ q f(p/q): of discrete distributions, of densities, and as lower bounds from samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from thalweg.checks import choice

__all__ = ["F_DIVERGENCES", "FDivergence", "f_divergence", "from_f"]

Map = Callable[[Tensor], Tensor]
STEPS = 60  # steps of the bisection and of Newton's method
FAR = 690.0  # largest log-ratio for which every f is finite in double precision


@dataclass(frozen=True, kw_only=True)
class FDivergence:
    """D_f(p‖q) = ∫ q f(p/q), f convex with f(1) = 0, and its bound D_f(p‖q) ≥ E_p ρ(r) − E_q f*(ρ(r)) for any r(x).

    f*(t) = sup_u ut − f(u) is the conjugate, `activation` = ρ maps any real r into its domain. The bound is tight
    where ρ(r(x)) = f′(p(x)/q(x)).

    Reference: *f-GAN: Training Generative Neural Samplers using Variational Divergence Minimization*, Sebastian
    Nowozin, Botond Cseke, Ryota Tomioka, 2016, arXiv:1606.00709.

    >>> kl = f_divergence("kl")
    >>> kl.discrete(torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.2, 0.6]))
    tensor(0.3601)
    """

    name: str
    f: Map  # on u > 0
    derivative: Map  # f′, on u > 0
    at_zero: float  # f(0), may be +∞: the cost of mass where p is 0
    slope: float  # lim f(u)/u, may be +∞: the cost of mass where q is 0
    conjugate: Map  # f*, +∞ above `below`
    conjugate_derivative: Map  # (f*)′ = (f′)⁻¹
    below: float  # upper end of the domain of f*
    activation: Map  # ρ
    conjugate_of_activation: Map  # f* ∘ ρ, computed without intermediate rounding
    score: Map  # the r at which the bound is tight, from log p/q

    def discrete(self, p: Float[Tensor, "*b K"], q: Float[Tensor, "*b K"]) -> Float[Tensor, " *b"]:
        """Return Σ_k q_k f(p_k/q_k), nats; it may be +∞ where one of p and q is 0."""
        both = (p > 0) & (q > 0)
        one = torch.ones_like(q)
        shared = torch.where(both, q, one) * self.f(torch.where(both, p, one) / torch.where(both, q, one))
        return (
            torch.where(both, shared, 0.0)
            + _charged(q, (q > 0) & (p <= 0), self.at_zero)
            + _charged(p, (p > 0) & (q <= 0), self.slope)
        ).sum(-1)

    def densities(self, log_p: Map, log_q: Map, low: float, high: float, points: int = 20_001) -> Float[Tensor, ""]:
        """Return the divergence of two densities on the line by Simpson's rule on [low, high], float64.

        `log_p` and `log_q` map points (N,) to log-densities (N,). Densities are clamped from below at e⁻⁷⁰⁰, and at
        e⁻⁶⁹⁰ times the other density.
        """
        x = torch.linspace(low, high, points // 2 * 2 + 1, dtype=torch.float64)
        p, q = (log(x).clamp(min=-700.0) for log in (log_p, log_q))
        p, q = torch.maximum(p, q - FAR), torch.maximum(q, p - FAR)
        values = q.exp() * self.f((p - q).exp())
        weights = torch.ones_like(x)
        weights[1:-1:2], weights[2:-1:2] = 4.0, 2.0
        return (weights * values).sum() * (high - low) / (len(x) - 1) / 3

    def terms(
        self, real: Float[Tensor, " N"], fake: Float[Tensor, " M"]
    ) -> tuple[Float[Tensor, " N"], Float[Tensor, " M"]]:
        """Return ρ(r) of scores r of samples of p, and f*(ρ(r)) of those of q: the bound's two integrands."""
        return self.activation(real), self.conjugate_of_activation(fake)

    def bound(self, real: Float[Tensor, " N"], fake: Float[Tensor, " M"]) -> Float[Tensor, ""]:
        """Return E_p ρ(r) − E_q f*(ρ(r)), in nats, from the scores r of samples of p and of q."""
        first, second = self.terms(real, fake)
        return first.mean() - second.mean()


def f_divergence(name: str) -> FDivergence:
    """Return the divergence of that name; raise ValueError for an unknown name.

    `js` is JS = ½ KL(p‖m) + ½ KL(q‖m) ≤ log 2, with m = (p + q)/2. `gan` = 2 JS is the maximum of a GAN's value
    function plus log 4. `squared-hellinger` is ∫(√p − √q)², `tv` ½∫|p − q|, `jeffreys` KL(p‖q) + KL(q‖p), `pearson` ∫(p
    − q)²/q, `neyman` ∫(p − q)²/p.
    """
    return F_DIVERGENCES[choice("divergence", name, F_DIVERGENCES)]


def from_f(name: str, f: Map, *, at_zero: float | None = None, slope: float | None = None) -> FDivergence:
    """Return the divergence of a smooth, strictly convex f; f′ and f* are computed numerically.

    With u = e^r, ρ(r) = f′(e^r) is in the domain of f* for any r, and f*(ρ(r)) = e^r f′(e^r) − f(e^r): the score r
    estimates log p/q. Differentiable once in f* and ρ.

    Args:
        name: name of the divergence.
        f: function on u > 0, elementwise, twice differentiable.
        at_zero: f(0), may be +∞; by default estimated near u = 10⁻⁴⁰.
        slope: lim f(u)/u for u → ∞, may be +∞; also the upper end of the domain of f*; by default estimated likewise.

    >>> le_cam = from_f("le-cam", lambda u: (1 - u) ** 2 / (2 * u + 2))  # ½ ∫ (p − q)²/(p + q)
    >>> le_cam.at_zero, le_cam.slope
    (0.5, 0.5)
    >>> le_cam.discrete(torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.2, 0.6]))
    tensor(0.1743)
    """

    at_zero = _limit(f, -40) if at_zero is None else at_zero
    slope = _limit(lambda u: f(u) / u, 40) if slope is None else slope

    def derivative(u: Tensor) -> Tensor:
        with torch.enable_grad():
            at = u if u.requires_grad else u.detach().requires_grad_()
            (slope_there,) = torch.autograd.grad(f(at).sum(), at, create_graph=u.requires_grad)
        return slope_there

    def inverse(t: Tensor) -> Tensor:
        low, high = torch.full_like(t, -300.0, dtype=torch.float64), torch.full_like(t, 300.0, dtype=torch.float64)
        for _ in range(STEPS):
            middle = (low + high) / 2
            above = derivative(middle.exp()) > t
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        return ((low + high) / 2).exp().to(t.dtype)

    def conjugate(t: Tensor) -> Tensor:
        u = inverse(t.detach())
        return _up_to(slope, t, u * t - f(u))  # by the envelope theorem the gradient is u as well

    return FDivergence(
        name=name,
        f=f,
        derivative=derivative,
        at_zero=at_zero,
        slope=slope,
        conjugate=conjugate,
        conjugate_derivative=inverse,
        below=slope,
        activation=lambda r: derivative(r.exp()),
        conjugate_of_activation=lambda r: r.exp() * derivative(r.exp()) - f(r.exp()),
        score=_same,
    )


def _limit(f: Map, digits: int) -> float:
    """Return the limit at 0 or ∞ of a function that converges or diverges there, from 10^digits and 10^(2·digits)."""
    near, nearer = f(torch.tensor([10.0**digits, 10.0 ** (2 * digits)], dtype=torch.float64)).tolist()
    return round(near, 12) if abs(near - nearer) < 1e-9 else math.inf


def _same(r: Tensor) -> Tensor:
    return r


def _charged(mass: Tensor, where: Tensor, cost: float) -> Tensor:
    """Return `mass` × `cost` where it applies, 0 elsewhere; the gradient there is finite even if the cost is +∞."""
    charge = torch.full_like(mass, cost) if math.isinf(cost) else mass * cost
    return torch.where(where, charge, 0.0)


def _up_to(end: float, t: Tensor, values: Tensor) -> Tensor:
    """Return `values` of a conjugate, and +∞ where t is outside of its domain."""
    return torch.where(t > end, math.inf, values)


def _log_lambert(y: Tensor) -> Tensor:
    """Return s with s + e^s = y, by Newton's method; e^s is Lambert's W(e^y)."""
    s = torch.where(y < 1, y, y.clamp(min=1).log())
    for _ in range(STEPS):
        s = s - (s + s.exp() - y) / (1 + s.exp())
    return s


def _jeffreys_conjugate(t: Tensor) -> Tensor:
    s = _log_lambert(1 - t)
    return s.exp() + (-s).exp() + t - 2


_LOG2, _INF = math.log(2), math.inf
F_DIVERGENCES = {
    divergence.name: divergence
    for divergence in (
        FDivergence(
            name="kl",
            f=lambda u: u * u.log(),
            derivative=lambda u: 1 + u.log(),
            at_zero=0.0,
            slope=_INF,
            conjugate=lambda t: (t - 1).exp(),
            conjugate_derivative=lambda t: (t - 1).exp(),
            below=_INF,
            activation=lambda r: 1 + r,  # shifted by one, so that the score estimates log p/q
            conjugate_of_activation=lambda r: r.exp(),
            score=_same,
        ),
        FDivergence(
            name="reverse-kl",
            f=lambda u: -u.log(),
            derivative=lambda u: -1 / u,
            at_zero=_INF,
            slope=0.0,
            conjugate=lambda t: _up_to(0.0, t, -1 - (-t).log()),
            conjugate_derivative=lambda t: -1 / t,
            below=0.0,
            activation=lambda r: -r.exp(),
            conjugate_of_activation=lambda r: -1 - r,
            score=lambda r: -r,
        ),
        FDivergence(
            name="squared-hellinger",
            f=lambda u: (u.sqrt() - 1).square(),
            derivative=lambda u: 1 - u.rsqrt(),
            at_zero=1.0,
            slope=1.0,
            conjugate=lambda t: _up_to(1.0, t, t / (1 - t)),  # equal to 1/(1/t − 1), but defined at t = 0
            conjugate_derivative=lambda t: (1 - t) ** -2,
            below=1.0,
            activation=lambda r: -torch.expm1(-r),
            conjugate_of_activation=torch.expm1,
            score=lambda r: r / 2,
        ),
        FDivergence(
            name="js",
            f=lambda u: 0.5 * (u * u.log() - (u + 1) * ((u + 1) / 2).log()),
            derivative=lambda u: 0.5 * (2 * u / (u + 1)).log(),
            at_zero=_LOG2 / 2,
            slope=_LOG2 / 2,
            conjugate=lambda t: _up_to(_LOG2 / 2, t, -0.5 * (2 - (2 * t).exp()).log()),
            conjugate_derivative=lambda t: 1 / (2 * (-2 * t).exp() - 1),
            below=_LOG2 / 2,
            activation=lambda r: 0.5 * (_LOG2 + logsigmoid(r)),
            conjugate_of_activation=lambda r: 0.5 * (softplus(r) - _LOG2),
            score=_same,
        ),
        FDivergence(
            name="gan",
            f=lambda u: u * u.log() - (u + 1) * (u + 1).log() + 2 * _LOG2,
            derivative=lambda u: (u / (u + 1)).log(),
            at_zero=2 * _LOG2,
            slope=0.0,
            conjugate=lambda t: _up_to(0.0, t, -(-torch.expm1(t)).log() - 2 * _LOG2),
            conjugate_derivative=lambda t: 1 / torch.expm1(-t),
            below=0.0,
            activation=logsigmoid,  # of the discriminator's logit
            conjugate_of_activation=lambda r: softplus(r) - 2 * _LOG2,
            score=_same,
        ),
        FDivergence(
            name="tv",
            f=lambda u: 0.5 * (u - 1).abs(),
            derivative=lambda u: 0.5 * (u - 1).sign(),
            at_zero=0.5,
            slope=0.5,
            conjugate=lambda t: _up_to(0.5, t, t.clamp(min=-0.5)),
            conjugate_derivative=lambda t: (t >= -0.5).to(t.dtype),
            below=0.5,
            activation=lambda r: 0.5 * r.tanh(),
            conjugate_of_activation=lambda r: 0.5 * r.tanh(),
            score=lambda r: torch.where(r == 0, r, r.sign() * _INF),
        ),
        FDivergence(
            name="jeffreys",
            f=lambda u: (u - 1) * u.log(),
            derivative=lambda u: u.log() + 1 - 1 / u,
            at_zero=_INF,
            slope=_INF,
            conjugate=_jeffreys_conjugate,
            conjugate_derivative=lambda t: (-_log_lambert(1 - t)).exp(),
            below=_INF,
            activation=lambda r: r + 1 - (-r).exp(),
            conjugate_of_activation=lambda r: torch.expm1(r) + r,
            score=_same,
        ),
        FDivergence(
            name="pearson",
            f=lambda u: (u - 1).square(),
            derivative=lambda u: 2 * (u - 1),
            at_zero=1.0,
            slope=_INF,
            conjugate=lambda t: torch.where(t < -2, -1.0, t.square() / 4 + t),
            conjugate_derivative=lambda t: (1 + t / 2).clamp(min=0),
            below=_INF,
            activation=_same,
            conjugate_of_activation=lambda r: torch.where(r < -2, -1.0, r.square() / 4 + r),
            score=lambda r: 2 * torch.expm1(r),
        ),
        FDivergence(
            name="neyman",
            f=lambda u: (u - 1) * (1 - 1 / u),  # avoids squares that overflow
            derivative=lambda u: 1 - u**-2,
            at_zero=_INF,
            slope=1.0,
            conjugate=lambda t: _up_to(1.0, t, 2 - 2 * (1 - t).sqrt()),
            conjugate_derivative=lambda t: (1 - t).rsqrt(),
            below=1.0,
            activation=lambda r: -torch.expm1(-r),
            conjugate_of_activation=lambda r: -2 * torch.expm1(-r / 2),
            score=lambda r: 2 * r,
        ),
    )
}
