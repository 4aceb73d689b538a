"""The Wasserstein autoencoder: an autoencoder whose codes are distributed like a prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from thalweg.checks import positive
from thalweg.config import Discrete
from thalweg.models.gans.gan import draw_latent, to_levels
from thalweg.nn.dense import mlp
from thalweg.nn.preprocess import quantize

__all__ = ["WAE", "code_critic"]


class WAE(nn.Module):
    """Deterministic encoder E and decoder D, where the distribution of the codes E(x) is trained to be N(0, σ²I).

    D(z) then generates samples. If the codes are distributed like the prior, E ‖x − D(E(x))‖² is the cost of a
    transport plan from the data to the samples, so training minimizes an upper bound on the optimal transport cost.
    Squared errors are in the units of the autoencoder.

    Args:
        autoencoder: has encode, decode, reconstruct, score of raw data, and `encoder`, `decoder`, `preprocess`.
        latent_dim: number of latent dimensions.
        levels: number of quantization levels of images; None: float vectors.
        discrete: which columns of vectors take discrete values.
        sigma: standard deviation of the prior.
        critic: discriminates samples of the prior from codes, as in a GAN; None if a kernel compares them.

    Reference: *Wasserstein Auto-Encoders*, Ilya Tolstikhin, Olivier Bousquet, Sylvain Gelly, Bernhard Schoelkopf, 2018,
    arXiv:1711.01558.

    >>> from thalweg.models.autoencoders.autoencoder import dense_autoencoder
    >>> model = WAE(dense_autoencoder((1, 8, 8), 3, (16,), levels=17), latent_dim=3, levels=17)
    >>> model.sample(5).shape, model.encode(model.sample(5)).shape
    (torch.Size([5, 1, 8, 8]), torch.Size([5, 3]))
    """

    def __init__(
        self,
        autoencoder: Any,
        *,
        latent_dim: int,
        levels: int | None = None,
        discrete: Sequence[Discrete | None] = (),
        sigma: float = 1.0,
        critic: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.autoencoder, self.critic = autoencoder, critic
        self.latent_dim, self.levels, self.sigma = latent_dim, levels, positive("sigma", sigma)
        self.discrete = tuple(discrete)

    @property
    def prior(self) -> Independent:
        """The distribution of z, N(0, σ²I)."""
        zero = next(self.parameters()).new_zeros(self.latent_dim)
        return Independent(Normal(zero, torch.full_like(zero, self.sigma), validate_args=False), 1)

    def encode(self, x: Tensor) -> Float[Tensor, "B d"]:
        """Return the code of raw `x`."""
        code: Tensor = self.autoencoder.encode(x)
        return code

    def decode(self, z: Float[Tensor, "B d"]) -> Tensor:
        """Return D(z), `(B, *shape)`, float, in raw units."""
        x: Tensor = self.autoencoder.decode(z)
        return x

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return `decode(encode(x))`."""
        return self.decode(self.encode(x))

    def score(self, x: Tensor) -> Float[Tensor, " B"]:
        """Return the squared error of raw `x`: high for examples that differ from the training data."""
        error: Tensor = self.autoencoder.score(x)
        return error

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None, *, truncation: float | None = None) -> Tensor:
        """Draw `n` raw examples: float64 vectors, or uint8 images; each rounded to its nearest level or value.

        With `truncation` every coordinate of z is within ±truncation standard deviations of the prior.
        """
        z = self.sigma * draw_latent(n, self.latent_dim, generator, truncation)
        x = self.decode(z.to(next(self.parameters()).device))
        return to_levels(quantize(x, self.discrete), self.levels)


def code_critic(latent_dim: int, hidden: int = 256) -> nn.Sequential:
    """Return a network of three hidden ReLU layers from a code to a score.

    >>> code_critic(3)(torch.zeros(2, 3)).shape
    torch.Size([2])
    """
    return mlp((latent_dim, hidden, hidden, hidden, 1)).append(nn.Flatten(0))
