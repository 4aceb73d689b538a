"""DenseNet-BC: densely connected networks with bottlenecks and compression."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from thalweg.models.classifiers.convnet import ConvNet
from thalweg.models.classifiers.resnet import IMAGENET_MIN_SIDE, initialize_residual

__all__ = ["BLOCKS", "DenseNet"]

BLOCKS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}
MIN_SIDE = 4  # smallest side


class _Layer(nn.Module):
    """Concatenate `growth` new maps to the input: BN, ReLU, 1×1 to 4·growth, BN, ReLU, 3×3."""

    def __init__(self, c_in: int, growth: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.BatchNorm2d(c_in), nn.ReLU(inplace=True), nn.Conv2d(c_in, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth), nn.ReLU(inplace=True),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.branch(x)], dim=1)


class DenseNet(ConvNet):
    """DenseNet-BC: dense blocks whose layers read all maps before them, and transitions that halve maps and sides.

    `depth` is 121, 169 or 201, with four blocks and a stem of 2·`growth` channels (7×7 of stride 2 with pooling where
    no side is shorter than 64, else 3×3); or 6n + 4 with three blocks of n layers for small images, as 100. With
    3×224×224 images, 1,000 classes and growth 32, DenseNet-121 has 7,978,856 parameters; DenseNet-BC of 100 layers and
    growth 12 has 769,162 with ten classes.

    Raises ValueError for another depth, and for images with a side below 4.

    Reference: *Densely Connected Convolutional Networks*, Gao Huang, Zhuang Liu, Laurens van der Maaten, Kilian
    Weinberger, 2016, arXiv:1608.06993.

    >>> sum(p.numel() for p in DenseNet((3, 32, 32), classes=10, depth=100, growth=12).parameters())
    769162
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        *,
        depth: int = 121,
        growth: int = 32,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
    ) -> None:
        super().__init__(shape, mean, std)
        if min(shape[1:]) < MIN_SIDE:
            raise ValueError(f"densenet: got images of {shape[1]}×{shape[2]}, wanted sides of at least {MIN_SIDE}")
        if depth not in BLOCKS and (depth < 10 or (depth - 4) % 6):
            raise ValueError(f"depth: got {depth}, wanted 121, 169, 201, or 6n + 4 for small images (100)")
        repeats = BLOCKS.get(depth, ((depth - 4) // 6,) * 3)
        channels = 2 * growth
        if depth in BLOCKS and min(shape[1:]) >= IMAGENET_MIN_SIDE:
            stem: list[nn.Module] = [
                nn.Conv2d(shape[0], channels, 7, 2, 3, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True),
                nn.MaxPool2d(3, 2, padding=1),
            ]  # fmt: skip
        else:
            stem = [nn.Conv2d(shape[0], channels, 3, padding=1, bias=False)]
        parts = [nn.Sequential(*stem)]
        for i, n in enumerate(repeats):
            parts.append(nn.Sequential(*(_Layer(channels + j * growth, growth) for j in range(n))))
            channels += n * growth
            after: list[nn.Module] = [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
            if i < len(repeats) - 1:
                after += [nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)]
                channels //= 2
            parts.append(nn.Sequential(*after))
        self.features = nn.Sequential(*parts)
        self.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
        initialize_residual(self)
