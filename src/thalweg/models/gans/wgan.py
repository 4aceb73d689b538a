"""The Wasserstein GAN's networks: a generator and a critic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from thalweg.checks import positive
from thalweg.nn.conv import halvings
from thalweg.nn.dense import mlp
from thalweg.nn.preprocess import Standardize

__all__ = ["WGAN", "Networks", "conv_networks", "dense_networks"]


class Networks(NamedTuple):
    """Who makes and who judges."""

    generator: nn.Module
    critic: nn.Module


class WGAN(nn.Module):
    """Generator g: z ~ N(0, I) → data, and critic f: data → one score an example, on data scaled for both.

    Images are scaled to [−1, 1], vectors to mean 0 and standard deviation 1. Neither network has a layer that mixes the
    examples of a batch: a sample does not depend on its neighbors, and the critic's clipping leaves no statistics out.

    Args:
        networks: generator and critic, in scaled units.
        shape: of one raw example.
        latent_dim: numbers in z.
        levels: whole-number levels of images; None: float vectors.
        mean: of each column of vectors, raw units.
        std: of each column of vectors, raw units.

    Reference: Wasserstein GAN, Martin Arjovsky, Soumith Chintala, Léon Bottou, 2017, arXiv 1701.07875.

    >>> model = WGAN(dense_networks((2,), latent_dim=3, hidden=8), (2,), latent_dim=3, mean=[0.0, 0.0], std=[1.0, 2.0])
    >>> model.sample(5).shape, model.critic(model.prepare(torch.zeros(5, 2))).shape
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
    ) -> None:
        super().__init__()
        self.generator, self.critic = networks
        self.shape, self.latent_dim, self.levels = tuple(shape), positive("latent_dim", latent_dim), levels
        middle = (levels - 1) / 2 if levels else 0.0
        scale = ([middle] * shape[0], [middle] * shape[0]) if levels else (mean, std)
        self.scaling = Standardize(*scale, shape)

    @property
    def prior(self) -> Independent:
        """The law of z, N(0, I)."""
        zero = self.scaling.mean.new_zeros(self.latent_dim)  # on the model's device
        return Independent(Normal(zero, torch.ones_like(zero), validate_args=False), 1)

    def prepare(self, x: Num[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
        """Scale raw data for the critic."""
        return self.scaling(x)

    def decode(self, z: Float[Tensor, "B D"]) -> Float[Tensor, "B ..."]:
        """Return g(z) in raw units, float, differentiable."""
        return self.scaling.inverse(self.generator(z))

    def score(self, x: Num[Tensor, "B ..."]) -> Float[Tensor, " B"]:
        """Return −f(x): the critic is low where samples are and data are not, and knows nothing of other places."""
        return -self.critic(self.prepare(x))

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `n` raw examples: float vectors, or uint8 images rounded to the nearest level."""
        device = self.scaling.mean.device
        where = device if generator is None else generator.device
        z = torch.randn(n, self.latent_dim, generator=generator, device=where).to(device)
        x = self.decode(z)
        return x.round().clamp(0, self.levels - 1).to(torch.uint8) if self.levels else x


def dense_networks(shape: Sequence[int], latent_dim: int, hidden: int = 128) -> Networks:
    """Three hidden layers each, ReLU in the generator, leaky ReLU in the critic; for vectors.

    >>> dense_networks((3,), latent_dim=2, hidden=4).generator(torch.zeros(5, 2)).shape
    torch.Size([5, 3])
    """
    size = math.prod(shape)
    generator = mlp((latent_dim, hidden, hidden, hidden, size))
    critic = mlp((size, hidden, hidden, hidden, 1), activation=lambda: nn.LeakyReLU(0.2))
    return Networks(generator, critic.append(nn.Flatten(0)))


def conv_networks(shape: Sequence[int], latent_dim: int, hidden: int = 128) -> Networks:
    """Strided convolutions as in DCGAN, for images (C, H, W) of any size from 8×8, weights from N(0, 0.02²).

    Where DCGAN normalizes over the batch, the generator normalizes over each example, in groups of channels: a sample
    does not depend on its neighbors, and several processes give what one gives. The critic has no normalization, which
    would undo the bound that clipping puts on its slope.

    The smallest map, 4×4 (2×2 for images up to 16×16), has `hidden` channels; each doubling of the size halves them. A
    side of even length is halved or doubled by a kernel of 4, an odd one by a kernel of 3. The generator ends in tanh.

    Raises ValueError for images below 8×8.

    Reference: Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks, Alec
    Radford, Luke Metz, Soumith Chintala, 2016, arXiv 1511.06434.

    >>> generator, critic = conv_networks((3, 9, 8), latent_dim=2, hidden=16)
    >>> critic(generator(torch.zeros(5, 2))).shape
    torch.Size([5])
    """
    sizes = halvings(shape[1], shape[2], least=4 if max(shape[1:]) > 16 else 2)
    channels = [shape[0], *[max(hidden >> i, 8) for i in reversed(range(len(sizes) - 1))]]
    down: list[nn.Module] = []
    up: list[nn.Module] = []
    for i, (height, width) in enumerate(sizes[:-1]):
        kernel = (4 - height % 2, 4 - width % 2)
        outer, inner = channels[i], channels[i + 1]
        down += [nn.Conv2d(outer, inner, kernel, stride=2, padding=1), nn.LeakyReLU(0.2)]
        rise = nn.ConvTranspose2d(inner, outer, kernel, stride=2, padding=1)
        up = [nn.GroupNorm(math.gcd(8, inner), inner), nn.ReLU(), rise, *up]
    smallest = (channels[-1], *sizes[-1])
    flat = math.prod(smallest)
    generator = nn.Sequential(nn.Linear(latent_dim, flat), nn.Unflatten(1, smallest), *up)
    critic = nn.Sequential(*down, nn.Flatten(), nn.Linear(flat, 1), nn.Flatten(0))
    for layer in (*generator.modules(), *critic.modules()):
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return Networks(generator.append(nn.Tanh()), critic)
