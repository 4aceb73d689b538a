"""What denoising autoencoders are trained to undo. The network is an autoencoder's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from thalweg.checks import choice, in_range, positive

__all__ = ["CORRUPTIONS", "Corruption"]

CORRUPTIONS = ("gaussian", "masking", "salt-and-pepper")


@dataclass(frozen=True)
class Corruption:
    """A distribution q(ỹ|y) of damaged data, each value by itself; `level` says how much.

    gaussian: y + level·ε, ε standard normal. masking: 0 with probability `level`. salt-and-pepper: with probability
    `level`, 0 or 1 at the toss of a fair coin; for data in [0, 1].

    Raises ValueError for another kind, a level that is not positive, and a probability above 1.

    Reference: Stacked denoising autoencoders: learning useful representations in a deep network with a local denoising
    criterion, Vincent, Larochelle, Lajoie, Bengio, Manzagol, 2010.

    >>> from thalweg.training.problem import Batch
    >>> y = torch.full((1, 6), 0.5)
    >>> Corruption("masking", 0.5)(y, Batch(y, seed=1)).tolist()
    [[0.0, 0.0, 0.5, 0.0, 0.0, 0.5]]
    """

    kind: str = "gaussian"
    level: float = 0.3

    def __post_init__(self) -> None:
        choice("corruption", self.kind, CORRUPTIONS)
        positive("level", self.level)
        if self.kind != "gaussian":
            in_range("level", self.level, 0.0, 1.0)

    def __call__(self, y: Tensor, draws: Any) -> Tensor:
        """Return `y` (B, *shape) damaged, by what `draws` (a batch) gives as `normal` or `uniform(name, *shape)`."""
        shape = y.shape[1:]
        if self.kind == "gaussian":
            return y + self.level * draws.normal("corruption", *shape)
        u = draws.uniform("corruption", *shape)
        damaged = torch.zeros_like(y) if self.kind == "masking" else (u < self.level / 2).to(y.dtype)
        return torch.where(u < self.level, damaged, y)
