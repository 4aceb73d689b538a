"""Generative adversarial networks: generator and critic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from torch.distributions import Independent, Normal
from torch.special import ndtr, ndtri

from thalweg.checks import positive
from thalweg.config import Discrete
from thalweg.nn.dense import mlp
from thalweg.nn.preprocess import Standardize

__all__ = ["GAN", "Networks", "dense_networks", "draw_latent", "scaling", "to_levels"]


class Networks(NamedTuple):
    """Generator and critic."""

    generator: nn.Module
    critic: nn.Module


class GAN(nn.Module):
    """Generator g: z ~ N(0, I) → data, and critic (or discriminator's logit) f: data → one score per example.

    Images are scaled to [−1, 1], vectors to mean 0 and standard deviation 1, for both.

    Args:
        networks: generator and critic, in scaled units.
        shape: of one raw example.
        latent_dim: number of latent dimensions.
        levels: number of quantization levels of images; None: float vectors.
        mean: of each column of vectors, raw units.
        std: of each column of vectors, raw units.
        discrete: which columns of vectors take discrete values.

    Reference: *Generative Adversarial Networks*, Ian Goodfellow et al., 2014, arXiv:1406.2661.

    >>> model = GAN(dense_networks((2,), latent_dim=3, hidden=8), (2,), latent_dim=3, mean=[0.0, 0.0], std=[1.0, 2.0])
    >>> model.sample(5).shape, model.critic(model.preprocess(torch.zeros(5, 2))).shape
    (torch.Size([5, 2]), torch.Size([5]))
    """

    def __init__(
        self,
        networks: Networks,
        shape: Sequence[int],
        *,
        latent_dim: int,
        levels: int | None = None,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        discrete: Sequence[Discrete | None] = (),
    ) -> None:
        super().__init__()
        self.generator, self.critic = networks
        self.shape, self.latent_dim, self.levels = tuple(shape), positive("latent_dim", latent_dim), levels
        self.scaling = scaling(shape, levels, mean, std, discrete)
        # Whether the critic's scores are higher for data than for samples; for the reverse KL they are lower.
        self.rising = True

    @property
    def prior(self) -> Independent:
        """The distribution of z, N(0, I)."""
        zero = self.scaling.mean.new_zeros(self.latent_dim)  # its device is the model's
        return Independent(Normal(zero, torch.ones_like(zero), validate_args=False), 1)

    def preprocess(self, x: Num[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
        """Scale raw data for the critic."""
        return self.scaling(x)

    def generate(self, z: Float[Tensor, "B D"], y: None = None) -> Float[Tensor, "B ..."]:
        """Return g(z), in scaled units."""
        x: Tensor = self.generator(z)
        return x

    def discriminate(self, x: Float[Tensor, "B ..."], y: None = None) -> Float[Tensor, " B"]:
        """Return the critic's scores of `x`, in scaled units."""
        scores: Tensor = self.critic(x)
        return scores.float()  # under autocast as well, since their differences are small

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None, *, truncation: float | None = None) -> Tensor:
        """Draw `n` raw examples: float64 vectors, or uint8 images; each rounded to its nearest level or value.

        With `truncation` the coordinates of z are truncated to ±truncation, for samples of less variety and better
        quality.
        """
        z = draw_latent(n, self.latent_dim, generator, truncation).to(self.scaling.mean.device)
        return to_levels(self.scaling.quantize(self.decode(z)), self.levels)

    def decode(self, z: Float[Tensor, "B D"]) -> Float[Tensor, "B ..."]:
        """Return g(z) in raw units, float, differentiable."""
        return self.scaling.inverse(self.generator(z))

    def score(self, x: Num[Tensor, "B ..."]) -> Float[Tensor, " B"]:
        """Return the anomaly score −f(x), high where the critic takes x for a sample.

        It is meaningful only near data and samples."""
        scores: Tensor = self.critic(self.preprocess(x))
        return -scores if self.rising else scores


def scaling(
    shape: Sequence[int],
    levels: int | None,
    mean: Sequence[float],
    std: Sequence[float],
    discrete: Sequence[Discrete | None] = (),
) -> Standardize:
    """Return the module that scales images to [−1, 1] and vectors to mean 0 and standard deviation 1."""
    if levels:
        middle = [(levels - 1) / 2] * shape[0]
        return Standardize(middle, middle, shape)
    return Standardize(mean, std, shape, discrete)


def draw_latent(
    n: int, size: int, generator: torch.Generator | None = None, truncation: float | None = None
) -> Float[Tensor, "n D"]:
    """Draw z ~ N(0, I), with coordinates truncated to ±truncation if it is given.

    >>> bool(draw_latent(1000, 2, truncation=0.5).abs().max() <= 0.5)
    True
    """
    where = "cpu" if generator is None else generator.device
    if truncation is None:
        return torch.randn(n, size, generator=generator, device=where)
    u = torch.rand(n, size, generator=generator, device=where, dtype=torch.float64)
    tail = ndtr(u.new_tensor(-positive("truncation", truncation)))
    return ndtri(tail + u * (1 - 2 * tail)).float()  # by inverse transform sampling


def to_levels(x: Float[Tensor, "B ..."], levels: int | None) -> Tensor:
    """Return images rounded to the nearest level, uint8; vectors as they are."""
    return x.round().clamp(0, levels - 1).to(torch.uint8) if levels else x


def dense_networks(shape: Sequence[int], latent_dim: int, hidden: int = 128) -> Networks:
    """Return dense networks of three hidden layers, with ReLU (generator) and leaky ReLU (critic).

    The generator of images ends in tanh.

    >>> dense_networks((3,), latent_dim=2, hidden=4).generator(torch.zeros(5, 2)).shape
    torch.Size([5, 3])
    """
    size = math.prod(shape)
    generator = mlp((latent_dim, hidden, hidden, hidden, size))
    critic = mlp((size, hidden, hidden, hidden, 1), activation=lambda: nn.LeakyReLU(0.2))
    critic.append(nn.Flatten(0))
    if len(shape) > 1:
        generator.extend([nn.Tanh(), nn.Unflatten(1, tuple(shape))])
        critic.insert(0, nn.Flatten())
    return Networks(generator, critic)
