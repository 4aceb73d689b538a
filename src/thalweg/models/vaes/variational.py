"""The base class of variational autoencoders: a latent-variable model with an encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from thalweg.checks import positive
from thalweg.objectives.elbo import ElboTerms, Objective, gaussian_kl, reparameterize
from thalweg.objectives.likelihood import gaussian_log_prob

__all__ = ["VariationalModel"]


class VariationalModel(nn.Module, ABC):
    """z ~ N(0, I), x|z ~ `likelihood` around a decoder's output, q(z|x) = N(μ(x), diag σ²(x)) from an encoder.

    ELBO(x) = E_q log p(x|z) − KL(q(z|x) ‖ N(0, I)) ≤ log p(x), in nats per example about the raw data; the expectation
    is estimated from one sample z = μ + σ·ε. Training and evaluation compute the same value.

    `encoder` maps preprocessed data to (B, 2·latent_dim): μ and log σ, two outputs of one network. `decoder` maps z to
    the parameters of `likelihood`, which preprocesses raw data (see `observations`).

    `forward(x, eps, noise)` is the training objective, with standard normal noise of shape `noise_shape` per example;
    subclasses define it.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, likelihood: Any, latent_dim: int) -> None:
        super().__init__()
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood
        self.latent_dim = positive("latent_dim", latent_dim)
        self.noise_shape: tuple[int, ...] = (latent_dim,)
        # A buffer, so that it moves with the module
        self.register_buffer("origin", torch.zeros(latent_dim), persistent=False)

    origin: Tensor

    @abstractmethod
    def forward(self, x: Tensor, eps: Tensor, noise: Tensor | None = None) -> Objective:
        """Return the training objective for raw `x`, with latent noise `eps` and dequantization `noise`."""

    @property
    def observation(self) -> str:
        """The kind of data that `elbo` refers to: "discrete", "continuous", "dequantized" or "binarized"."""
        return str(self.likelihood.observation)

    @property
    def prior(self) -> Independent:
        """The distribution of z, N(0, I)."""
        return Independent(Normal(self.origin, torch.ones_like(self.origin), validate_args=False), 1)

    def heads(self, y: Tensor) -> tuple[Float[Tensor, "B d"], Float[Tensor, "B d"]]:
        """Return μ and log σ of q(z|x), from preprocessed data."""
        mean, log_sigma = self.encoder(y).float().chunk(2, dim=1)
        return mean, log_sigma

    def terms(self, x: Tensor, eps: Float[Tensor, "B d"], noise: Tensor | None = None) -> ElboTerms:
        """Return the ELBO of raw `x` and its terms, with latent noise `eps` and dequantization `noise`."""
        y = self.likelihood.preprocess(x, noise)
        mean, log_sigma = self.heads(y)
        reconstruction = self.likelihood.log_prob(y, self.decoder(reparameterize(mean, log_sigma, eps)))
        kl = gaussian_kl(mean, log_sigma)
        return ElboTerms(reconstruction - kl, reconstruction, kl)

    def log_likelihoods(self, y: Tensor, z: Float[Tensor, "B K d"]) -> Float[Tensor, "B K"]:
        """Return log p(x|z) of K samples of z per example, from preprocessed data."""
        repeated = y.repeat_interleave(z.shape[1], dim=0)
        return self.likelihood.log_prob(repeated, self.decoder(z.flatten(0, 1))).view(z.shape[:2])

    def elbo(
        self, x: Tensor, eps: Float[Tensor, "B d"] | None = None, noise: Tensor | None = None
    ) -> Float[Tensor, " B"]:
        """Return the estimate of the ELBO of raw `x` from one sample, nats; noise that is not given is drawn."""
        eps = torch.randn(len(x), self.latent_dim, device=x.device) if eps is None else eps
        return self.terms(x, eps, self._noise(x) if noise is None else noise).elbo

    def posterior(self, x: Tensor, noise: Tensor | None = None) -> Independent:
        """Return q(z|x) with batch shape (B,). Dequantization `noise` defaults to ½."""
        mean, log_sigma = self.heads(self.likelihood.preprocess(x, noise))
        return Independent(Normal(mean, log_sigma.exp(), validate_args=False), 1)

    def log_likelihood(self, x: Tensor, z: Float[Tensor, "B d"], noise: Tensor | None = None) -> Float[Tensor, " B"]:
        """Return log p(x|z) of raw `x`, nats; dequantization noise is drawn if it is needed and not given."""
        y = self.likelihood.preprocess(x, self._noise(x) if noise is None else noise)
        return self.likelihood.log_prob(y, self.decoder(z))

    def encode(self, x: Tensor) -> Float[Tensor, "B d"]:
        """Return the mean of q(z|x)."""
        return self.posterior(x).mean

    def decode(self, z: Float[Tensor, "B d"]) -> Tensor:
        """Return the mean of p(x|z), `(B, *shape)`, float, in raw units."""
        return self.likelihood.mean(self.decoder(z))

    def observe(self, z: Float[Tensor, "B d"]) -> Tensor:
        """Return a raw sample of x given z, from torch's global generator; dequantized data keep their noise."""
        return self.likelihood.draw(self.decoder(z))

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return `decode(encode(x))`."""
        return self.decode(self.encode(x))

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Return `n` raw samples: vectors are drawn from p(x|z), images are the mean of p(x|z), rounded to levels."""
        device = self.origin.device if generator is None else generator.device
        z = torch.randn(n, self.latent_dim, generator=generator, device=device).to(self.origin.device)
        levels = self.likelihood.levels
        if levels is None:
            x: Tensor = self.likelihood.quantize(self.likelihood.draw(self.decoder(z), generator))
            return x
        return self.decode(z).round().clamp(0, levels - 1).to(torch.uint8)

    def _noise(self, x: Tensor) -> Tensor | None:
        return torch.rand(x.shape, device=x.device) if self.observation == "dequantized" else None


def normal_log_probs(z: Float[Tensor, "B K d"], mean: Tensor, log_sigma: Tensor) -> Float[Tensor, "B K"]:
    """Return the log-density of K samples per example under N(mean, diag σ²), with parameters (B, d)."""
    draws = z.shape[1]
    mean, log_sigma = (v.repeat_interleave(draws, dim=0) for v in (mean, log_sigma))
    return gaussian_log_prob(z.flatten(0, 1), mean, log_sigma).view(z.shape[:2])
