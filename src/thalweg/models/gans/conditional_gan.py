"""A generative adversarial network whose generator and critic are conditioned on the class."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor, nn
from torch.nn.functional import one_hot

from thalweg.checks import positive
from thalweg.config import Discrete
from thalweg.models.gans.gan import Networks, draw_latent, scaling, to_levels

__all__ = ["ClassConditioned", "ConditionalGAN"]


class ClassConditioned(nn.Module):
    """A network whose input is joined with the one-hot class, as further values of a vector or channels of an image.

    >>> ClassConditioned(nn.Linear(2 + 3, 1), 3)(torch.zeros(4, 2), torch.tensor([0, 1, 2, 0])).shape
    torch.Size([4, 1])
    """

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.network, self.classes = network, positive("classes", classes)

    def forward(self, x: Tensor, y: Int[Tensor, " B"]) -> Tensor:
        """Return the network's output for `x` of the classes `y`."""
        code = one_hot(y.long(), self.classes).to(x.dtype)
        code = code.reshape(*code.shape, *[1] * (x.dim() - 2)).expand(-1, -1, *x.shape[2:])
        answer: Tensor = self.network(torch.cat([x, code], 1))
        return answer


class ConditionalGAN(nn.Module):
    """Generator g(z, y) and critic f(x, y), each conditioned on the one-hot label y.

    Args:
        build_networks: builds generator and critic from the shape of the data and the number of generator inputs. It is
            called twice, since the generator has `classes` more inputs and the critic `classes` more channels (or
            values).
        shape: of one raw example.
        latent_dim: number of latent dimensions.
        classes: number of classes.
        levels: number of quantization levels of images; None: float vectors.
        mean: of each column of vectors, raw units.
        std: of each column of vectors, raw units.
        discrete: which columns of vectors take discrete values.

    Reference: *Conditional Generative Adversarial Nets*, Mehdi Mirza, Simon Osindero, 2014, arXiv:1411.1784.

    >>> from thalweg.models.gans.gan import dense_networks
    >>> model = ConditionalGAN(dense_networks, (2,), latent_dim=3, classes=4, mean=[0.0, 0.0], std=[1.0, 2.0])
    >>> model.sample(3, y=torch.tensor([0, 3, 3])).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        build_networks: Callable[[Sequence[int], int], Networks],
        shape: Sequence[int],
        *,
        latent_dim: int,
        classes: int,
        levels: int | None = None,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        discrete: Sequence[Discrete | None] = (),
    ) -> None:
        super().__init__()
        self.generator = ClassConditioned(build_networks(shape, latent_dim + classes).generator, classes)
        self.critic = ClassConditioned(build_networks((shape[0] + classes, *shape[1:]), latent_dim).critic, classes)
        self.shape, self.latent_dim, self.levels = tuple(shape), positive("latent_dim", latent_dim), levels
        self.classes = classes
        self.scaling = scaling(shape, levels, mean, std, discrete)

    def preprocess(self, x: Num[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
        """Scale raw data for the critic."""
        return self.scaling(x)

    def generate(self, z: Float[Tensor, "B D"], y: Int[Tensor, " B"]) -> Float[Tensor, "B ..."]:
        """Return g(z, y), in scaled units."""
        x: Tensor = self.generator(z, y)
        return x

    def discriminate(self, x: Float[Tensor, "B ..."], y: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
        """Return the critic's scores of `x` and `y`, in scaled units."""
        scores: Tensor = self.critic(x, y)
        return scores.float()  # under autocast as well, since their differences are small

    @torch.no_grad()
    def sample(
        self,
        n: int,
        generator: torch.Generator | None = None,
        *,
        truncation: float | None = None,
        y: Int[Tensor, " n"] | None = None,
    ) -> Tensor:
        """Draw `n` raw examples of the classes `y`, by default of uniformly drawn classes.

        With `truncation` the coordinates of z are truncated to ±truncation, for samples of less variety and better
        quality.
        """
        z = draw_latent(n, self.latent_dim, generator, truncation)
        if y is None:
            y = torch.randint(self.classes, (n,), generator=generator, device=z.device)
        device = self.scaling.mean.device
        x = self.scaling.inverse(self.generate(z.to(device), y.to(device)))
        return to_levels(self.scaling.quantize(x), self.levels)
