"""Games between a generator and those who judge what it makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.checks import choice, positive
from thalweg.objectives.adversarial import Rules, gradient_penalty
from thalweg.training.problem import Batch, Loss

__all__ = ["AdversarialGame"]


class AdversarialGame:
    """Players "critic" and "generator", who lose what the `rules` say by the critic's scores of data and of g(z).

    `model` has `generator` (z → data in the critic's units), `critic` (data → scores (B,)), `latent_dim`, and
    `prepare` (raw data → the critic's units). A critic with `project()` is projected after its step.

    Extras of the critic: the distance that the rules estimate, by its name; `penalty` where there is one.

    Args:
        model: the two networks.
        rules: what each player loses, see `Rules`.
        clip: every parameter of the critic, biases too, is clipped to [−clip, clip] after its step; None: no clipping.
        penalty: weight λ of the gradient penalty (‖∇f‖ − 1)² at points between data and generated ones; 0: none.

    Reference: Generative Adversarial Networks, Ian Goodfellow et al., 2014, arXiv 1406.2661. Wasserstein GAN, Martin
    Arjovsky, Soumith Chintala, Léon Bottou, 2017, arXiv 1701.07875. Improved Training of Wasserstein GANs, Ishaan
    Gulrajani et al., 2017, arXiv 1704.00028.

    >>> from thalweg.models.gans.wgan import WGAN, dense_networks
    >>> from thalweg.objectives.adversarial import wasserstein
    >>> networks = dense_networks((2,), latent_dim=3, hidden=8)
    >>> model = WGAN(networks, (2,), latent_dim=3, mean=[0.0, 0.0], std=[1.0, 1.0])
    >>> AdversarialGame(model, wasserstein(), clip=0.01).project("critic")
    >>> max(float(p.detach().abs().max()) for p in networks.critic.parameters()) < 0.0101
    True
    """

    def __init__(self, model: Any, rules: Rules, *, clip: float | None = None, penalty: float = 0.0) -> None:
        if clip is not None:
            positive("clip", clip)
        if not penalty >= 0:
            raise ValueError(f"penalty: got {penalty}, wanted a number of at least 0")
        self.model, self.rules, self.clip, self.penalty = model, rules, clip, penalty
        self.players: Mapping[str, nn.Module] = {"critic": model.critic, "generator": model.generator}
        self.second_order = ("critic",) if penalty else ()
        self._clipped = list(model.critic.parameters())
        # One pass for data and generated ones, unless a layer would mix the two.
        self._apart = any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.critic.modules())

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return the loss of "critic" or "generator" on the batch, with fresh latent noise."""
        z = batch.normal("z", self.model.latent_dim)
        if choice("player", player, self.players) == "generator":
            return Loss(self.rules.generator(self._scores(self.model.generator(z))))
        real = self.model.prepare(batch.x)
        with torch.no_grad():
            fake = self.model.generator(z).to(real.dtype)
        if self._apart:
            real_scores, fake_scores = self._scores(real), self._scores(fake)
        else:
            real_scores, fake_scores = self._scores(torch.cat([real, fake])).chunk(2)
        values = self.rules.critic(real_scores, fake_scores)
        extras = {self.rules.name: self.rules.estimate(real_scores, fake_scores)}
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
        """Clip the critic's parameters after its step, or project it as it says."""
        if player != "critic":
            return
        if self.clip is not None:
            torch._foreach_clamp_min_(self._clipped, -self.clip)
            torch._foreach_clamp_max_(self._clipped, self.clip)
        if hasattr(self.model.critic, "project"):
            self.model.critic.project()
