"""The variational autoencoder."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn

from thalweg.checks import choice
from thalweg.models.vaes.variational import VariationalModel, normal_log_probs
from thalweg.objectives.elbo import ElboTerms, Objective, gaussian_kl, reparameterize, score_function

__all__ = ["VAE"]

DRAWS = 2  # samples of the score-function gradient, each with the other as its baseline


class VAE(VariationalModel):
    """Variational autoencoder: training maximizes the ELBO, E_q log p(x|z) − KL(q(z|x) ‖ N(0, I)).

    `gradient` is the estimator of the gradient of the expectation: "reparameterized", through z = μ + σ·ε, or
    "score-function", ∇log q(z|x) times the difference of log p(x|z) from that of another sample. Both are unbiased for
    the same ELBO; the second needs no derivative of the decoder with respect to z, and has a much larger variance. The
    KL is in closed form in both.

    Reference: *Auto-Encoding Variational Bayes*, Diederik P. Kingma, Max Welling, 2014, arXiv:1312.6114.

    >>> import torch
    >>> from thalweg.models.vaes.observations import Gaussian
    >>> likelihood = Gaussian((0.0,), (1.0,), (1,), sigma=1.0, learn_sigma=False)
    >>> model = VAE(nn.Linear(1, 4), nn.Linear(2, 1), likelihood, latent_dim=2)
    >>> model.elbo(torch.zeros(5, 1)).shape, model.sample(3).shape
    (torch.Size([5]), torch.Size([3, 1]))
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Any,
        latent_dim: int,
        gradient: Literal["reparameterized", "score-function"] = "reparameterized",
    ) -> None:
        super().__init__(encoder, decoder, likelihood, latent_dim)
        self.gradient = choice("gradient", gradient, ("reparameterized", "score-function"))
        if gradient == "score-function":
            self.noise_shape = (DRAWS, latent_dim)

    def forward(self, x: Tensor, eps: Tensor, noise: Tensor | None = None) -> Objective:
        """Return the ELBO, with its reconstruction and KL terms."""
        terms = self.terms if self.gradient == "reparameterized" else self._scored
        elbo, reconstruction, kl = terms(x, eps, noise)
        return Objective(elbo, {"reconstruction": reconstruction, "kl": kl})

    def _scored(self, x: Tensor, eps: Tensor, noise: Tensor | None = None) -> ElboTerms:
        y = self.likelihood.preprocess(x, noise)
        mean, log_sigma = self.heads(y)
        z = reparameterize(mean[:, None], log_sigma[:, None], eps).detach()
        reconstruction = score_function(self.log_likelihoods(y, z), normal_log_probs(z, mean, log_sigma))
        kl = gaussian_kl(mean, log_sigma)
        return ElboTerms(reconstruction - kl, reconstruction, kl)
