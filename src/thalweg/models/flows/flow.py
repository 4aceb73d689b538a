"""What every normalizing flow can do, from the two maps that a flow has to give."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from thalweg.checks import choice
from thalweg.nn.dequantize import LogitLevels, Moved
from thalweg.nn.preprocess import Standardize

__all__ = ["Flow"]


class Flow(nn.Module, ABC):
    """A density by change of variables: log p(x) = log p_Z(f(x)) + log |det ∂f/∂x|, with f from raw data to R^d.

    A flow gives `push` and `pull`, f and its inverse on R^d, and the rest follows. The way from raw data to R^d is
    part of f: vectors are standardized; images are dequantized by uniform noise, scaled and taken through a logit.

    Args:
        shape: of one raw example, (D,) or (C, H, W).
        levels: whole-number levels of a value; None: float vectors.
        mean: of each column of vectors, raw units.
        std: of each column of vectors, raw units.
        base: law of each coordinate of z, "normal" or "logistic".
        alpha: margin of the logit of images.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        levels: int | None = None,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        base: Literal["normal", "logistic"] = "normal",
        alpha: float = 0.05,
    ) -> None:
        super().__init__()
        self.shape, self.size = tuple(shape), math.prod(shape)
        self.base = choice("base", base, ("normal", "logistic"))
        self.data = LogitLevels(levels, alpha) if levels else Standardize(mean, std, shape)
        self.levels = levels
        self.observation = "dequantized" if levels else "continuous"

    @abstractmethod
    def push(self, y: Float[Tensor, "B D"]) -> Moved:
        """Take R^d to R^d, with the log-determinant."""

    @abstractmethod
    def pull(self, z: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        """Invert `push`."""

    def forward_and_log_det(self, x: Float[Tensor, "B ..."]) -> Moved:
        """Take raw float data, images with their noise added, to z (B, D), with the log-determinant."""
        if isinstance(self.data, Standardize):
            y, first = self.data(x), self.data.log_det()
        else:
            y, first = self.data.forward_and_log_det(x)
        z, second = self.push(y.flatten(1))
        return Moved(z, first + second)

    def inverse(self, z: Float[Tensor, "B D"]) -> Float[Tensor, "B ..."]:
        """Invert `forward_and_log_det`."""
        return self.data.inverse(self.pull(z).reshape(-1, *self.shape))

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Float[Tensor, " B"]:
        """Return `log_prob` of x + noise, drawing nothing."""
        x = x.to(self._anchor.dtype)
        z, log_det = self.forward_and_log_det(x if noise is None else x + noise)
        if self.base == "normal":
            return log_det - 0.5 * z.square().sum(1) - self.size * 0.5 * math.log(2 * math.pi)
        return log_det - (softplus(z) + softplus(-z)).sum(1)

    def log_prob(self, x: Tensor, noise: Tensor | None = None) -> Float[Tensor, " B"]:
        """Log-density of raw data in nats. Of images: of x + noise, noise uniform on [0, 1), drawn if not given."""
        if self.levels and noise is None:
            noise = torch.rand(x.shape, device=x.device, dtype=self._anchor.dtype)
        return self(x, noise)

    def encode(self, x: Tensor) -> Float[Tensor, "B D"]:
        """Return z = f(x); of images, at the middle of each level."""
        return self.forward_and_log_det(x.to(self._anchor.dtype) + (0.5 if self.levels else 0.0)).value

    def decode(self, z: Float[Tensor, "B D"]) -> Float[Tensor, "B ..."]:
        """Return x = f⁻¹(z) in raw units, differentiable; of images, so that encode's z gives back its x."""
        return self.inverse(z) - (0.5 if self.levels else 0.0)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `n` raw examples: float vectors, or uint8 images of whole-number levels."""
        like = self._anchor
        if self.base == "normal":
            z = torch.randn(n, self.size, generator=generator, device=like.device, dtype=like.dtype)
        else:
            u = torch.rand(n, self.size, generator=generator, device=like.device, dtype=like.dtype)
            z = u.logit(eps=torch.finfo(u.dtype).eps)
        x = self.inverse(z)
        return x.floor().clamp(0, self.levels - 1).to(torch.uint8) if self.levels else x

    @property
    def _anchor(self) -> Tensor:
        """Any parameter: where and how precisely the flow computes."""
        return next(self.parameters())
