"""Losses of the players of adversarial games, one value a sample, from the critic's scores."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["gradient_penalty", "wasserstein_critic_loss", "wasserstein_generator_loss"]


def wasserstein_critic_loss(real: Float[Tensor, " B"], fake: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """What the critic loses, f(fake) − f(real): descending it ascends the dual sup E f(x) − E f(g(z)).

    >>> wasserstein_critic_loss(torch.tensor([3.0]), torch.tensor([1.0]))
    tensor([-2.])
    """
    return fake - real


def wasserstein_generator_loss(fake: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """What the generator loses, −f(g(z)). The lecture's printed gradient omits this minus.

    >>> wasserstein_generator_loss(torch.tensor([1.0]))
    tensor([-1.])
    """
    return -fake


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Float[Tensor, "B ..."],
    fake: Float[Tensor, "B ..."],
    epsilon: Float[Tensor, "B 1"],
) -> Float[Tensor, " B"]:
    """(‖∇f(x̂)‖₂ − 1)² at x̂ = ε·real + (1 − ε)·fake, the norm taken over one example, never over the batch.

    Reference: Improved Training of Wasserstein GANs, Ishaan Gulrajani et al., 2017, arXiv 1704.00028.

    >>> gradient_penalty(lambda x: 3 * x[:, 0], torch.zeros(2, 5), torch.ones(2, 5), torch.rand(2, 1))
    tensor([4., 4.])
    """
    weight = epsilon.reshape(-1, *[1] * (real.ndim - 1))
    between = torch.lerp(fake.detach(), real.detach(), weight).requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square()
