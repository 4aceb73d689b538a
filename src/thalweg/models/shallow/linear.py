"""What the linear classifiers have in common: preprocessing and one linear layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thalweg.nn.preprocess import ScaleImage, Standardize

__all__ = ["LinearClassifier"]


class LinearClassifier(nn.Module):
    """A x + b of raw data: images flattened and scaled to [0, 1], vectors standardized. A and b begin with 0.

    Two classes have one score z = aᵀx + b and the logits (−z/2, z/2): their difference is z, and their softmax is (1/(1
    + eᶻ), 1/(1 + e⁻ᶻ)). K > 2 classes have one score each, A x + b, which are the logits; with `one_score` False two
    classes, too.

    `shape` is that of one example, `classes` their number. `levels` is the number of quantization levels of images;
    vectors (None) need `mean` and `std`.

    >>> model = LinearClassifier((2,), classes=2, mean=(0.0, 0.0), std=(1.0, 1.0))
    >>> model.logits(torch.ones(3, 2)).shape
    torch.Size([3, 2])
    """

    one_score = True

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        *,
        levels: int | None = None,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.preprocess: nn.Module = Standardize(mean, std, shape) if levels is None else ScaleImage(levels)
        self.linear = nn.Linear(math.prod(shape), 1 if self.one_score and classes == 2 else classes)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def scores(self, x: Tensor) -> Float[Tensor, "B rows"]:
        """Return A x + b."""
        return self.linear(self.preprocess(x).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, K) of raw `x`."""
        z = self.scores(x)
        return torch.cat([-z / 2, z / 2], dim=1) if z.shape[1] == 1 else z

    def logits(self, x: Tensor) -> Float[Tensor, "B K"]:
        """Return the logits; the class with the largest one is the prediction."""
        return self(x)
