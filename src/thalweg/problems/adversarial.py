"""Games between a generator and a critic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from thalweg.checks import choice, positive
from thalweg.objectives.adversarial import GANLoss, gradient_penalty
from thalweg.objectives.transport import wasserstein
from thalweg.training.problem import Batch, Diagnostics, Loss, Problem

__all__ = ["AdversarialGame"]

MIN_SPREAD = 0.1  # of samples, relative to that of data; below it the generator has collapsed
MAX_COLLAPSED = 3  # lines of the metrics in a row until the warning: a generator may collapse for a short time


@runtime_checkable
class Projecting(Protocol):
    """A part of the critic with a constraint on its parameters."""

    def project(self) -> None:
        """Project the parameters onto the constraint."""


@runtime_checkable
class ClassConditional(Protocol):
    """A model whose networks receive one of `classes` labels."""

    classes: int


class AdversarialGame(Problem):
    """Players "critic" and "generator", with the losses of `gan_loss` on the critic's scores of data and samples.

    `model` has the modules `generator` and `critic`, generate(z, y), discriminate(x, y) → scores (B,), `latent_dim`,
    and `preprocess` (raw data → the critic's units). A model with `classes` receives labels y, another None. Parts of
    the critic with a method `project()` are projected after its step.

    Extras of the critic: the divergence that its loss estimates, by its name; `penalty` where there is one.

    Args:
        model: the two networks.
        gan_loss: the losses of both players, see `GANLoss`.
        clip: bound on the absolute values of the critic's parameters, with biases, after its step; None: no bound.
        penalty: weight λ of the gradient penalty (‖∇f‖ − 1)² at points between data and samples; 0: none.

    Reference: *Generative Adversarial Networks*, Ian Goodfellow et al., 2014, arXiv:1406.2661. *Wasserstein GAN*,
    Martin Arjovsky, Soumith Chintala, Léon Bottou, 2017, arXiv:1701.07875. *Improved Training of Wasserstein GANs*,
    Ishaan Gulrajani et al., 2017, arXiv:1704.00028.

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
        self.validated = False  # the critic's loss on validation data does not say which generator is better
        self.players: Mapping[str, nn.Module] = {"critic": model.critic, "generator": model.generator}
        self.second_order = ("critic",) if penalty else ()
        self._collapsed = 0  # lines of the metrics in a row with too small a spread of samples
        self._conditional = isinstance(model, ClassConditional) and bool(model.classes)
        self._clipped = list(model.critic.parameters())
        self._projected: list[Any] = [part for part in model.critic.modules() if isinstance(part, Projecting)]
        # One forward pass for data and samples, unless a layer would mix the two.
        self._apart = any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.critic.modules())

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return the loss of "critic" or "generator" on the batch, with new latent noise."""
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
        """Return the labels where the model is class-conditional."""
        if not self._conditional:
            return None
        if batch.y is None:
            raise ValueError("labels: got none, wanted those of the classes that the networks are conditioned on")
        return batch.y

    @torch.no_grad()
    def diagnostics(self, batch: Batch) -> Diagnostics:
        """Return measures of the samples on a batch, in the critic's units.

        - `batch/W1`: the exact Wasserstein distance between the examples and as many samples, beside the divergence
          that the critic estimates on them
        - `batch/coverage`: the share of examples that are nearer to a sample than to their third nearest example; 7/8
          where both have one distribution
        - `batch/spread`: the mean distance between samples over that between examples; below 0.1 three times in a row,
          it is reported as collapse
        - `critic/gradient/LAYER`: the norm of the critic's last gradient, after `clip_norm`

        Batch normalization uses its running statistics.
        """
        model, y = self.model, self._labels(batch)
        real = model.preprocess(batch.x)
        fake = model.generate(batch.normal("z", model.latent_dim), y).to(real.dtype)
        estimate = self.gan_loss.estimate(model.discriminate(real, y), model.discriminate(fake, y)).mean()
        real, fake = real.flatten(1), fake.flatten(1)
        own = torch.cdist(real, real)
        third = own.kthvalue(min(4, len(real)), dim=1).values  # the nearest is the example itself
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
        self._collapsed = self._collapsed + 1 if spread < MIN_SPREAD else 0
        warning = f"the generator has collapsed: its samples spread {spread:.2g} times as far as the data"
        return Diagnostics(values, warning if self._collapsed >= MAX_COLLAPSED else None)

    @torch.no_grad()
    def project(self, player: str) -> None:
        """Clip the critic's parameters after its step, and project its constrained parts."""
        if player != "critic":
            return
        if self.clip is not None:
            torch._foreach_clamp_min_(self._clipped, -self.clip)
            torch._foreach_clamp_max_(self._clipped, self.clip)
        for part in self._projected:
            part.project()
