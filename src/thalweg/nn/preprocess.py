"""The first layer of a model, from raw data to values of unit scale, and its inverse."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from thalweg.config import Discrete

__all__ = ["ScaleImage", "Standardize", "quantize"]


class Standardize(nn.Module):
    """Standardized data, y = (x − mean)/std: one mean and std per channel of images (C, H, W), per column of vectors.

    Vectors are centered in float64, so that a column with a large mean and a small variance keeps its precision; `y`
    has the dtype of the networks' parameters. Columns may be `discrete`: a density of x + step · u, u uniform on [0,
    1), with log step added, has an average over u that is a lower bound on the log-probability of the value x.

    `log_det()` is log|det ∂y/∂x| of one example, in nats: a scalar tensor.

    Raises ValueError if there are not as many means and stds as channels or columns, or if a std is not positive.

    *Reference*: *A note on the evaluation of generative models*, L. Theis, A. van den Oord, M. Bethge, 2016,
    arXiv:1511.01844 (uniform dequantization).

    >>> scale = Standardize((10.0, 0.0), (4.0, 0.5), shape=(2,))
    >>> scale(torch.tensor([[14.0, 1.0]])).tolist(), round(float(scale.log_det()), 6)
    ([[1.0, 2.0]], -0.693147)
    """

    mean: Tensor
    std: Tensor
    steps: Tensor
    unit: Tensor

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        shape: Sequence[int],
        discrete: Sequence[Discrete | None] = (),
    ) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            if len(values) != shape[0]:
                raise ValueError(f"{name}: got {len(values)} numbers, wanted {shape[0]}, one per channel or column")
        if not min(std) > 0:
            raise ValueError(f"std: got {min(std)}, wanted numbers greater than 0")
        if discrete and len(discrete) != shape[0]:
            raise ValueError(f"discrete: got {len(discrete)} entries, wanted {shape[0]}, one per column")
        dtype = torch.float64 if len(shape) == 1 else torch.float32
        broadcast = (shape[0], *(1 for _ in shape[1:]))
        self.register_buffer("mean", torch.tensor(mean, dtype=dtype).view(broadcast))
        self.register_buffer("std", torch.tensor(std, dtype=dtype).view(broadcast))
        self.register_buffer("unit", torch.ones(()), persistent=False)  # its dtype is that of the networks
        self.repeats = torch.Size(shape[1:]).numel()
        self.discrete = tuple(discrete)
        self.is_discrete = any(column is not None for column in discrete)
        steps = [column.step if column else 0.0 for column in discrete]
        self.register_buffer("steps", torch.tensor(steps, dtype=torch.float64), persistent=False)
        self.log_steps = sum(math.log(step) for step in steps if step)

    def forward(self, x: Tensor) -> Tensor:
        """Return y = (x − mean)/std."""
        return ((x - self.mean) / self.std).to(self.unit.dtype)

    def inverse(self, y: Tensor) -> Tensor:
        """Return x = y·std + mean, in float64 for vectors."""
        return y * self.std + self.mean

    def log_det(self) -> Tensor:
        """Return log|det ∂y/∂x| = −Σ log std over all values of one example."""
        return -self.repeats * self.std.log().sum()

    def dequantize(self, x: Tensor, noise: Tensor | float | None = 0.5) -> Tensor:
        """Return x + step · noise for discrete columns; other columns, and vectors without noise, are unchanged."""
        return x + self.steps * noise if self.is_discrete and noise is not None else x

    def quantize(self, x: Tensor) -> Tensor:
        """Return `x` with each discrete column rounded to its nearest value."""
        return quantize(x, self.discrete)


def quantize(x: Tensor, discrete: Sequence[Discrete | None]) -> Tensor:
    """Return vectors `x` (B, D) with each discrete column rounded to its nearest value.

    >>> quantize(torch.tensor([[1.7, 1.9]]), (Discrete(), Discrete(0.5, (0.0, 0.5, 2.0)))).tolist()
    [[2.0, 2.0]]
    """
    if not any(discrete):
        return x
    columns = list(x.double().unbind(1))
    for i, column in enumerate(discrete):
        if column is not None:
            columns[i] = _nearest(columns[i], column.values) if column.values else columns[i].round()
    return torch.stack(columns, 1)


def _nearest(x: Tensor, values: Sequence[float]) -> Tensor:
    known = torch.tensor(values, dtype=x.dtype, device=x.device)
    return known[torch.bucketize(x.contiguous(), (known[1:] + known[:-1]) / 2)]


class ScaleImage(nn.Module):
    """Image values 0..levels−1 scaled to [0, 1], float32, in one kernel.

    >>> ScaleImage(256)(torch.tensor([0, 255], dtype=torch.uint8)).tolist()
    [0.0, 1.0]
    """

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels
        self.factor = 1.0 / (levels - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return y = x/(levels − 1)."""
        return x * self.factor

    def inverse(self, y: Tensor) -> Tensor:
        """Return x = y·(levels − 1)."""
        return y * (self.levels - 1)

    def extra_repr(self) -> str:
        return f"levels={self.levels}"
