"""The corruption that denoising autoencoders are trained to remove. The network is that of an autoencoder."""

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
    """A distribution q(ỹ|y) of corrupted data, with independent values; `level` is the amount of corruption.

    gaussian: y + level·ε, ε standard normal. masking: 0 with probability `level`. salt-and-pepper: with probability
        `level` 0 or 1, equally likely; for data in [0, 1].

    Raises ValueError for an unknown kind, a level that is not positive, and a probability above 1.

    Reference: *Stacked Denoising Autoencoders: Learning Useful Representations in a Deep Network with a Local Denoising
    Criterion*, Pascal Vincent, Hugo Larochelle, Isabelle Lajoie, Yoshua Bengio, Pierre-Antoine Manzagol, 2010.

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
        """Return corrupted `y` `(B, *shape)`, with random numbers from `draws`, a batch."""
        shape = y.shape[1:]
        if self.kind == "gaussian":
            return y + self.level * draws.normal("corruption", *shape)
        u = draws.uniform("corruption", *shape)
        damaged = torch.zeros_like(y) if self.kind == "masking" else (u < self.level / 2).to(y.dtype)
        return torch.where(u < self.level, damaged, y)
