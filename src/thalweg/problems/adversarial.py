"""Games between a generator and those who judge what it makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.checks import choice, positive
from thalweg.objectives.adversarial import GANLoss, gradient_penalty
from thalweg.objectives.transport import wasserstein
from thalweg.training.problem import Batch, Loss, Watched

__all__ = ["AdversarialGame"]

COLLAPSED = 0.1  # spread of samples over that of data
IN_A_ROW = 3  # times that it is seen, until it is told: a generator may begin so, and pass through it


class AdversarialGame:
    """Players "critic" and "generator", with the losses that `gan_loss` makes of the critic's scores of data and of
    g(z).

    `model` has the modules `generator` and `critic`, generate(z, y), discriminate(x, y) → scores (B,), `latent_dim`,
    and `preprocess` (raw data → the critic's units). A model with `classes` is given labels y, another None. What has
    `project()` in the critic is projected after its step.

    Extras of the critic: the distance that the gan_loss estimates, by its name; `penalty` where there is one.

    Args:
        model: the two networks.
        gan_loss: what each player loses, see `GANLoss`.
        clip: every parameter of the critic, biases too, is clipped to [−clip, clip] after its step; None: no clipping.
        penalty: weight λ of the gradient penalty (‖∇f‖ − 1)² at points between data and generated ones; 0: none.

    Reference: Generative Adversarial Networks, Ian Goodfellow et al., 2014, arXiv 1406.2661. Wasserstein GAN, Martin
    Arjovsky, Soumith Chintala, Léon Bottou, 2017, arXiv 1701.07875. Improved Training of Wasserstein GANs, Ishaan
    Gulrajani et al., 2017, arXiv 1704.00028.

    >>> from thalweg.models.gans.gan import GAN, dense_networks
    >>> from thalweg.objectives.adversarial import wasserstein
    >>> networks = dense_networks((2,), latent_dim=3, hidden=8)
    >>> model = GAN(networks, (2,), latent_dim=3, mean=[0.0, 0.0], std=[1.0, 1.0])
    >>> AdversarialGame(model, wasserstein(), clip=0.01).project("critic")
    >>> max(float(p.detach().abs().max()) for p in networks.critic.parameters()) < 0.0101
    True
    """

    def __init__(self, model: Any, gan_loss: GANLoss, *, clip: float | None = None, penalty: float = 0.0) -> None:
        if clip is not None:
            positive("clip", clip)
        if not penalty >= 0:
            raise ValueError(f"penalty: got {penalty}, wanted a number of at least 0")
        self.model, self.gan_loss, self.clip, self.penalty = model, gan_loss, clip, penalty
        self.validated = False  # what the critic loses on data held out does not say which generator is better
        self.players: Mapping[str, nn.Module] = {"critic": model.critic, "generator": model.generator}
        self.second_order = ("critic",) if penalty else ()
        self._narrow = 0  # times in a row that samples were seen to lie close together
        self._clipped = list(model.critic.parameters())
        self._projected: list[Any] = [part for part in model.critic.modules() if hasattr(part, "project")]
        # One pass for data and generated ones, unless a layer would mix the two.
        self._apart = any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.critic.modules())

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return the loss of "critic" or "generator" on the batch, with fresh latent noise."""
        model, y = self.model, self._labels(batch)
        z = batch.normal("z", model.latent_dim)
        if choice("player", player, self.players) == "generator":
            return Loss(self.gan_loss.generator(model.discriminate(model.generate(z, y), y)))
        real = model.preprocess(batch.x)
        with torch.no_grad():
            fake = model.generate(z, y).to(real.dtype)
        if self._apart:
            real_scores, fake_scores = model.discriminate(real, y), model.discriminate(fake, y)
        else:
            both = None if y is None else torch.cat([y, y])
            real_scores, fake_scores = model.discriminate(torch.cat([real, fake]), both).chunk(2)
        values = self.gan_loss.critic(real_scores, fake_scores)
        extras = {self.gan_loss.name: self.gan_loss.estimate(real_scores, fake_scores)}
        if self.penalty:
            epsilon = batch.uniform("epsilon", 1)
            extras["penalty"] = gradient_penalty(lambda x: model.discriminate(x, y), real, fake, epsilon)
            values = values + self.penalty * extras["penalty"]
        return Loss(values, extras)

    def _labels(self, batch: Batch) -> Tensor | None:
        """Labels where the model wants them."""
        if not getattr(self.model, "classes", 0):
            return None
        if batch.y is None:
            raise ValueError("labels: got none, wanted those of the classes that the networks are given")
        return batch.y

    @torch.no_grad()
    def watch(self, batch: Batch) -> Watched:
        """Return how the game stands on a batch, in the critic's units.

        `batch/W1` is the exact distance between its examples and as many generated ones, beside what the gan_loss
        estimates on the same; `batch/coverage` the share of examples nearer to a generated one than to their third
        neighbor among themselves, 7/8 where the laws are alike; `batch/spread` the mean distance between generated ones
        over that between examples, reported as collapse where it is below a tenth three times in a row;
        `critic/gradient/LAYER` the norm of the critic's last gradient, after `clip_norm`. Networks normalized over the
        batch are seen with their running statistics.
        """
        model, y = self.model, self._labels(batch)
        real = model.preprocess(batch.x)
        fake = model.generate(batch.normal("z", model.latent_dim), y).to(real.dtype)
        estimate = self.gan_loss.estimate(model.discriminate(real, y), model.discriminate(fake, y)).mean()
        real, fake = real.flatten(1), fake.flatten(1)
        own = torch.cdist(real, real)
        third = own.kthvalue(min(4, len(real)), dim=1).values  # the first is the example itself
        spread = float(torch.cdist(fake, fake).mean() / own.mean().clamp(min=1e-12))
        values: dict[str, Tensor | float] = {
            "batch/W1": wasserstein(real, fake),
            f"batch/{self.gan_loss.name}": estimate,
            "batch/coverage": (torch.cdist(real, fake).amin(1) <= third).float().mean(),
            "batch/spread": spread,
        }
        for name, parameter in model.critic.named_parameters():
            if parameter.grad is not None and parameter.dim() > 1:
                values[f"critic/gradient/{name}"] = parameter.grad.norm()
        self._narrow = self._narrow + 1 if spread < COLLAPSED else 0
        warning = f"the generator has collapsed: its samples spread {spread:.2g} times as far as the data"
        return Watched(values, warning if self._narrow >= IN_A_ROW else None)

    @torch.no_grad()
    def project(self, player: str) -> None:
        """Clip the critic's parameters after its step, or project it as it says."""
        if player != "critic":
            return
        if self.clip is not None:
            torch._foreach_clamp_min_(self._clipped, -self.clip)
            torch._foreach_clamp_max_(self._clipped, self.clip)
        for part in self._projected:
            part.project()
