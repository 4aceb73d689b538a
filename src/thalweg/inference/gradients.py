"""Two estimators of the gradient of an expectation, one value per sample, so that their variance can be measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from thalweg.checks import choice, positive
from thalweg.randomness import fold

__all__ = ["gradient_draws"]


def gradient_draws(
    distribution: Callable[[Tensor], Distribution],
    f: Callable[[Tensor], Tensor],
    parameters: Float[Tensor, " P"],
    draws: int,
    *,
    estimator: Literal["reparameterized", "score-function"] = "reparameterized",
    baseline: float = 0.0,
    seed: int = 0,
) -> Float[Tensor, "draws P"]:
    """Return estimates of ∇_φ E f(z), z ~ q_φ, from one sample each: all are unbiased, and `var(0)` is their variance.

    "reparameterized": ∇_φ f(g(ε, φ)) for a sample z = g(ε, φ), the derivative of f times the signed derivative ∂g/∂φ.
    "score-function": (f(z) − baseline) ∇_φ log q_φ(z), which needs no derivative of f and no reparameterization. The
    baseline changes the variance only, as long as it does not depend on z.

    `distribution` maps parameters (n, P) to n independent distributions, `f` maps samples `(n, *event)` to values (n,).
    For f(z) = log p(x|z) p(z) − log q(z), with q at the current φ held constant, both estimate the gradient of the
    ELBO.

    Raises ValueError for a distribution that cannot be reparameterized.

    >>> from torch.distributions import Normal
    >>> distribution = lambda phi: Normal(phi[:, 0], 1.0)
    >>> square = lambda z: (z - 5.0) ** 2  # dE/dμ = 2(μ − 5) = −10 at μ = 0
    >>> for estimator in ("reparameterized", "score-function"):
    ...     g = gradient_draws(distribution, square, torch.zeros(1), 100_000, estimator=estimator)
    ...     print(f"{estimator}: mean {float(g.mean()):.0f}, variance {float(g.var()):.0e}")
    reparameterized: mean -10, variance 4e+00
    score-function: mean -10, variance 1e+03
    """
    choice("estimator", estimator, ("reparameterized", "score-function"))
    phi = parameters.detach().expand(positive("draws", draws), -1).clone().requires_grad_()
    # One distribution per draw, each with its own parameters: one backward pass gives the gradient of every draw.
    q = distribution(phi)
    if estimator == "reparameterized" and not q.has_rsample:
        raise ValueError(f"estimator: got reparameterized for {type(q).__name__}, wanted score-function")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold(seed, "gradient"))
        z = q.rsample() if estimator == "reparameterized" else q.sample()
    value = f(z) if estimator == "reparameterized" else (f(z) - baseline).detach() * q.log_prob(z)
    if value.shape != (draws,):
        raise ValueError(f"f: got values of shape {tuple(value.shape)}, wanted ({draws},), one per sample")
    return torch.autograd.grad(value.sum(), phi)[0]
