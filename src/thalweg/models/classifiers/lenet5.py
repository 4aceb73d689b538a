"""LeNet-5, as it is built today; `lenet5_1998` has the network of the paper."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from thalweg.nn.dense import he_initialize
from thalweg.nn.preprocess import ScaleImage

__all__ = ["LeNet5", "geometry"]

FIELD = 32  # the least side of the field that the first convolution sees


def geometry(shape: Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the zero padding on each side, up to a field of 32, and the size that is left after S4."""
    height, width = shape[1:]
    padding = (max(0, math.ceil((FIELD - height) / 2)), max(0, math.ceil((FIELD - width) / 2)))
    left = [((n + 2 * p - 4) // 2 - 4) // 2 for n, p in zip((height, width), padding, strict=True)]
    return padding, (left[0], left[1])


class LeNet5(nn.Module):
    """LeNet-5 with today's parts: 6@5×5, pool, 16@5×5, pool, 120, 84, classes; ReLU, maximum pooling over 2×2 with no
    activation after it (it would change nothing), complete connections, a linear output.

    Images below 32×32 are padded with zeros (black) to the middle of a field of that size, 28×28 by 2 pixels; larger
    ones go in as they are, and the layer of 120 units takes in whatever the convolutions leave. At 1×28×28 and ten
    classes: 61,706 parameters. Channels and units are those of the paper. Weights start at He's N(0, 2/n_in).

    Reference: LeCun, Bottou, Bengio, Haffner, *Gradient-based learning applied to document recognition*, 1998.

    >>> sum(p.numel() for p in LeNet5((1, 28, 28), classes=10, levels=256).parameters())
    61706
    """

    def __init__(self, shape: Sequence[int], classes: int, *, levels: int) -> None:
        super().__init__()
        padding, left = geometry(shape)
        self.preprocess = ScaleImage(levels)
        self.features = nn.Sequential(
            nn.Conv2d(shape[0], 6, 5, padding=padding), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Linear(16 * left[0] * left[1], 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes)
        )
        he_initialize(self, last_gain=1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, K) of raw `x`."""
        return self.classifier(self.features(self.preprocess(x)).flatten(1))

    def logits(self, x: Tensor) -> Float[Tensor, "B K"]:
        """Return the scores whose softmax are the classes' probabilities."""
        return self(x)
