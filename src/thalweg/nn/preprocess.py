"""First steps of a model, from raw data to the numbers a network likes, and back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["ScaleImage", "Standardize"]


class Standardize(nn.Module):
    """Standardized data, y = (x − mean)/std: one mean and std a channel for images (C, H, W), one a column for vectors.

    `log_det()` is log|det ∂y/∂x| of one example, in nats: a scalar tensor.

    Raises ValueError if there are not as many means and stds as channels or columns, or if a std is not positive.

    >>> scale = Standardize((10.0, 0.0), (4.0, 0.5), shape=(2,))
    >>> scale(torch.tensor([[14.0, 1.0]])).tolist(), round(float(scale.log_det()), 6)
    ([[1.0, 2.0]], -0.693147)
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], shape: Sequence[int]) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            if len(values) != shape[0]:
                raise ValueError(f"{name}: got {len(values)} numbers, wanted {shape[0]}, one a channel or column")
        if not min(std) > 0:
            raise ValueError(f"std: got {min(std)}, wanted numbers greater than 0")
        broadcast = (shape[0], *(1 for _ in shape[1:]))
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(broadcast))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(broadcast))
        self.repeats = torch.Size(shape[1:]).numel()

    def forward(self, x: Tensor) -> Tensor:
        """Return y = (x − mean)/std, float32."""
        return (x - self.mean) / self.std

    def inverse(self, y: Tensor) -> Tensor:
        """Return x = y·std + mean."""
        return y * self.std + self.mean

    def log_det(self) -> Tensor:
        """Return log|det ∂y/∂x| = −Σ log std over all values of one example."""
        return -self.repeats * self.std.log().sum()


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
