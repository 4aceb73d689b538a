"""Network in Network, a convolutional classifier without linear layers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from thalweg.models.classifiers.convnet import ConvNet, size_after
from thalweg.nn.dense import he_initialize

__all__ = ["NiN"]


def _block(c_in: int, channels: tuple[int, int, int], kernel: int) -> list[nn.Module]:
    """Return a convolution and two 1×1 convolutions, each with ReLU: a perceptron applied to every patch."""
    layers: list[nn.Module] = []
    for c_out, k in zip(channels, (kernel, 1, 1), strict=True):
        layers += [nn.Conv2d(c_in, c_out, k, padding=k // 2), nn.ReLU(inplace=True)]
        c_in = c_out
    return layers


class NiN(ConvNet):
    """Network in Network: three perceptrons applied to patches, with overlapping pooling and dropout between them.

    The channels are (192, 160, 96), (192, 192, 192) and (192, 192, classes), the kernels 5, 5 and 3. The first pooling
    takes maxima and the second means, 3×3 with stride 2, rounding sizes up (32 → 16 → 8); dropout of 1/2 follows each.
    The logits are the means of the last maps. With 3×32×32 images and ten classes there are 966,986 parameters. Weights
    are initialized from N(0, 2/n_in).

    Reference: *Network In Network*, Min Lin, Qiang Chen, Shuicheng Yan, 2013, arXiv:1312.4400.

    >>> sum(p.numel() for p in NiN((3, 32, 32), classes=10).parameters())
    966986
    """

    def __init__(
        self, shape: Sequence[int], classes: int, *, mean: Sequence[float] = (), std: Sequence[float] = ()
    ) -> None:
        super().__init__(shape, mean, std)
        self.features = nn.Sequential(
            *_block(shape[0], (192, 160, 96), 5), nn.MaxPool2d(3, 2, ceil_mode=True), nn.Dropout(0.5),
            *_block(96, (192, 192, 192), 5), nn.AvgPool2d(3, 2, ceil_mode=True), nn.Dropout(0.5),
            *_block(192, (192, 192, classes), 3)[:-1],  # the logits may be negative
        )  # fmt: skip
        size_after(self.features, shape)
        self.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        he_initialize(self)
