"""Variational inference for single examples, and the amortization gap of an encoder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Independent, Normal

from thalweg.checks import positive
from thalweg.randomness import fold

__all__ = ["AmortizationGap", "amortization_gap", "individual_posterior"]


class AmortizationGap(NamedTuple):
    """ELBOs (B,), nats, of the encoder's q(z|x) and of the best N(μ, diag σ²) for each single example."""

    amortized: Tensor
    individual: Tensor

    @property
    def gap(self) -> Tensor:
        """The amortization gap (B,), nats: nonnegative, up to Monte Carlo noise."""
        return self.individual - self.amortized


def individual_posterior(
    model: Any, x: Tensor, *, steps: int = 500, draws: int = 16, lr: float = 0.05, seed: int = 0
) -> Independent:
    """Return the N(μ_i, diag σ_i²) that maximizes the ELBO of each x_i for the fixed model, by gradient ascent.

    q*_i = argmin KL(q ‖ p(z|x_i)) over the family: which an encoder approximates for all examples by one function. The
    optimization starts from `model.posterior(x)` and uses Adam, with a rate that decays to 0 along a cosine, on `draws`
    new reparameterized samples per step, in pairs μ ± σ·ε.

    `model` has `prior`, `posterior(x)`, an `Independent(Normal)`, and `log_likelihood(x, z)`.

    Reference: *Inference Suboptimality in Variational Autoencoders*, Chris Cremer, Xuechen Li, David Duvenaud, 2018,
    arXiv:1801.03558.
    """
    positive("steps", steps)
    with torch.random.fork_rng(devices=[]), _still(model):
        torch.manual_seed(fold(seed, "individual"))
        start = model.posterior(x).base_dist
        mean = start.mean.detach().clone().requires_grad_()
        log_sigma = start.stddev.detach().log().requires_grad_()
        optimizer = torch.optim.Adam([mean, log_sigma], lr=positive("lr", lr))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            optimizer.zero_grad()
            (-_elbo(model, x, mean, log_sigma, draws)).sum().backward()
            optimizer.step()
            schedule.step()
    return Independent(Normal(mean.detach(), log_sigma.detach().exp()), 1)


def amortization_gap(
    model: Any, x: Tensor, *, steps: int = 500, draws: int = 16, lr: float = 0.05, seed: int = 0
) -> AmortizationGap:
    """Return the ELBOs of amortized and of individual inference, both estimated from the same 64·`draws` noise samples.

    log p(x) − ELBO of the encoder is the sum of this gap and of the approximation gap of Gaussians with diagonal
    covariance.

    >>> class Toy:  # z ~ N(0, 1), x|z ~ N(z, 1), and the encoder N(0, 1) for every x
    ...     prior = Independent(Normal(torch.zeros(1), torch.ones(1)), 1)
    ...     def posterior(self, x): return Independent(Normal(0 * x, torch.ones_like(x)), 1)
    ...     def log_likelihood(self, x, z): return Normal(z, 1.0).log_prob(x).sum(1)
    >>> gap = amortization_gap(Toy(), torch.ones(1, 1), steps=200, draws=128)
    >>> print(f"{float(gap.amortized):.1f} {float(gap.individual):.1f}")  # log p(1) = −1.5155
    -1.9 -1.5
    """
    best = individual_posterior(model, x, steps=steps, draws=draws, lr=lr, seed=seed)
    elbos = []
    for q in (model.posterior(x), best):
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(fold(seed, "gap"))
            mean, log_sigma = q.base_dist.mean, q.base_dist.stddev.log()
            elbos.append(torch.stack([_elbo(model, x, mean, log_sigma, draws) for _ in range(64)]).mean(0))
    return AmortizationGap(*elbos)


def _elbo(model: Any, x: Tensor, mean: Tensor, log_sigma: Tensor, draws: int) -> Float[Tensor, " B"]:
    """E log p(x, z), from pairs of samples, plus the closed-form entropy of q."""
    half = max(draws // 2, 1)
    eps = torch.randn(half, *mean.shape, device=mean.device)
    z = mean + log_sigma.exp() * torch.cat([eps, -eps])
    repeated = x.repeat(2 * half, *[1] * (x.ndim - 1))
    log_joint = model.log_likelihood(repeated, z.flatten(0, 1)).view(2 * half, -1) + model.prior.log_prob(z)
    return log_joint.mean(0) + Normal(mean, log_sigma.exp()).entropy().sum(1)


@contextmanager
def _still(model: Any) -> Iterator[None]:
    """A context in which the parameters of a module do not require gradients; other objects are unchanged."""
    wanting = [p for p in getattr(model, "parameters", list)() if p.requires_grad]
    try:
        for p in wanting:
            p.requires_grad_(False)
        yield
    finally:
        for p in wanting:
            p.requires_grad_(True)
