"""The Inception module: four parallel branches whose outputs are concatenated."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["InceptionModule", "conv"]


def conv(c_in: int, c_out: int, kernel: int, *, stride: int = 1, batch_norm: bool = False) -> nn.Sequential:
    """Return a convolution that keeps the size, or divides it by the stride, with ReLU.

    With `batch_norm` it stands between both, and the convolution has no bias.
    """
    layers: list[nn.Module] = [nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=not batch_norm)]
    layers += [nn.BatchNorm2d(c_out)] if batch_norm else []
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


class InceptionModule(nn.Module):
    """Branches 1×1; 1×1 then 3×3; 1×1 then 5×5; 3×3 maximum pooling then 1×1; (B, C, H, W) → (B, C', H, W).

    The numbers of channels are those of one row of Table 1 of the paper. C' = one + three + five + pooled.

    Reference: *Going Deeper with Convolutions*, Christian Szegedy, Wei Liu, Yangqing Jia, Pierre Sermanet, Scott Reed,
    Dragomir Anguelov, Dumitru Erhan, Vincent Vanhoucke, Andrew Rabinovich, 2014, arXiv:1409.4842.

    >>> module = InceptionModule(192, 64, 96, 128, 16, 32, 32)
    >>> module.channels, sum(p.numel() for p in module.parameters())
    (256, 163696)
    """

    def __init__(
        self,
        c_in: int,
        one: int,
        reduced_three: int,
        three: int,
        reduced_five: int,
        five: int,
        pooled: int,
        *,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.one = conv(c_in, one, 1, batch_norm=batch_norm)
        self.three = nn.Sequential(
            conv(c_in, reduced_three, 1, batch_norm=batch_norm), conv(reduced_three, three, 3, batch_norm=batch_norm)
        )
        self.five = nn.Sequential(
            conv(c_in, reduced_five, 1, batch_norm=batch_norm), conv(reduced_five, five, 5, batch_norm=batch_norm)
        )
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), conv(c_in, pooled, 1, batch_norm=batch_norm))
        self.channels = one + three + five + pooled

    def forward(self, x: Tensor) -> Tensor:
        """Return the concatenated outputs of the branches."""
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pooled(x)], dim=1)
