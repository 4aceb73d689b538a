"""Games between a generator and those who judge what it makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.checks import choice, positive
from thalweg.objectives.adversarial import gradient_penalty, wasserstein_critic_loss, wasserstein_generator_loss
from thalweg.training.problem import Batch, Loss

__all__ = ["WassersteinGame"]


class WassersteinGame:
    """Players "critic" f and "generator" g: min over g, max over f of E f(x) − E f(g(z)), with f kept Lipschitz.

    The critic loses f(g(z)) − f(x), the generator −f(g(z)). At the best K-Lipschitz critic, E f(x) − E f(g(z)) is
    K times the Wasserstein-1 distance between the data, in the critic's units, and what is generated.

    `model` has `generator` (z → data in the critic's units), `critic` (data → scores (B,)), `latent_dim`, and
    `prepare` (raw data → the critic's units).

    Extras of the critic: `gap` = f(x) − f(g(z)), the estimate of K·W; `penalty` where there is one.

    Args:
        model: the two networks.
        clip: every parameter of the critic, biases too, is clipped to [−clip, clip] after its step; None: no clipping.
        penalty: weight λ of the gradient penalty (‖∇f‖ − 1)² at points between data and generated ones; 0: none.

    Reference: Wasserstein GAN, Martin Arjovsky, Soumith Chintala, Léon Bottou, 2017, arXiv 1701.07875. Improved
    Training of Wasserstein GANs, Ishaan Gulrajani et al., 2017, arXiv 1704.00028.

    >>> from thalweg.models.gans.wgan import WGAN, dense_networks
    >>> networks = dense_networks((2,), latent_dim=3, hidden=8)
    >>> game = WassersteinGame(WGAN(networks, (2,), latent_dim=3, mean=[0.0, 0.0], std=[1.0, 1.0]))
    >>> game.project("critic")
    >>> max(float(p.detach().abs().max()) for p in networks.critic.parameters()) < 0.0101
    True
    """

    def __init__(self, model: Any, *, clip: float | None = 0.01, penalty: float = 0.0) -> None:
        if clip is not None:
            positive("clip", clip)
        if not penalty >= 0:
            raise ValueError(f"penalty: got {penalty}, wanted a number of at least 0")
        self.model, self.clip, self.penalty = model, clip, penalty
        self.players: Mapping[str, nn.Module] = {"critic": model.critic, "generator": model.generator}
        self.second_order = ("critic",) if penalty else ()
        self._clipped = list(model.critic.parameters())

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return the loss of "critic" or "generator" on the batch, with fresh latent noise."""
        z = batch.normal("z", self.model.latent_dim)
        if choice("player", player, self.players) == "generator":
            return Loss(wasserstein_generator_loss(self._scores(self.model.generator(z))))
        real = self.model.prepare(batch.x)
        with torch.no_grad():
            fake = self.model.generator(z).to(real.dtype)
        # One pass for both: the critic has no layer that mixes the examples of a batch.
        real_scores, fake_scores = self._scores(torch.cat([real, fake])).chunk(2)
        values = wasserstein_critic_loss(real_scores, fake_scores)
        extras = {"gap": real_scores - fake_scores}
        if self.penalty:
            epsilon = batch.uniform("epsilon", 1)
            extras["penalty"] = gradient_penalty(self._scores, real, fake, epsilon)
            values = values + self.penalty * extras["penalty"]
        return Loss(values, extras)

    def _scores(self, x: Tensor) -> Tensor:
        scores: Tensor = self.model.critic(x)
        return scores.float()  # under autocast, too: their differences are small

    @torch.no_grad()
    def project(self, player: str) -> None:
        """Clip the critic's parameters after its step."""
        if player == "critic" and self.clip is not None:
            torch._foreach_clamp_min_(self._clipped, -self.clip)
            torch._foreach_clamp_max_(self._clipped, self.clip)
