"""The base class of mixture densities: the map from raw to standardized data, and back."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thalweg.config import Discrete
from thalweg.nn.preprocess import Standardize

__all__ = ["Fit", "Mixture"]


class Fit(NamedTuple):
    """The result of a fitting step: log-densities of raw examples in nats, and whether the fit has converged."""

    log_prob: Tensor
    last: bool = False


class Mixture(nn.Module, ABC):
    """A density of standardized examples y = (x − mean)/std, flattened: log p(x) = log p_Y(y) − Σ log std.

    Vectors have a mean and std for each column, images for each channel. Uniform noise is added to the levels of images
    and to discrete columns, so that the mean log-density is a lower bound on the log-probability of the raw values.
    There is no logit: a mixture may have mass outside of the range of the levels, which lowers the bound.

    Args:
        shape: of one raw example, (D,) or (C, H, W).
        mean: of each column or channel, raw units.
        std: of each column or channel, raw units.
        levels: number of quantization levels of images; None: float vectors.
        discrete: which columns of vectors take discrete values.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        mean: Sequence[float],
        std: Sequence[float],
        levels: int | None = None,
        discrete: Sequence[Discrete | None] = (),
    ) -> None:
        super().__init__()
        self.shape, self.size, self.levels = tuple(shape), math.prod(shape), levels
        self.data = Standardize(mean, std, shape, discrete)
        self.observation: Literal["dequantized", "continuous"] = (
            "dequantized" if levels or self.data.is_discrete else "continuous"
        )

    @abstractmethod
    def log_density(self, y: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
        """Return log p_Y of standardized examples."""

    @abstractmethod
    def draw(self, n: int, generator: torch.Generator | None = None) -> Float[Tensor, "n D"]:
        """Draw standardized examples."""

    @abstractmethod
    def fit(self, x: Tensor, noise: Tensor | None, keys: Float[Tensor, "B K"]) -> Fit:
        """Take a closed-form step on raw `x`, dequantized with `noise`; uniform `keys` are its randomness."""

    @property
    def keys(self) -> int:
        """Number of uniform random values per example that `fit` needs."""
        return 0

    def preprocess(self, x: Tensor, noise: Tensor | float | None, dtype: torch.dtype) -> Float[Tensor, "B D"]:
        """Return standardized examples from raw ones and dequantization noise."""
        x = x.double()
        if self.levels:
            x = x if noise is None else x + noise
        else:
            x = self.data.dequantize(x, noise)
        return ((x - self.data.mean) / self.data.std).flatten(1).to(dtype)

    def log_prob(self, x: Tensor, noise: Tensor | None = None) -> Float[Tensor, " B"]:
        """Return the log-density of raw data, nats.

        Dequantization `noise`, uniform on [0, 1), is drawn if it is needed and not given.
        """
        if self.observation == "dequantized" and noise is None:
            noise = torch.rand(x.shape, device=x.device)
        values = self.log_density(self.preprocess(x, noise, self.dtype)) + self.log_scale()
        return values.to(self.data.unit.dtype)

    def log_scale(self) -> Tensor:
        """Return the log-density of raw values minus log p_Y: −Σ log std, plus log step of each discrete column."""
        return self.data.log_det() + self.data.log_steps

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `n` raw examples: float64 vectors, or uint8 images of integer levels."""
        x = self.data.inverse(self.draw(n, generator).reshape(n, *self.shape))
        if self.levels:
            return x.floor().clamp(0, self.levels - 1).to(torch.uint8)
        return self.data.quantize(self.data.dequantize(x, -0.5))

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """The dtype in which densities are computed."""
