"""AlexNet: the network of two towers of 2012, the one-tower networks of 2014, and one for small images."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from thalweg.models.classifiers.convnet import ConvNet, hidden_layers, size_after
from thalweg.nn.dense import he_initialize

__all__ = ["VARIANTS", "AlexNet"]

# Channels, and the groups of the five convolutions
VARIANTS = {
    "one-tower": ((64, 192, 384, 256, 256), (1, 1, 1, 1, 1)),
    "text": ((64, 192, 384, 384, 256), (1, 1, 1, 1, 1)),
    "two-tower": ((96, 256, 384, 384, 256), (1, 2, 1, 2, 2)),
    "cifar": ((64, 192, 384, 256, 256), (1, 1, 1, 1, 1)),
}


class AlexNet(ConvNet):
    """AlexNet: five convolutions with ReLU and overlapping pooling, and three linear layers with dropout.

    - "two-tower" is the network of 2012: 96-256-384-384-256 channels, two groups in convolutions 2, 4 and 5, local
      response normalization, an 11×11 convolution of stride 4 without padding (227×227 images); 60,965,224 parameters.
    - "one-tower" is the network of 2014 in its published code, 64-192-384-256-256 channels, which most libraries call
      AlexNet; 61,100,840 parameters with 224×224 images.
    - "text" is the same with 384 channels in the fourth convolution, as the text of 2014 says; 61,838,248 parameters.
    - "cifar" is one tower for small images: 3×3 convolutions with padding 1; 28,515,146 parameters with 32×32 images.

    Dropout of 1/2 follows the ReLU of the first two linear layers, of `hidden` units. Weights are initialized from N(0,
    2/n_in).

    Raises ValueError for images that are too small for the layers.

    Reference: *ImageNet Classification with Deep Convolutional Neural Networks*, Alex Krizhevsky, Ilya Sutskever,
    Geoffrey Hinton, 2012. *One weird trick for parallelizing convolutional neural networks*, Alex Krizhevsky, 2014,
    arXiv:1404.5997.

    >>> sum(p.numel() for p in AlexNet((3, 32, 32), classes=10, variant="cifar").parameters())
    28515146
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        *,
        variant: str = "one-tower",
        hidden: int = 4096,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
    ) -> None:
        super().__init__(shape, mean, std)
        channels, groups = VARIANTS[variant]
        kernels = (3, 3, 3, 3, 3) if variant == "cifar" else (11, 5, 3, 3, 3)
        layers: list[nn.Module] = []
        c_in = shape[0]
        for i, (c_out, group, kernel) in enumerate(zip(channels, groups, kernels, strict=True)):
            stride, padding = (4, 0 if variant == "two-tower" else 2) if kernel == 11 else (1, kernel // 2)
            layers += [nn.Conv2d(c_in, c_out, kernel, stride, padding, groups=group), nn.ReLU(inplace=True)]
            if i < 2 and variant == "two-tower":
                layers.append(nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0))  # torch divides alpha by 5
            if i in (0, 1, 4):
                layers.append(nn.MaxPool2d(3, stride=2))
            c_in = c_out
        self.features = nn.Sequential(*layers)
        self.classifier = hidden_layers(size_after(self.features, shape), hidden, classes)
        he_initialize(self)
