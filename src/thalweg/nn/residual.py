"""Residual blocks: basic and bottleneck, grouped, with squeeze-and-excitation, with projection or padding shortcuts."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["BasicBlock", "Bottleneck", "PaddingShortcut", "SqueezeExcitation", "conv_norm", "shortcut"]

Shortcut = Literal["projection", "padding", "3x3"]


def conv_norm(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Return a convolution without bias that keeps the size or divides it by the stride, and batch normalization."""
    conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out))


class PaddingShortcut(nn.Module):
    """The identity without parameters: every `stride`-th pixel, and zeros in the channels that are added.

    >>> import torch
    >>> PaddingShortcut(2, 3, stride=2)(torch.ones(1, 2, 4, 4)).shape
    torch.Size([1, 3, 2, 2])
    """

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.added, self.stride = c_out - c_in, stride

    def forward(self, x: Tensor) -> Tensor:
        """Return the subsampled and padded maps."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))


def shortcut(c_in: int, c_out: int, stride: int, kind: Shortcut) -> nn.Module:
    """Return the shortcut of a block: the identity where shapes agree, else as `kind` says.

    "projection" is a 1×1 convolution with batch normalization (option B of the paper), "padding" has no parameters
    (option A), "3x3" is a projection by a 3×3 convolution, which reads every pixel in spite of its stride.
    """
    if c_in == c_out and stride == 1:
        return nn.Identity()
    if kind == "padding":
        return PaddingShortcut(c_in, c_out, stride)
    return conv_norm(c_in, c_out, 3 if kind == "3x3" else 1, stride)


class SqueezeExcitation(nn.Module):
    """Scale each channel by a weight in (0, 1): x · sigmoid(W₂ ReLU(W₁ mean(x) + b₁) + b₂).

    W₁ has C/`reduction` rows. The weight is 1/2 where the last layer returns 0.

    Reference: *Squeeze-and-Excitation Networks*, Jie Hu, Li Shen, Samuel Albanie, Gang Sun, Enhua Wu, 2017,
    arXiv:1709.01507.

    >>> sum(p.numel() for p in SqueezeExcitation(64).parameters())
    580
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.excite = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, channels), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled maps."""
        weights: Tensor = self.excite(x)
        return x * weights[:, :, None, None]


class BasicBlock(nn.Module):
    """ReLU(shortcut(x) + branch(x)), the branch being 3×3, BN, ReLU, 3×3, BN: (B, C, H, W) → (B, C', H/s, W/s).

    With `excitation`, squeeze-and-excitation scales the branch before the addition.

    Reference: *Deep Residual Learning for Image Recognition*, Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun, 2015,
    arXiv:1512.03385.
    """

    expansion = 1

    def __init__(
        self,
        c_in: int,
        width: int,
        *,
        stride: int = 1,
        shortcut_kind: Shortcut = "projection",
        excitation: bool = False,
    ) -> None:
        super().__init__()
        self.channels = width
        self.branch = nn.Sequential(
            conv_norm(c_in, width, 3, stride), nn.ReLU(inplace=True), conv_norm(width, width, 3),
            *([SqueezeExcitation(width)] if excitation else []),
        )  # fmt: skip
        self.shortcut = shortcut(c_in, self.channels, stride, shortcut_kind)

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps after the block."""
        return F.relu(self.branch(x) + self.shortcut(x), inplace=True)


class Bottleneck(nn.Module):
    """ReLU(shortcut(x) + branch(x)), the branch being 1×1, 3×3, 1×1, each with BN and all but the last with ReLU.

    The 3×3 convolution has `width` channels in `groups` groups; the result has `channels`, by default 4·`width`. The
    stride is that of the 3×3 convolution (v1.5), or with `stride_first` that of the first 1×1 (the paper's v1), which
    ignores three quarters of its input where the stride is 2.

    Reference: *Deep Residual Learning for Image Recognition*, Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun, 2015,
    arXiv:1512.03385. *Aggregated Residual Transformations for Deep Neural Networks*, Saining Xie, Ross Girshick, Piotr
    Dollár, Zhuowen Tu, Kaiming He, 2016, arXiv:1611.05431 (groups).
    """

    expansion = 4

    def __init__(
        self,
        c_in: int,
        width: int,
        *,
        stride: int = 1,
        channels: int = 0,
        groups: int = 1,
        stride_first: bool = False,
        shortcut_kind: Shortcut = "projection",
        excitation: bool = False,
    ) -> None:
        super().__init__()
        self.channels = channels or 4 * width
        first, second = (stride, 1) if stride_first else (1, stride)
        self.branch = nn.Sequential(
            conv_norm(c_in, width, 1, first), nn.ReLU(inplace=True),
            conv_norm(width, width, 3, second, groups), nn.ReLU(inplace=True),
            conv_norm(width, self.channels, 1),
            *([SqueezeExcitation(self.channels)] if excitation else []),
        )  # fmt: skip
        self.shortcut = shortcut(c_in, self.channels, stride, shortcut_kind)

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps after the block."""
        return F.relu(self.branch(x) + self.shortcut(x), inplace=True)
