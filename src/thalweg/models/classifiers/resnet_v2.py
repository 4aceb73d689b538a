"""ResNet v2: residual networks with pre-activation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from thalweg.models.classifiers.convnet import ConvNet
from thalweg.models.classifiers.resnet import IMAGENET_MIN_SIDE, Block, initialize_residual, plan, stages

__all__ = ["PreActivationBlock", "ResNetV2"]


class PreActivationBlock(nn.Module):
    """x + branch(x), the branch being (BN, ReLU, convolution) twice, or three times in a `bottleneck`.

    Nothing follows the addition, so that a branch of zeros makes the block the identity. Where the shape changes, the
    shortcut is a 1×1 convolution, without normalization, of the activated input ReLU(BN(x)).

    Reference: *Identity Mappings in Deep Residual Networks*, Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun, 2016,
    arXiv:1603.05027.
    """

    def __init__(self, c_in: int, width: int, *, stride: int = 1, bottleneck: bool = False) -> None:
        super().__init__()
        self.channels = 4 * width if bottleneck else width
        layers = [(1, 1, width), (3, stride, width), (1, 1, self.channels)]
        layers = layers if bottleneck else [(3, stride, width), (3, 1, width)]
        self.norms, self.convs, channels = nn.ModuleList(), nn.ModuleList(), c_in
        for kernel, step, c_out in layers:
            self.norms.append(nn.BatchNorm2d(channels))
            self.convs.append(nn.Conv2d(channels, c_out, kernel, step, kernel // 2, bias=False))
            channels = c_out
        changes = c_in != self.channels or stride != 1
        self.shortcut = nn.Conv2d(c_in, self.channels, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps after the block."""
        y = F.relu(self.norms[0](x), inplace=True)
        identity = x if self.shortcut is None else self.shortcut(y)
        y = self.convs[0](y)
        for norm, conv in list(zip(self.norms, self.convs, strict=True))[1:]:
            y = conv(F.relu(norm(y), inplace=True))
        return y + identity


class ResNetV2(ConvNet):
    """ResNet v2: a stem, stages of blocks with pre-activation, BN, ReLU, global average pooling and a linear layer.

    `depth` is that of `ResNet`. The stem is a convolution alone, followed by pooling where no side is shorter than 64:
    its normalization and activation are those of the first block. The last block is followed by normalization and
    activation, so the classifier reads values of at least 0.

    Raises ValueError for another depth, and for images with a side below 4.

    Reference: *Identity Mappings in Deep Residual Networks*, Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun, 2016,
    arXiv:1603.05027.

    >>> ResNetV2((3, 32, 32), classes=10, depth=20).features[0]
    Sequential(
      (0): Conv2d(3, 16, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
    )
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        *,
        depth: int = 18,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
    ) -> None:
        super().__init__(shape, mean, std)
        repeats, widths, bottleneck = plan(depth, shape)
        stem: list[nn.Module] = [nn.Conv2d(shape[0], widths[0], 3, padding=1, bias=False)]
        if len(widths) == 4 and min(shape[1:]) >= IMAGENET_MIN_SIDE:
            stem = [nn.Conv2d(shape[0], 64, 7, 2, 3, bias=False), nn.MaxPool2d(3, 2, padding=1)]
        block: Block = partial(PreActivationBlock, bottleneck=bottleneck)
        blocks, channels = stages(block, widths[0], widths, repeats)
        last = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.features = nn.Sequential(nn.Sequential(*stem), *blocks, last)
        self.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
        initialize_residual(self)
