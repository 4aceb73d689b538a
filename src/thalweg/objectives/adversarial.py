"""Losses of generative adversarial networks, one value per sample, from the critic's scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid, relu, softplus

from thalweg.checks import positive
from thalweg.objectives.f_divergence import FDivergence

__all__ = ["GANLoss", "f_gan", "gradient_penalty", "hinge", "minimax", "non_saturating", "wasserstein"]

LOG4 = 2 * 0.6931471805599453


class GANLoss(NamedTuple):
    """The losses of critic and generator, as functions of the critic's scores (B,) of data and of generated samples.

    `critic(real, fake)` and `generator(fake)` return one value per sample. The mean of `estimate(real, fake)`, which
    the critic maximizes, is a lower bound on the divergence called `name`.
    """

    name: str
    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    estimate: Callable[[Tensor, Tensor], Tensor]


def minimax(weight: float = 1.0) -> GANLoss:
    """V = E log D(x) + λ E log(1 − D(G(z))), D = σ(score): the discriminator maximizes V, the generator minimizes it.

    For λ = 1 and the optimal D = p/(p + q), V = 2 JS(p, q) − log 4; the estimate is V + log 4. λ is the `weight` of the
    generated samples.

    Reference: *Generative Adversarial Networks*, Ian Goodfellow et al., 2014, arXiv:1406.2661.

    >>> loss = minimax()
    >>> zero = torch.zeros(1)  # D = 1/2
    >>> loss.estimate(zero, zero), loss.critic(zero, zero), loss.generator(zero)
    (tensor([0.]), tensor([1.3863]), tensor([-0.6931]))
    """
    positive("weight", weight)
    return GANLoss(
        "2 JS",
        critic=lambda real, fake: softplus(-real) + weight * softplus(fake),
        generator=lambda fake: weight * logsigmoid(-fake),
        estimate=lambda real, fake: LOG4 + logsigmoid(real) + logsigmoid(-fake),
    )


def non_saturating(weight: float = 1.0) -> GANLoss:
    """The discriminator loss of `minimax`, with a generator that maximizes E log D(G(z)).

    Its gradient does not vanish where D is close to 0, unlike that of `minimax`. The generator then no longer minimizes
    2 JS.

    >>> non_saturating().generator(torch.zeros(1))
    tensor([0.6931])
    """
    return minimax(weight)._replace(generator=lambda fake: softplus(-fake))


def wasserstein() -> GANLoss:
    """The critic maximizes E f(x) − E f(g(z)), whose maximum over 1-Lipschitz f is W₁; the generator minimizes it.

    The gradient in the generator's parameters is −E ∇_θ f(g_θ(z)).

    Reference: *Wasserstein GAN*, Martin Arjovsky, Soumith Chintala, Léon Bottou, 2017, arXiv:1701.07875.

    >>> loss, real, fake = wasserstein(), torch.tensor([3.0]), torch.tensor([1.0])
    >>> loss.critic(real, fake), loss.generator(fake)
    (tensor([-2.]), tensor([-1.]))
    """
    return GANLoss(
        "gap",
        critic=lambda real, fake: fake - real,
        generator=lambda fake: -fake,
        estimate=lambda real, fake: real - fake,
    )


def hinge() -> GANLoss:
    """The critic's loss is max(0, 1 − f(x)) + max(0, 1 + f(g(z))), the generator's is −f(g(z)).

    The optimal critic sign(p − q) has the loss 2 − 2 TV, so 1 − loss/2 is at most TV for every critic; this is the
    estimate. Unlike the f-GAN's bound on TV it is concave in the scores, so the gradient does not vanish for large
    scores of the wrong sign.

    Reference: *Geometric GAN*, Jae Hyun Lim, Jong Chul Ye, 2017, arXiv:1705.02894.

    >>> hinge().critic(torch.tensor([2.0, 0.5]), torch.tensor([-2.0, 0.5]))
    tensor([0., 2.])
    """
    return GANLoss(
        "TV",
        critic=lambda real, fake: relu(1 - real) + relu(1 + fake),
        generator=lambda fake: -fake,
        estimate=lambda real, fake: 1 - (relu(1 - real) + relu(1 + fake)) / 2,
    )


def f_gan(divergence: FDivergence, saturating: bool = False) -> GANLoss:
    """The critic maximizes the lower bound E ρ(r(x)) − E f*(ρ(r(g(z)))) on D_f(p‖q), p the data, q the samples.

    With `saturating` the generator minimizes the bound; otherwise it maximizes E ρ(r(g(z))), as in the paper.

    Reference: *f-GAN: Training Generative Neural Samplers using Variational Divergence Minimization*, Sebastian
    Nowozin, Botond Cseke, Ryota Tomioka, 2016, arXiv:1606.00709.

    >>> from thalweg.objectives.f_divergence import f_divergence
    >>> f_gan(f_divergence("kl")).estimate(torch.zeros(1), torch.zeros(1))
    tensor([0.])
    """

    def estimate(real: Tensor, fake: Tensor) -> Tensor:
        first, second = divergence.terms(real, fake)
        return first - second

    def generator(fake: Tensor) -> Tensor:
        return -divergence.conjugate_of_activation(fake) if saturating else -divergence.activation(fake)

    return GANLoss(divergence.name, lambda real, fake: -estimate(real, fake), generator, estimate)


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Float[Tensor, "B ..."],
    fake: Float[Tensor, "B ..."],
    epsilon: Float[Tensor, "B 1"],
) -> Float[Tensor, " B"]:
    """(‖∇f(x̂)‖₂ − 1)² at x̂ = ε·real + (1 − ε)·fake, with the norm of each example's own gradient.

    Reference: *Improved Training of Wasserstein GANs*, Ishaan Gulrajani et al., 2017, arXiv:1704.00028.

    >>> gradient_penalty(lambda x: 3 * x[:, 0], torch.zeros(2, 5), torch.ones(2, 5), torch.rand(2, 1))
    tensor([4., 4.])
    """
    weight = epsilon.reshape(-1, *[1] * (real.ndim - 1))
    between = torch.lerp(fake.detach(), real.detach(), weight).requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square()
