"""The importance-weighted autoencoder."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from thalweg.checks import choice, positive
from thalweg.models.vaes.variational import VariationalModel, normal_log_probs
from thalweg.objectives.elbo import Objective, doubly_reparameterized, importance_bound, reparameterize

__all__ = ["IWAE"]


class IWAE(VariationalModel):
    """Importance-weighted autoencoder: training maximizes E log (1/K) Σ w_k, w_k = p(x|z_k) p(z_k) / q(z_k|x).

    With K = `draws` samples of q(z|x) per example this is a lower bound on log p(x): the ELBO for K = 1, and tighter
    for larger K. `elbo` is the ELBO; the weights of the bound follow from `prior`, `posterior` and `log_likelihood`.
    The K samples share their dequantization noise.

    `gradient` is "reparameterized", the gradient of the whole bound as in the paper, or "doubly-reparameterized",
    another unbiased estimate for the encoder whose signal-to-noise ratio does not decrease as K grows.

    Reference: *Importance Weighted Autoencoders*, Yuri Burda, Roger Grosse, Ruslan Salakhutdinov, 2016,
    arXiv:1509.00519. *Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives*, George Tucker, Dieterich
    Lawson, Shixiang Gu, Chris Maddison, 2019, arXiv:1810.04152.

    >>> from thalweg.models.vaes.observations import Gaussian
    >>> likelihood = Gaussian((0.0,), (1.0,), (1,), sigma=1.0, learn_sigma=False)
    >>> model = IWAE(nn.Linear(1, 4), nn.Linear(2, 1), likelihood, latent_dim=2, draws=50)
    >>> model(torch.ones(3, 1), torch.randn(3, *model.noise_shape)).values.shape
    torch.Size([3])
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Any,
        latent_dim: int,
        draws: int = 5,
        gradient: Literal["reparameterized", "doubly-reparameterized"] = "reparameterized",
    ) -> None:
        super().__init__(encoder, decoder, likelihood, latent_dim)
        self.draws = positive("draws", draws)
        self.gradient = choice("gradient", gradient, ("reparameterized", "doubly-reparameterized"))
        self.noise_shape = (draws, latent_dim)

    def forward(self, x: Tensor, eps: Tensor, noise: Tensor | None = None) -> Objective:
        """Return the bound from K samples, and the mean of log w, an estimate of the ELBO."""
        y = self.likelihood.preprocess(x, noise)
        mean, log_sigma = self.heads(y)
        z = reparameterize(mean[:, None], log_sigma[:, None], eps)
        doubly = self.gradient == "doubly-reparameterized"
        if doubly:
            mean, log_sigma = mean.detach(), log_sigma.detach()
        zero = torch.zeros_like(mean)
        log_weights = (
            self.log_likelihoods(y, z) + normal_log_probs(z, zero, zero) - normal_log_probs(z, mean, log_sigma)
        )
        bound = doubly_reparameterized(log_weights, z) if doubly else importance_bound(log_weights)
        return Objective(bound, {"elbo": log_weights.mean(1)})

    def extra_repr(self) -> str:
        return f"draws={self.draws}"
