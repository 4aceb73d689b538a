"""The small network of the ConvNetJS demonstration for CIFAR-10."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from thalweg.models.classifiers.convnet import ConvNet, size_after
from thalweg.nn.dense import he_initialize

__all__ = ["ConvNetJS"]


class ConvNetJS(ConvNet):
    """Three 5×5 convolutions of 16, 20 and 20 channels, each with ReLU and 2×2 pooling, and a linear layer.

    With 3×32×32 images and ten classes there are 22,466 parameters. Weights are initialized from N(0, 2/n_in).

    Reference: *ConvNetJS CIFAR-10 demo*, Andrej Karpathy, 2014.

    >>> sum(p.numel() for p in ConvNetJS((3, 32, 32), classes=10).parameters())
    22466
    """

    def __init__(
        self, shape: Sequence[int], classes: int, *, mean: Sequence[float] = (), std: Sequence[float] = ()
    ) -> None:
        super().__init__(shape, mean, std)
        layers: list[nn.Module] = []
        c_in = shape[0]
        for c_out in (16, 20, 20):
            layers += [nn.Conv2d(c_in, c_out, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
            c_in = c_out
        self.features = nn.Sequential(*layers)
        channels, height, width = size_after(self.features, shape)
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, classes))
        he_initialize(self)
