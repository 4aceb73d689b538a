"""LeNet-5 with modern components; `lenet5_1998` is the network of the paper."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from thalweg.nn.dense import he_initialize
from thalweg.nn.preprocess import ScaleImage

__all__ = ["LeNet5", "geometry"]

FIELD = 32  # smallest side of the padded image


def geometry(shape: Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the zero padding on each side, to a side of at least 32, and the size after S4."""
    height, width = shape[1:]
    padding = (max(0, math.ceil((FIELD - height) / 2)), max(0, math.ceil((FIELD - width) / 2)))
    left = [((n + 2 * p - 4) // 2 - 4) // 2 for n, p in zip((height, width), padding, strict=True)]
    return padding, (left[0], left[1])


class LeNet5(nn.Module):
    """LeNet-5 with modern components: 6@5×5, pool, 16@5×5, pool, 120, 84, classes.

    It has ReLU activations, 2×2 maximum pooling without a further activation, full connections and a linear output.
    Images below 32×32 are centered and padded with zeros (black) to that size, 28×28 by 2 pixels on each side; larger
    images are not padded, and the layer of 120 units reads all outputs of the convolutions. With 1×28×28 images and ten
    classes there are 61,706 parameters. Channels and units are those of the paper. Weights are initialized from N(0,
    2/n_in).

    Reference: *Gradient-Based Learning Applied to Document Recognition*, Yann LeCun, Léon Bottou, Yoshua Bengio,
    Patrick Haffner, 1998.

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
        """Return the scores whose softmax gives the class probabilities."""
        return self(x)
