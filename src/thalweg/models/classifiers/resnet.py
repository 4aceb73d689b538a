"""ResNet: residual networks of 18 to 152 layers, and those of 20 to 1202 layers for small images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from thalweg.models.classifiers.convnet import ConvNet
from thalweg.nn.residual import BasicBlock, Bottleneck, Shortcut, conv_norm

__all__ = ["DEPTHS", "ResNet", "initialize_residual", "small_depth", "stages"]

# Blocks in each of four stages of 64 to 512 channels, and whether they are bottlenecks
DEPTHS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}
IMAGENET_MIN_SIDE = 64  # smallest side for the stem of ImageNet networks
MIN_SIDE = 4  # smallest side at all


Block = Callable[..., Any]  # block(c_in, width, stride=...), with `channels`, the number of its output


def small_depth(depth: int) -> bool:
    """Return whether the depth is one of the networks for small images, 6n + 2 layers in three stages of n blocks.

    >>> [small_depth(depth) for depth in (18, 20, 110)]
    [False, True, True]
    """
    return depth not in DEPTHS and depth > 2 and (depth - 2) % 6 == 0


def stages(make: Block, c_in: int, widths: Sequence[int], repeats: Sequence[int]) -> tuple[list[nn.Sequential], int]:
    """Return the stages of blocks, all but the first beginning with stride 2, and the number of channels after them."""
    result = []
    for i, (width, n) in enumerate(zip(widths, repeats, strict=True)):
        blocks = []
        for j in range(n):
            block = make(c_in, width, stride=2 if i and not j else 1)
            blocks.append(block)
            c_in = block.channels
        result.append(nn.Sequential(*blocks))
    return result, c_in


def initialize_residual(network: nn.Module) -> None:
    """Initialize convolutions from N(0, 2/n_out) with n_out = C_out·k²/groups, and the last linear layer with bias 0.

    Reference: *Delving Deep into Rectifiers*, Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun, 2015,
    arXiv:1502.01852.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.bias)


class ResNet(ConvNet):
    """ResNet: a stem, stages of residual blocks, global average pooling and a linear layer.

    `depth` is 18, 34 (basic blocks), 50, 101, 152 (bottlenecks), with 64 to 512 channels in four stages, or 6n + 2 for
    small images: 20, 32, 44, 56, 110, 1202, with 16 to 64 channels in three stages. Networks of the first kind have
    the paper's stem, 7×7 of stride 2 and pooling, where no side is shorter than 64, and else a 3×3 convolution.

    `shortcut` is of blocks that change the shape: "projection" (option B of the paper), "padding" (option A, without
    parameters) or "3x3". With `stride_first` bottlenecks stride in their first 1×1 convolution, as in the paper (v1);
    otherwise in their 3×3 convolution (v1.5, the usual one). This moves no parameter, and changes the number of
    multiply-adds: 3,858 million against 4,089 million of ResNet-50.

    With 3×224×224 images and 1,000 classes there are 11,689,512, 21,797,672, 25,557,032, 44,549,160 and 60,192,808
    parameters; ResNet-20 with padding shortcuts has 269,722 with ten classes.

    Raises ValueError for another depth, and for images with a side below 4.

    Reference: *Deep Residual Learning for Image Recognition*, Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun, 2015,
    arXiv:1512.03385.

    >>> sum(p.numel() for p in ResNet((3, 32, 32), classes=10, depth=18).parameters())
    11173962
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        *,
        depth: int = 18,
        shortcut: Shortcut = "projection",
        stride_first: bool = False,
        excitation: bool = False,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
    ) -> None:
        super().__init__(shape, mean, std)
        repeats, widths, bottleneck = plan(depth, shape)
        shared: dict[str, Any] = {"shortcut_kind": shortcut, "excitation": excitation}
        block: Block = partial(Bottleneck, stride_first=stride_first, **shared)
        self._build(shape, classes, block if bottleneck else partial(BasicBlock, **shared), widths, repeats)

    def _build(
        self, shape: Sequence[int], classes: int, block: Block, widths: Sequence[int], repeats: Sequence[int]
    ) -> None:
        stem: list[nn.Module] = [conv_norm(shape[0], widths[0], 3), nn.ReLU(inplace=True)]
        if len(widths) == 4 and min(shape[1:]) >= IMAGENET_MIN_SIDE:
            stem = [conv_norm(shape[0], 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, padding=1)]
        blocks, channels = stages(block, widths[0], widths, repeats)
        self.features = nn.Sequential(nn.Sequential(*stem), *blocks)
        self.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
        initialize_residual(self)

    @torch.no_grad()
    def embed(self, shallower: ResNet) -> None:
        """Set the parameters so that the network computes the same function as a shallower one of the same blocks.

        Blocks that the shallower network does not have become the identity: the last normalization of their branch is
        set to 0, and a ReLU changes nothing that a ReLU returned.
        """
        self.classifier.load_state_dict(shallower.classifier.state_dict())
        for stage, other in zip(self.features.children(), shallower.features.children(), strict=True):
            blocks, known = list(stage.children()), list(other.children())
            for block, source in zip(blocks, known, strict=False):
                block.load_state_dict(source.state_dict())
            for block in blocks[len(known) :]:
                last = [m for m in block.modules() if isinstance(m, nn.BatchNorm2d)][-1]
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)
        self.preprocess.load_state_dict(shallower.preprocess.state_dict())


def plan(depth: int, shape: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...], bool]:
    """Return the blocks and the channels of each stage, and whether blocks are bottlenecks.

    Raises ValueError for a depth that is not of the paper, and for images that are too small.

    >>> plan(20, (3, 32, 32))
    ((3, 3, 3), (16, 32, 64), False)
    """
    if min(shape[1:]) < MIN_SIDE:
        raise ValueError(f"resnet: got images of {shape[1]}×{shape[2]}, wanted sides of at least {MIN_SIDE}")
    if depth in DEPTHS:
        repeats, bottleneck = DEPTHS[depth]
        return repeats, (64, 128, 256, 512), bottleneck
    if not small_depth(depth):
        raise ValueError(
            f"depth: got {depth}, wanted {', '.join(map(str, DEPTHS))}, or 6n + 2 for small images (20, 32, 44, ...)"
        )
    return ((depth - 2) // 6,) * 3, (16, 32, 64), False
