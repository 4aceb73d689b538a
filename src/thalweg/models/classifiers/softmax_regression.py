"""Softmax regression, the linear classifier."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from thalweg.nn.preprocess import ScaleImage, Standardize

__all__ = ["SoftmaxRegression"]


class SoftmaxRegression(nn.Module):
    """Linear classifier, P(y|x) = softmax(A x + b): images flattened and scaled to [0, 1], vectors standardized.

    A and b are initialized with 0, where every class is equally likely; the loss is convex, so the initialization does
    not matter.

    `shape` is that of one example, `classes` their number. `levels` is the number of quantization levels of images;
    vectors (None) need `mean` and `std`.

    Reference: *Generalized Linear Models*, Peter McCullagh, John Nelder, 1989, chapter 5.

    >>> import torch
    >>> model = SoftmaxRegression((1, 28, 28), classes=10, levels=256)
    >>> model.logits(torch.zeros(2, 1, 28, 28, dtype=torch.uint8)).shape
    torch.Size([2, 10])
    """

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
        self.linear = nn.Linear(math.prod(shape), classes)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, K) of raw `x`."""
        return self.linear(self.preprocess(x).flatten(1))

    def logits(self, x: Tensor) -> Float[Tensor, "B K"]:
        """Return A x + b, whose softmax gives the class probabilities."""
        return self(x)
