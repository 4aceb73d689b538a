"""The Wasserstein-1 distance from its dual: a critic with a bounded slope, trained to separate two samples."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thalweg.checks import positive
from thalweg.objectives.adversarial import gradient_penalty
from thalweg.randomness import fold

__all__ = ["dual_distance"]


def dual_distance(
    critic: nn.Module,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    penalty: float = 0.0,
    project: Callable[[], None] | None = None,
    steps: int = 1000,
    batch_size: int = 256,
    lr: float = 1e-3,
    seed: int = 0,
) -> Float[Tensor, ""]:
    """Train the critic in place and return mean f(x) − mean f(y) over all points: sup over f in F of E f(x) − E f(y).

    For F the 1-Lipschitz functions this is W₁; a critic with Lipschitz constant K gives at most K·W₁. The caller
    enforces the constraint: by weights divided by their norms in the forward pass, by a function `project` that is
    called after each step (clipping, or `project_spectrally`), or by the gradient `penalty` λ, which bounds the slope
    only approximately and between the samples: for distributions that differ by a shift W the result is W (1 + W/2λ).
    The penalty does not distinguish slopes of 1 and −1, so a small critic that starts with the wrong sign may keep it
    for large λ.

    `critic` returns scores (B,). The optimizer is Adam with a rate that decays to 0 along a cosine; batches are drawn
    at random in each step.

    Reference: *Wasserstein GAN*, Martin Arjovsky, Soumith Chintala, Léon Bottou, 2017, arXiv:1701.07875. *Improved
    Training of Wasserstein GANs*, Ishaan Gulrajani et al., 2017, arXiv:1704.00028.

    >>> critic = nn.Sequential(nn.Linear(1, 1), nn.Flatten(0))
    >>> x = torch.zeros(64, 1)
    >>> def clip():
    ...     critic[0].weight.clamp_(-1, 1)
    >>> round(dual_distance(critic, x + 2, x, project=clip, steps=300, lr=0.01).item(), 4)
    2.0
    """
    positive("steps", steps)
    if not penalty >= 0:
        raise ValueError(f"penalty: got {penalty}, wanted a number of at least 0")
    optimizer = torch.optim.Adam(critic.parameters(), lr=positive("lr", lr), betas=(0.5, 0.9))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    source = torch.Generator(x.device).manual_seed(fold(seed, "dual"))
    critic.train()
    for _ in range(steps):
        above = x[torch.randint(len(x), (batch_size,), generator=source, device=x.device)]
        below = y[torch.randint(len(y), (batch_size,), generator=source, device=x.device)]
        loss = critic(below).mean() - critic(above).mean()
        if penalty:
            epsilon = torch.rand(batch_size, 1, generator=source, device=x.device, dtype=x.dtype)
            loss = loss + penalty * gradient_penalty(critic, above, below, epsilon).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if project is not None:
            with torch.no_grad():
                project()
    critic.eval()
    with torch.no_grad():
        difference: Tensor = critic(x).mean() - critic(y).mean()
    return difference
