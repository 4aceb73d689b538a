"""A generative adversarial network whose generator and critic are given the class."""

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
    """A network that is given the class, too, one-hot: beside a vector's values, or as channels of an image.

    >>> ClassConditioned(nn.Linear(2 + 3, 1), 3)(torch.zeros(4, 2), torch.tensor([0, 1, 2, 0])).shape
    torch.Size([4, 1])
    """

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.network, self.classes = network, positive("classes", classes)

    def forward(self, x: Tensor, y: Int[Tensor, " B"]) -> Tensor:
        """Return the network's answer for `x` of the classes `y`."""
        code = one_hot(y.long(), self.classes).to(x.dtype)
        code = code.reshape(*code.shape, *[1] * (x.dim() - 2)).expand(-1, -1, *x.shape[2:])
        answer: Tensor = self.network(torch.cat([x, code], 1))
        return answer


class ConditionalGAN(nn.Module):
    """Generator g(z, y) and critic f(x, y), each given the label y, one-hot; samples of classes asked for.

    Args:
        make: builds the networks from the shape of their data, the generator's number of inputs, and the critic's
            shape of input, which has `classes` channels (or values) more.
        shape: of one raw example.
        latent_dim: numbers in z.
        classes: how many there are.
        levels: whole-number levels of images; None: float vectors.
        mean: of each column of vectors, raw units.
        std: of each column of vectors, raw units.
        discrete: which columns of vectors take discrete values.

    Reference: Conditional Generative Adversarial Nets, Mehdi Mirza, Simon Osindero, 2014, arXiv 1411.1784.

    >>> from thalweg.models.gans.gan import dense_networks
    >>> model = ConditionalGAN(dense_networks, (2,), latent_dim=3, classes=4, mean=[0.0, 0.0], std=[1.0, 2.0])
    >>> model.sample(3, y=torch.tensor([0, 3, 3])).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        make: Callable[[Sequence[int], int], Networks],
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
        self.generator = ClassConditioned(make(shape, latent_dim + classes).generator, classes)
        self.critic = ClassConditioned(make((shape[0] + classes, *shape[1:]), latent_dim).critic, classes)
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
        return scores.float()  # under autocast, too: their differences are small

    @torch.no_grad()
    def sample(
        self,
        n: int,
        generator: torch.Generator | None = None,
        *,
        truncation: float | None = None,
        y: Int[Tensor, " n"] | None = None,
    ) -> Tensor:
        """Draw `n` raw examples of the classes `y`, or of classes each as likely as any other.

        With `truncation` every coordinate of z is a normal number within ±truncation: less variety, fewer failures.
        """
        z = draw_latent(n, self.latent_dim, generator, truncation)
        if y is None:
            y = torch.randint(self.classes, (n,), generator=generator, device=z.device)
        device = self.scaling.mean.device
        x = self.scaling.inverse(self.generate(z.to(device), y.to(device)))
        return to_levels(self.scaling.quantize(x), self.levels)
