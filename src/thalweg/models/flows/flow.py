"""The base class of normalizing flows."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thalweg.config import Discrete
from thalweg.models.flows.base import Base, base_distribution
from thalweg.models.flows.distribution import FlowDistribution
from thalweg.nn.dequantize import LogitLevels
from thalweg.nn.preprocess import Standardize
from thalweg.nn.transform import TransformOutput

__all__ = ["Flow"]


class Flow(nn.Module, ABC):
    """A density by change of variables: log p(x|c) = log p_Z(f(x; c)) + log |det ∂f/∂x|, f from raw data to R^d.

    A flow implements `forward_transform` and `inverse_transform`, f and its inverse on preprocessed data. The map from
    raw data to R^d is part of f: vectors are standardized; images are dequantized with uniform noise, scaled and passed
    through a logit. Calling a flow, with an optional context, returns a distribution over raw data.

    Args:
        shape: of one raw example, (D,) or (C, H, W).
        levels: number of quantization levels of images; None: float vectors.
        mean: of each column of vectors, raw units.
        std: of each column of vectors, raw units.
        discrete: which columns of vectors take discrete values.
        base: distribution of each coordinate of z: "normal", "logistic", "uniform" on (0, 1) or "beta", Beta(5, 5).
        alpha: margin of the logit of images, see `Dequantize`.
        context: number of context values that the flow is conditioned on; 0: none.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        levels: int | None = None,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        discrete: Sequence[Discrete | None] = (),
        base: Base = "normal",
        alpha: float = 0.05,
        context: int = 0,
    ) -> None:
        super().__init__()
        self.shape, self.size = tuple(shape), math.prod(shape)
        self.base, self.base_distribution = base, base_distribution(base)
        self.data = LogitLevels(levels, alpha) if levels else Standardize(mean, std, shape, discrete)
        self.levels, self.context = levels, context
        self.observation = "dequantized" if levels or any(discrete) else "continuous"
        self.probed = False  # whether training estimates the log-determinant with random probes
        self._density: Callable[..., Tensor] = self._log_density

    @abstractmethod
    def forward_transform(
        self, y: Float[Tensor, "B ..."], context: Float[Tensor, "B K"] | None = None
    ) -> TransformOutput:
        """Map preprocessed data `(B, *shape)` to z (B, D), with the log-determinant."""

    @abstractmethod
    def inverse_transform(
        self, z: Float[Tensor, "B D"], context: Float[Tensor, "B K"] | None = None
    ) -> Float[Tensor, "B ..."]:
        """Invert `forward_transform`."""

    def forward_transform_by_probe(
        self, y: Float[Tensor, "B ..."], context: Tensor | None, probe: Float[Tensor, "B D"]
    ) -> TransformOutput:
        """Return `forward_transform`, with an unbiased estimate of the log-determinant if the flow is `probed`."""
        return self.forward_transform(y, context)

    def forward_value(self, y: Float[Tensor, "B ..."], context: Tensor | None = None) -> Float[Tensor, "B D"]:
        """Map preprocessed data to z; a flow may override this where it is cheaper than `forward_transform`."""
        return self.forward_transform(y, context).value

    def inverse_transform_and_log_det(self, z: Float[Tensor, "B D"], context: Tensor | None = None) -> TransformOutput:
        """Return y = inverse_transform(z) and log |det ∂z/∂y|; a flow may override this with one pass."""
        y = self.inverse_transform(z, context)
        return TransformOutput(y, self.forward_transform(y, context).log_det)

    def forward(self, context: Float[Tensor, "... K"] | None = None) -> FlowDistribution:
        """Return the distribution of raw data given `context`, for images of dequantized levels."""
        return FlowDistribution(self, context)

    def compile(self, *args: Any, **settings: Any) -> None:
        """Compile the density, which training evaluates."""
        self._density = torch.compile(self._log_density, *args, **settings)

    def forward_and_log_det(
        self, x: Float[Tensor, "B ..."], context: Tensor | None = None, probe: Tensor | None = None
    ) -> TransformOutput:
        """Map raw float data, images with their noise added, to z (B, D), with the log-determinant."""
        if isinstance(self.data, Standardize):
            y, first = self.data(x), self.data.log_det()
        else:
            y, first = self.data.forward_and_log_det(x.to(self._anchor.dtype))
        z, second = (
            self.forward_transform(y, context) if probe is None else self.forward_transform_by_probe(y, context, probe)
        )
        return TransformOutput(z, first + second)

    def inverse(self, z: Float[Tensor, "B D"], context: Tensor | None = None) -> Float[Tensor, "B ..."]:
        """Invert `forward_and_log_det`."""
        return self.data.inverse(self.inverse_transform(z, context))

    def inverse_and_log_det(self, z: Float[Tensor, "B D"], context: Tensor | None = None) -> TransformOutput:
        """Return x = f⁻¹(z) with log |det ∂f/∂x| there, in one pass where the flow supports it."""
        y, second = self.inverse_transform_and_log_det(z, context)
        x = self.data.inverse(y)
        first = self.data.log_det() if isinstance(self.data, Standardize) else self.data.forward_and_log_det(x).log_det
        return TransformOutput(x, first + second)

    def _log_density(self, x: Tensor, context: Tensor | None, probe: Tensor | None) -> Tensor:
        z, log_det = self.forward_and_log_det(x, context, probe)
        return log_det + self.base_distribution.log_prob(z).sum(1)

    def log_prob(
        self,
        x: Tensor,
        noise: Tensor | None = None,
        context: Tensor | None = None,
        probe: Float[Tensor, "B D"] | None = None,
    ) -> Float[Tensor, " B"]:
        """Return the log-density of raw data, nats.

        Dequantization `noise`, uniform on [0, 1), is drawn if it is needed and not given. The result is exact, or an
        unbiased estimate if the flow is `probed` and a normal `probe` is given.
        """
        if self.observation == "dequantized" and noise is None:
            noise = torch.rand(x.shape, device=x.device, dtype=self._anchor.dtype)
        if isinstance(self.data, Standardize):
            return self._density(self.data.dequantize(x, noise), context, probe) + self.data.log_steps
        assert noise is not None
        return self._density(x + noise, context, probe)

    def encode(self, x: Tensor, context: Tensor | None = None) -> Float[Tensor, "B D"]:
        """Return z = f(x), for images and discrete columns with noise ½, the middle of each cell."""
        if isinstance(self.data, Standardize):
            return self.forward_value(self.data(self.data.dequantize(x)), context)
        return self.forward_value(self.data.forward_and_log_det(x.to(self._anchor.dtype) + 0.5).value, context)

    def decode(self, z: Float[Tensor, "B D"], context: Tensor | None = None) -> Float[Tensor, "B ..."]:
        """Return x = f⁻¹(z) in raw units, differentiable; `decode(encode(x))` is x."""
        x = self.inverse(z, context)
        return self.data.dequantize(x, -0.5) if isinstance(self.data, Standardize) else x - 0.5

    @torch.no_grad()
    def sample(
        self,
        n: int,
        generator: torch.Generator | None = None,
        *,
        temperature: float = 1.0,
        context: Tensor | None = None,
    ) -> Tensor:
        """Draw `n` raw examples: float64 vectors, or uint8 images of integer levels.

        `temperature` scales the deviation of z from its center: below 1, samples come from closer to the mode of z.
        """
        z = self.draw(n, generator, temperature)
        return self.to_levels(self.inverse(z, context))

    def draw(self, n: int, generator: torch.Generator | None = None, temperature: float = 1.0) -> Float[Tensor, "n D"]:
        """Draw z from the base distribution."""
        z = self.base_distribution.draw((n, self.size), like=self._anchor, generator=generator)
        center = self.base_distribution.center
        return z if temperature == 1.0 else center + temperature * (z - center)

    def to_levels(self, x: Tensor) -> Tensor:
        """Return dequantized data as raw data: images as uint8, discrete columns rounded to their values."""
        if isinstance(self.data, Standardize):
            return self.data.quantize(self.data.dequantize(x, -0.5))
        return x.floor().clamp(0, self.data.levels - 1).to(torch.uint8)

    @property
    def _anchor(self) -> Tensor:
        """A parameter, whose device and dtype are those of the flow."""
        return next(self.parameters())
