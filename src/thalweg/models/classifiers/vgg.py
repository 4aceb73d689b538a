"""VGG networks of 11, 13, 16 and 19 layers, and two of 13 layers for small images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from thalweg.models.classifiers.convnet import ConvNet, hidden_layers, size_after
from thalweg.nn.dense import he_initialize

__all__ = ["CONVOLUTIONS", "VGG"]

WIDTHS = (64, 128, 256, 512, 512)
# The number of convolutions in each block, by depth or by the name of the variant for small images
CONVOLUTIONS: dict[int | str, tuple[int, ...]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
    "cifar-a": (2, 2, 2, 2, 2),
    "cifar-b": (2, 2, 3, 3),
}


class VGG(ConvNet):
    """VGG: blocks of 3×3 convolutions with ReLU, each followed by 2×2 pooling, and three linear layers with dropout.

    `blocks` is a depth (11, 13, 16 or 19 layers with weights) or one of two networks of 13 layers for small images:
    "cifar-a" has the blocks of depth 13, "cifar-b" those of depth 16 without the last. `hidden` is the width of the two
    hidden linear layers. With 3×224×224 images and 1,000 classes there are 132,863,336, 133,047,848, 138,357,544 and
    143,667,240 parameters.

    The paper has no batch normalization; with `batch_norm` it stands between each convolution, then without bias, and
    its ReLU. Weights are initialized from N(0, 2/n_in): with a smaller variance, deep networks do not begin to learn.

    Raises ValueError for images that are too small for the poolings.

    Reference: *Very Deep Convolutional Networks for Large-Scale Image Recognition*, Karen Simonyan, Andrew Zisserman,
    2014, arXiv:1409.1556.

    >>> sum(p.numel() for p in VGG((3, 32, 32), classes=10, blocks="cifar-b", hidden=512).parameters())
    8952138
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        *,
        blocks: int | str = 16,
        hidden: int = 4096,
        batch_norm: bool = False,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
    ) -> None:
        super().__init__(shape, mean, std)
        self.features: nn.Sequential = nn.Sequential()
        c_in = shape[0]
        for c_out, repeats in zip(WIDTHS, CONVOLUTIONS[blocks], strict=False):
            layers: list[nn.Module] = []
            for _ in range(repeats):
                layers.append(nn.Conv2d(c_in, c_out, 3, padding=1, bias=not batch_norm))
                layers += [nn.BatchNorm2d(c_out)] if batch_norm else []
                layers.append(nn.ReLU(inplace=True))
                c_in = c_out
            self.features.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
        self.classifier = hidden_layers(size_after(self.features, shape), hidden, classes)
        he_initialize(self)

    @torch.no_grad()
    def initialize_from(self, shallower: VGG) -> None:
        """Copy the first four convolutions and the three linear layers of a shallower network, as the paper grows them.

        Layers of another shape keep their own initialization.
        """
        pairs = list(zip(_convolutions(self)[:4], _convolutions(shallower)[:4], strict=True))
        pairs += list(zip(_linear(self), _linear(shallower), strict=True))
        for layer, source in pairs:
            if layer.weight.shape == source.weight.shape:
                layer.load_state_dict(source.state_dict(), strict=False)


def _convolutions(network: nn.Module) -> list[nn.Module]:
    return [m for m in network.modules() if isinstance(m, nn.Conv2d)]


def _linear(network: nn.Module) -> list[nn.Module]:
    return [m for m in network.modules() if isinstance(m, nn.Linear)]
