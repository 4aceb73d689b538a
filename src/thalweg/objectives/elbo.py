"""The evidence lower bound, its terms, the importance-weighted bound, and gradient estimators."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "ElboTerms",
    "Objective",
    "doubly_reparameterized",
    "gaussian_kl",
    "importance_bound",
    "reparameterize",
    "score_function",
]


class ElboTerms(NamedTuple):
    """An estimate of each example's ELBO and its two terms, nats (B,): elbo = reconstruction − kl."""

    elbo: Tensor
    reconstruction: Tensor
    kl: Tensor


class Objective(NamedTuple):
    """The training objective to maximize, one value per example (B,) in nats, and terms (B,) that are recorded."""

    values: Tensor
    terms: Mapping[str, Tensor]


def gaussian_kl(mean: Float[Tensor, "B d"], log_sigma: Float[Tensor, "B d"]) -> Float[Tensor, " B"]:
    """KL(N(μ, diag σ²) ‖ N(0, I)) = ½ Σ (σ² + μ² − 1 − log σ²), in nats.

    >>> round(float(gaussian_kl(torch.tensor([[1.0, -2.0]]), 0.5 * torch.tensor([[0.5, 2.0]]).log())), 6)
    2.75
    """
    return (0.5 * (torch.exp(2.0 * log_sigma) + mean * mean - 1.0) - log_sigma).sum(1)


def reparameterize(
    mean: Float[Tensor, "... d"], log_sigma: Float[Tensor, "... d"], eps: Float[Tensor, "... d"]
) -> Float[Tensor, "... d"]:
    """Return z = μ + σ·ε, a sample from N(μ, diag σ²) that is differentiable in μ and σ, for ε from N(0, I).

    The gradient of E f(z) in the parameters φ is E ∇f(z) ∂z/∂φ, with the signed derivative ∂z/∂φ.

    >>> reparameterize(torch.ones(1, 1), torch.zeros(1, 1), torch.full((1, 1), 2.0)).item()
    3.0
    """
    return torch.addcmul(mean, log_sigma.exp(), eps)


def score_function(values: Float[Tensor, "B K"], log_q: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
    """Return the mean of f over K ≥ 2 samples of q, differentiable without a derivative of f or of the samples.

    Its gradient is the score-function estimator (1/K) Σ_k ∇f_k + (f_k − b_k) ∇log q(z_k), unbiased for ∇E_q f: the
    baseline b_k is the mean of f at the other samples, which does not depend on z_k.

    `values` are f_k; `log_q` is the log-density of detached samples.

    Reference: *Buy 4 REINFORCE Samples, Get a Baseline for Free!*, Wouter Kool, Herke van Hoof, Max Welling, 2019.

    >>> log_q = torch.zeros(1, 2, requires_grad=True)
    >>> mean = score_function(torch.tensor([[3.0, 1.0]]), log_q)
    >>> mean.item(), *(g.tolist() for g in torch.autograd.grad(mean.sum(), log_q))
    (2.0, [[1.0, -1.0]])
    """
    draws = values.shape[1]
    f = values.detach()
    baseline = (f.sum(1, keepdim=True) - f) / (draws - 1)
    return (values + (f - baseline) * (log_q - log_q.detach())).mean(1)


def importance_bound(log_weights: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
    """Return log (1/K) Σ_k w_k from log w_k = log p(x|z_k) p(z_k) / q(z_k|x), with z_k sampled from q.

    Its expectation is a lower bound on log p(x), the ELBO for K = 1, and does not decrease with K.

    Reference: *Importance Weighted Autoencoders*, Yuri Burda, Roger Grosse, Ruslan Salakhutdinov, 2016,
    arXiv:1509.00519.

    >>> round(importance_bound(torch.tensor([[1.0, 3.0]]).log()).exp().item(), 6)
    2.0
    """
    return log_weights.logsumexp(1) - math.log(log_weights.shape[1])


def doubly_reparameterized(log_weights: Float[Tensor, "B K"], z: Float[Tensor, "B K d"]) -> Float[Tensor, " B"]:
    """Return `importance_bound(log_weights)` with the doubly reparameterized gradient.

    With w̃ = softmax of log w, the decoder's gradient is the usual Σ w̃_k ∇log w_k; the encoder's is Σ w̃_k² (∂log
    w_k/∂z_k) ∂z_k/∂φ, which is unbiased as well and whose signal-to-noise ratio does not decrease as K grows. For K = 1
    it is the path derivative ("sticking the landing").

    `z` are the reparameterized samples; in `log_weights` the mean and σ of q must be detached.

    Reference: *Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives*, George Tucker, Dieterich Lawson,
    Shixiang Gu, Chris Maddison, 2019, arXiv:1810.04152.
    """
    share = log_weights.detach().softmax(1)
    if z.requires_grad:
        z.register_hook(lambda gradient: gradient * share[..., None])
    surrogate = (share * log_weights).sum(1)
    return surrogate + (importance_bound(log_weights) - surrogate).detach()
