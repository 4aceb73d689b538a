"""Annealed importance sampling by Hamiltonian Monte Carlo, from a prior to a posterior."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["LEAPFROG", "WANTED", "Annealed", "Point", "anneal", "point", "sigmoid_schedule", "transition"]

LEAPFROG = 3  # per transition: the same time is better spent on more temperatures than on longer trajectories
WANTED = 0.65  # target acceptance rate (Beskos et al., 2013, arXiv:1001.4460)
FIRST, GAIN = 0.5, 0.2  # initial step size, and its adaptation rate

Law = Callable[[Tensor], Tensor]  # of z (B, d), (B,) nats


class Annealed(NamedTuple):
    """Result of the chains: log-weights (T, B) after each change of β, step sizes (T, B), and the acceptance rate."""

    log_weights: Tensor
    steps: Tensor
    acceptance: float


class Point(NamedTuple):
    """The state of the chains: z (B, d), both log-densities there (B,), and their gradients (B, d)."""

    z: Tensor
    prior: Tensor
    likelihood: Tensor
    prior_slope: Tensor
    likelihood_slope: Tensor

    def log_density(self, beta: Tensor) -> Tensor:
        """Return log p(z) + β log p(x|z), (B,)."""
        return self.prior + beta * self.likelihood

    def slope(self, beta: Tensor) -> Tensor:
        """Return the gradient of `log_density`, (B, d)."""
        return self.prior_slope + beta[..., None].to(self.z) * self.likelihood_slope


def point(log_prior: Law, log_likelihood: Law, z: Tensor) -> Point:
    """Return the log-densities and their gradients at z; gradients of parameters are not computed."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        parts = []
        for law in (log_prior, log_likelihood):
            value = law(z)
            if value.shape != (len(z),):
                raise ValueError(f"log_likelihood: got shape {tuple(value.shape)}, wanted ({len(z)},), one a code")
            parts += [value.detach().double(), torch.autograd.grad(value.sum(), z)[0]]
    return Point(z.detach(), parts[0], parts[2], parts[1], parts[3])


def transition(
    log_prior: Law, log_likelihood: Law, at: Point, beta: Tensor, step: Tensor, leapfrog: int = LEAPFROG
) -> tuple[Point, Tensor]:
    """Return the next state of chains with invariant density p(z) p(x|z)^β, and the acceptance probability (B,).

    The proposal is a Hamiltonian trajectory of `leapfrog` steps of size `step` (B,) from a new Gaussian momentum,
    accepted with probability min(1, e^−ΔH). States that are not finite are rejected. Noise is from torch's global
    generator.

    Reference: *MCMC using Hamiltonian dynamics*, R. M. Neal, 2011, arXiv:1206.1901.
    """
    size = step[:, None].to(at.z)
    momentum = torch.randn_like(at.z)
    before = at.log_density(beta) - 0.5 * momentum.double().square().sum(dim=1)
    new, momentum = at, momentum + 0.5 * size * at.slope(beta)
    for i in range(leapfrog):
        new = point(log_prior, log_likelihood, new.z + size * momentum)
        momentum = momentum + (1.0 if i < leapfrog - 1 else 0.5) * size * new.slope(beta)
    after = new.log_density(beta) - 0.5 * momentum.double().square().sum(dim=1)
    chance = torch.nan_to_num((after - before).clamp(max=0).exp(), nan=0.0)
    taken = torch.rand_like(chance) < chance
    return Point(
        *(torch.where(taken.view(-1, *[1] * (b.ndim - 1)), b, a) for a, b in zip(at, new, strict=True))
    ), chance


def anneal(
    log_prior: Law, log_likelihood: Law, z: Tensor, betas: Tensor, *, steps: Tensor | None = None, chains: int = 1
) -> Annealed:
    """Return the log-weights of chains from z (B, d) through densities p(z) p(x|z)^β, `betas` (T + 1, B) or (T + 1, 1).

    log w = Σ_t (β_t − β_{t−1}) log p(x|z_{t−1}), with one transition at β_t between two terms. From z of the prior and
    β from 0 to 1, E[w] = p(x); from z of the posterior and β from 1 to 0, E[w] = 1/p(x). So in expectation the log of
    an average of the former is a lower bound on log p(x), and minus the log of an average of the latter an upper bound.

    `steps` (T, B) are step sizes at each β that are fixed in advance; the bounds are then exact. Without them, step
    sizes are adapted to an acceptance rate of 65 %, with one size for the `chains` of an example (rows are ordered by
    chain). Such weights are slightly biased, because step sizes depend on the chain's past: use them only for pilot
    runs.

    Reference: *Annealed importance sampling*, R. M. Neal, 2001. *On the quantitative analysis of decoder-based
    generative models*, Y. Wu et al., 2017, arXiv:1611.04273.

    >>> prior = torch.distributions.Normal(0.0, 1.0)
    >>> log_prior, flat = lambda z: prior.log_prob(z)[:, 0], lambda z: z[:, 0] * 0 - 2.0
    >>> anneal(log_prior, flat, torch.zeros(3, 1), torch.tensor([[0.0], [0.5], [1.0]])).log_weights[-1].tolist()
    [-2.0, -2.0, -2.0]
    """
    betas = betas.double().to(z.device)
    at, total = point(log_prior, log_likelihood, z), torch.zeros(len(z), dtype=torch.float64, device=z.device)
    step = torch.full_like(total, FIRST)
    weights, sizes, chances = [], [], []
    for t in range(1, len(betas)):
        total = total + (betas[t] - betas[t - 1]) * at.likelihood
        weights.append(total)
        sizes.append(step if steps is None else steps[t - 1])
        if t == len(betas) - 1:  # the last density is reached: no weight follows
            break
        at, chance = transition(log_prior, log_likelihood, at, betas[t], sizes[-1])
        chances.append(chance.mean())
        if steps is None:
            shared = chance.view(chains, -1).mean(dim=0).repeat(chains)
            step = step * torch.exp(GAIN * (shared - WANTED))
    acceptance = float(torch.stack(chances).mean()) if chances else 1.0
    return Annealed(torch.stack(weights), torch.stack(sizes), acceptance)


def sigmoid_schedule(temperatures: int, delta: float = 4.0) -> Tensor:
    """Return β_t = (σ(δ(2t/T − 1)) − σ(−δ)) / (σ(δ) − σ(−δ)), (T + 1,) from 0 to 1: slow at both ends.

    >>> [round(b, 3) for b in sigmoid_schedule(4).tolist()]
    [0.0, 0.105, 0.5, 0.895, 1.0]
    """
    curve = torch.sigmoid(torch.linspace(-delta, delta, temperatures + 1, dtype=torch.float64))
    return (curve - curve[0]) / (curve[-1] - curve[0])
