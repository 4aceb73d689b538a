"""ResNeXt: residual networks with grouped convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from thalweg.models.classifiers.resnet import DEPTHS, ResNet
from thalweg.nn.residual import Bottleneck

__all__ = ["ResNeXt"]


class ResNeXt(ResNet):
    """ResNeXt: bottlenecks whose 3×3 convolution has `groups` groups (the cardinality) of `width` channels each.

    In the first stage that convolution has groups·width channels and the block returns 256; later stages double both. A
    grouped convolution equals parallel paths whose outputs are added. `depth` is 50, 101 or 152 with four stages (64 to
    512 times four channels), or 9n + 2 with three stages for small images (29 in the paper).

    With 3×224×224 images and 1,000 classes, 50 layers of 32 groups of 4 have 25,028,904 parameters, 101 layers of 32
    groups of 8 have 88,791,336.

    Raises ValueError for another depth.

    Reference: *Aggregated Residual Transformations for Deep Neural Networks*, Saining Xie, Ross Girshick, Piotr Dollár,
    Zhuowen Tu, Kaiming He, 2016, arXiv:1611.05431.

    >>> ResNeXt((3, 32, 32), classes=10, depth=29, groups=2, width=4).features[1][0].channels
    256
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        *,
        depth: int = 50,
        groups: int = 32,
        width: int = 4,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
    ) -> None:
        super(ResNet, self).__init__(shape, mean, std)
        repeats: tuple[int, ...]
        widths: tuple[int, ...]
        if depth in DEPTHS and DEPTHS[depth][1]:
            repeats, widths = DEPTHS[depth][0], (64, 128, 256, 512)
        elif depth not in DEPTHS and depth > 2 and (depth - 2) % 9 == 0:
            repeats, widths = ((depth - 2) // 9,) * 3, (64, 128, 256)
        else:
            raise ValueError(f"depth: got {depth}, wanted 50, 101, 152, or 9n + 2 for small images (29)")

        def block(c_in: int, channels: int, *, stride: int) -> Bottleneck:
            inner = groups * width * channels // 64
            return Bottleneck(c_in, inner, stride=stride, groups=groups, channels=4 * channels)

        self._build(shape, classes, block, widths, repeats)
