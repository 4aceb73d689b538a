"""Wasserstein autoencoders: a reconstruction error, and codes matched to the prior by a kernel or by a critic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.checks import choice, positive
from thalweg.objectives.adversarial import non_saturating
from thalweg.objectives.mmd import inverse_multiquadric, mmd2
from thalweg.objectives.reconstruction import squared_error
from thalweg.training.problem import Batch, Loss, Problem

__all__ = ["KernelMatching", "LatentGame"]


class KernelMatching(Problem):
    """One player, "model", with the loss ‖y − D(E(y))‖² + λ MMD²(E(y), z), z ~ N(0, σ²I), per sample, y preprocessed.

    The kernel is a sum of inverse multiquadrics over scales, see `inverse_multiquadric`; the unbiased MMD² is that of
    the examples of one evaluation of the loss, the same value for each. It is not defined for a single example: then it
    is 0 without gradients, as in the last chunk of a validation, and a ValueError in training.

    Extras: `reconstruction`, and `MMD²`, which may be negative.

    Reference: *Wasserstein Auto-Encoders*, Ilya Tolstikhin, Olivier Bousquet, Sylvain Gelly, Bernhard Schölkopf, 2018,
    arXiv:1711.01558.
    """

    def __init__(self, model: Any, *, weight: float = 10.0) -> None:
        self.model, self.weight = model, positive("weight", weight)
        self.players: Mapping[str, nn.Module] = {"model": model}
        self.kernel = inverse_multiquadric(model.latent_dim, model.sigma)

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return the error and the discrepancy of the batch."""
        target, code = _coded(self.model, batch)
        error = squared_error(self.model.autoencoder.decoder(code).float(), target)
        discrepancy = self._discrepancy(code.float(), batch).expand(len(error))
        return Loss(error + self.weight * discrepancy, {"reconstruction": error, "MMD²": discrepancy})

    def _discrepancy(self, code: Tensor, batch: Batch) -> Tensor:
        if len(code) == 1:
            if torch.is_grad_enabled():
                raise ValueError("batch_size: got 1 example at a time, wanted at least 2, for which MMD² is defined")
            return code.new_zeros(())
        prior = self.model.sigma * batch.normal("z", self.model.latent_dim)
        with torch.autocast(code.device.type, enabled=False):  # squared distances are products: bfloat16 is too coarse
            return mmd2(code, prior, self.kernel)


class LatentGame(Problem):
    """Players "critic", which classifies samples z ~ N(0, σ²I) of the prior against codes E(y), and "autoencoder".

    The loss of the critic f is −log σ(f(z)) − log(1 − σ(f(E(y)))), that of the autoencoder ‖y − D(E(y))‖² − λ log
    σ(f(E(y))).

    Extras: `2 JS` of the critic, a lower bound on twice the Jensen-Shannon divergence of prior and codes, estimated on
    the batch; `reconstruction` of the autoencoder.

    Reference: *Wasserstein Auto-Encoders*, Ilya Tolstikhin, Olivier Bousquet, Sylvain Gelly, Bernhard Schölkopf, 2018,
    arXiv:1711.01558.
    """

    def __init__(self, model: Any, *, weight: float = 10.0) -> None:
        self.model, self.weight, self.gan_loss = model, positive("weight", weight), non_saturating()
        self.validated = False  # the critic's loss on validation data does not say which autoencoder is better
        self.players: Mapping[str, nn.Module] = {"critic": model.critic, "autoencoder": model.autoencoder}

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return the loss of "autoencoder" or "critic" on the batch."""
        if choice("player", player, self.players) == "critic":
            with torch.no_grad():
                _, code = _coded(self.model, batch)
            prior = self.model.sigma * batch.normal("z", self.model.latent_dim)
            scores = self.model.critic(torch.cat([prior, code.float()])).float().chunk(2)
            return Loss(self.gan_loss.critic(*scores), {self.gan_loss.name: self.gan_loss.estimate(*scores)})
        target, code = _coded(self.model, batch)
        error = squared_error(self.model.autoencoder.decoder(code).float(), target)
        adversarial = self.gan_loss.generator(self.model.critic(code).float())
        return Loss(error + self.weight * adversarial, {"reconstruction": error})


def _coded(model: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    target = model.autoencoder.preprocess(batch.x)
    return target, model.autoencoder.encoder(target)
