"""ZFNet, AlexNet with a smaller first kernel and stride."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from thalweg.models.classifiers.convnet import ConvNet, hidden_layers, size_after
from thalweg.nn.dense import he_initialize

__all__ = ["ZFNet"]

IMAGENET_MIN_SIDE = 64  # smallest side for the strides of the paper


class ZFNet(ConvNet):
    """ZFNet: convolutions 96@7×7/2, 256@5×5/2, 384, 384 and 256@3×3, and three linear layers, 4096 units each.

    3×3 pooling of stride 2 follows convolutions 1, 2 and 5, response normalization the first two poolings, and dropout
    of 1/2 the first two linear layers. With 3×224×224 images and 1,000 classes there are 62,357,608 parameters. Where a
    side is shorter than 64, the first two convolutions have stride 1 and padding 3 and 2, which is not in the paper.

    Reference: *Visualizing and Understanding Convolutional Networks*, Matthew Zeiler, Rob Fergus, 2013,
    arXiv:1311.2901.

    >>> ZFNet((3, 32, 32), classes=10).features[0].weight.shape
    torch.Size([96, 3, 7, 7])
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        *,
        hidden: int = 4096,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
    ) -> None:
        super().__init__(shape, mean, std)
        small = min(shape[1:]) < IMAGENET_MIN_SIDE
        stride, first, second = (1, 3, 2) if small else (2, 1, 0)
        self.features = nn.Sequential(
            nn.Conv2d(shape[0], 96, 7, stride, first), nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, padding=1), nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0),
            nn.Conv2d(96, 256, 5, stride, second), nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, padding=1), nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0),
            nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(384, 384, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),
        )  # fmt: skip
        self.classifier = hidden_layers(size_after(self.features, shape), hidden, classes)
        he_initialize(self)
