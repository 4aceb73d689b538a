"""The network of the CIFAR-10 speed record "airbench"."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from thalweg.models.classifiers.convnet import ConvNet
from thalweg.nn.whitening import Whitening

__all__ = ["Airbench", "normalize_filters"]

MIN_SIDE = 9  # smallest side: 8 after the whitening, then 4, 2, 1


class _Scaled(nn.Module):
    """A linear layer without bias whose weights begin from N(0, 1); outputs are divided by the number of inputs."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, classes, bias=False)
        nn.init.normal_(self.linear.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) / self.linear.in_features


def _norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    norm.weight.requires_grad_(False)  # it stays 1
    return norm


def _conv(c_in: int, c_out: int) -> nn.Conv2d:
    conv = nn.Conv2d(c_in, c_out, 3, padding=1, bias=False)
    nn.init.dirac_(conv.weight[:c_in].data)
    return conv


class _Residual(nn.Module):
    """x + f(x)."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def _block(c_in: int, c_out: int, depth: int) -> nn.Sequential:
    first = [_conv(c_in, c_out), nn.MaxPool2d(2), _norm(c_out), nn.GELU()]
    second: list[nn.Module] = [_conv(c_out, c_out), _norm(c_out)]
    if depth == 3:
        second = [_Residual(*second, nn.GELU(), _conv(c_out, c_out), _norm(c_out))]
    return nn.Sequential(*first, *second, nn.GELU())


@torch.no_grad()
def normalize_filters(module: nn.Module) -> None:
    """Scale the weight of each convolution to the norm √(output channels); batch normalization after it undoes this.

    >>> conv = nn.Conv2d(3, 4, 3)
    >>> normalize_filters(conv)
    >>> round(conv.weight.norm().item(), 5)
    2.0
    """
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d):
            conv.weight.mul_(len(conv.weight) ** 0.5 / conv.weight.norm())


class Airbench(ConvNet):
    """A whitening 2×2 convolution and three blocks: convolution, pooling, BN, GELU, convolution, BN, GELU.

    With `depth` 3 a block has a third convolution with BN, and a shortcut around the last two convolutions.
    Convolutions are 3×3 without bias and begin as the identity on their first input channels (Dirac), the others at
    random. The scales of batch normalization stay 1; ε is 1e-12 and the momentum of its statistics .4. After the
    maximum over all pixels comes a linear layer without bias, whose outputs are divided by its inputs. The filters of
    the whitening are set from the first training batch. With 3×32×32 images, ten classes and the `widths` of the
    variant for 94 %, (64, 256, 256), there are 1,971,352 learned parameters.

    Raises ValueError for images with a side below 9.

    Reference: *94% on CIFAR-10 in 3.29 Seconds on a Single GPU*, Keller Jordan, 2024, arXiv:2404.00498.

    >>> model = Airbench((3, 32, 32), classes=10)
    >>> sum(p.numel() for p in model.parameters() if p.requires_grad)
    1971352
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        *,
        widths: Sequence[int] = (64, 256, 256),
        depth: int = 2,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
    ) -> None:
        super().__init__(shape, mean, std)
        if min(shape[1:]) < MIN_SIDE:
            raise ValueError(f"airbench: got images of {shape[1]}×{shape[2]}, wanted sides of at least {MIN_SIDE}")
        whitening = Whitening(shape[0])
        layers: list[nn.Module] = [whitening, nn.GELU()]
        channels = whitening.width
        for width in widths:
            layers.append(_block(channels, width, depth))
            channels = width
        self.features = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten())
        self.classifier = _Scaled(channels, classes)
        normalize_filters(self)
