"""The variational autoencoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from thalweg.checks import choice, positive
from thalweg.models.vaes.observations import Bernoulli, DiscretizedLogistic, Gaussian
from thalweg.nn.conv import conv_decoder, conv_encoder
from thalweg.nn.dense import mlp
from thalweg.objectives.elbo import ElboTerms, gaussian_kl, reparameterize

__all__ = ["VAE", "conv_networks", "dense_networks", "observation_of"]

HEAD_GAIN = 0.1  # of the last layers' first weights: q starts near the prior, p near the mean of the data


class VAE(nn.Module):
    """Variational autoencoder: z ~ N(0, I), x|z ~ `likelihood` around a decoder's output, q(z|x) = N(μ(x), diag σ²(x)).

    ELBO(x) = E_q log p(x|z) − KL(q(z|x) ‖ N(0, I)) ≤ log p(x), in nats per example about the raw data; the
    expectation is estimated by one reparameterized draw z = μ + σ·ε. Training and evaluation see the same number.

    `encoder` maps prepared data to (B, 2·latent_dim): μ and log σ, two heads on one trunk. `decoder` maps z to
    the parameters of `likelihood`, which brings raw data to the networks' units (see `observations`).

    `observation` says what the ELBO is about: "discrete", "continuous", "dequantized" or "binarized" data.

    Reference: Kingma, Welling, *Auto-Encoding Variational Bayes*, 2014, arXiv:1312.6114.

    >>> law = Gaussian((0.0,), (1.0,), (1,), sigma=1.0, learn_sigma=False)
    >>> model = VAE(nn.Linear(1, 4), nn.Linear(2, 1), law, latent_dim=2)
    >>> model.elbo(torch.zeros(5, 1)).shape, model.sample(3).shape
    (torch.Size([5]), torch.Size([3, 1]))
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, likelihood: Any, latent_dim: int) -> None:
        super().__init__()
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood
        self.latent_dim = positive("latent_dim", latent_dim)
        self.register_buffer("origin", torch.zeros(latent_dim), persistent=False)  # knows the device

    origin: Tensor

    @property
    def observation(self) -> str:
        """What `elbo` is about."""
        return self.likelihood.observation

    @property
    def prior(self) -> Independent:
        """The law of z, N(0, I)."""
        return Independent(Normal(self.origin, torch.ones_like(self.origin), validate_args=False), 1)

    def forward(self, x: Tensor, eps: Tensor, noise: Tensor | None = None) -> ElboTerms:
        """Return the ELBO of raw `x` and its terms, for latent noise `eps` (B, d) and dequantization `noise`."""
        y = self.likelihood.prepare(x, noise)
        mean, log_sigma = self.encoder(y).float().chunk(2, dim=1)
        reconstruction = self.likelihood.log_prob(y, self.decoder(reparameterize(mean, log_sigma, eps)))
        kl = gaussian_kl(mean, log_sigma)
        return ElboTerms(reconstruction - kl, reconstruction, kl)

    def elbo(
        self, x: Tensor, eps: Float[Tensor, "B d"] | None = None, noise: Tensor | None = None
    ) -> Float[Tensor, " B"]:
        """Return one draw's estimate of the ELBO of raw `x`, nats; noise that is not given is drawn."""
        eps = torch.randn(len(x), self.latent_dim, device=x.device) if eps is None else eps
        return self(x, eps, self._noise(x) if noise is None else noise).elbo

    def posterior(self, x: Tensor, noise: Tensor | None = None) -> Independent:
        """Return q(z|x) with batch shape (B,). Dequantization `noise` is ½ where it is needed and not given."""
        mean, log_sigma = self.encoder(self.likelihood.prepare(x, noise)).float().chunk(2, dim=1)
        return Independent(Normal(mean, log_sigma.exp(), validate_args=False), 1)

    def log_likelihood(self, x: Tensor, z: Float[Tensor, "B d"], noise: Tensor | None = None) -> Float[Tensor, " B"]:
        """Return log p(x|z) of raw `x`, nats; dequantization noise that is needed and not given is drawn."""
        y = self.likelihood.prepare(x, self._noise(x) if noise is None else noise)
        return self.likelihood.log_prob(y, self.decoder(z))

    def encode(self, x: Tensor) -> Float[Tensor, "B d"]:
        """Return the mean of q(z|x)."""
        return self.posterior(x).mean

    def decode(self, z: Float[Tensor, "B d"]) -> Tensor:
        """Return the mean of p(x|z), (B, *shape), float, in raw units."""
        return self.likelihood.mean(self.decoder(z))

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return `decode(encode(x))`."""
        return self.decode(self.encode(x))

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Return `n` raw samples: vectors with the observation's noise, images the mean given z, rounded to levels."""
        device = self.origin.device if generator is None else generator.device
        z = torch.randn(n, self.latent_dim, generator=generator, device=device).to(self.origin.device)
        levels = self.likelihood.levels
        if levels is None:
            return self.likelihood.draw(self.decoder(z), generator)
        return self.decode(z).round().clamp(0, levels - 1).to(torch.uint8)

    def _noise(self, x: Tensor) -> Tensor | None:
        return torch.rand(x.shape, device=x.device) if self.observation == "dequantized" else None


def observation_of(
    likelihood: Literal["bernoulli", "gaussian", "discretized-logistic"],
    shape: Sequence[int],
    levels: int | None,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    sigma: float = 1.0,
    learn_sigma: bool = True,
) -> nn.Module:
    """Return the law of the observation by name, for data of that shape, number of levels, mean and std.

    Raises ValueError for an unknown name, and for the laws of images where `levels` is None.

    >>> observation_of("bernoulli", (1, 8, 8), 17, (4.9,), (6.0,))
    Bernoulli(levels=17)
    """
    choice("likelihood", likelihood, ("bernoulli", "gaussian", "discretized-logistic"))
    positive("sigma", sigma)
    if likelihood == "gaussian":
        return Gaussian(mean, std, shape, sigma=sigma, learn_sigma=learn_sigma, levels=levels)
    if levels is None:
        raise ValueError(f"likelihood: got '{likelihood}' for vectors, wanted gaussian")
    if likelihood == "bernoulli":
        return Bernoulli(levels)
    return DiscretizedLogistic(mean, std, shape, sigma=sigma, learn_sigma=learn_sigma, levels=levels)


def dense_networks(
    shape: Sequence[int], outputs: int, latent_dim: int, hidden: int = 400
) -> tuple[nn.Module, nn.Module]:
    """Return encoder and decoder with one hidden layer each: n–hidden–2·latent_dim and latent_dim–hidden–outputs·n."""
    size = math.prod(shape)
    encoder = nn.Sequential(nn.Flatten(), *mlp((size, hidden, 2 * latent_dim), last_gain=HEAD_GAIN))
    decoder = mlp((latent_dim, hidden, outputs * size), last_gain=HEAD_GAIN)
    if len(shape) > 1:
        decoder.append(nn.Unflatten(1, (outputs * shape[0], *shape[1:])))
    return encoder, decoder


def conv_networks(
    shape: Sequence[int], outputs: int, latent_dim: int, hidden: int = 256
) -> tuple[nn.Module, nn.Module]:
    """Return a convolutional encoder and decoder for images; `hidden` units between the convolutions and z."""
    encoder = conv_encoder(shape, 2 * latent_dim, hidden=hidden, last_gain=HEAD_GAIN)
    return encoder, conv_decoder(latent_dim, (outputs * shape[0], *shape[1:]), hidden=hidden, last_gain=HEAD_GAIN)
