"""Causal convolutions: they read the pixels to the left, and the preceding channels of the pixel itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thalweg.checks import positive

__all__ = ["MaskedConv2d"]


class MaskedConv2d(nn.Conv2d):
    """A 1×`width` convolution without padding whose last tap, the pixel itself, is masked by groups of channels.

    Input channels are `groups` equal blocks. Output channels are `repeats` times `groups` equal blocks. At the last tap
    an output of group g reads the input groups < g if `strict`, otherwise ≤ g; at the other taps it reads all groups.

    Raises ValueError where the channels cannot be divided into the blocks.

    Reference: *Conditional Image Generation with PixelCNN Decoders*, Aäron van den Oord et al., 2016, arXiv:1606.05328.

    >>> first = MaskedConv2d(1, 4, 2, strict=True)
    >>> x = torch.tensor([[[[0.0, 0.0, 5.0]]]])  # padded by one on the left
    >>> bool((first(x)[..., 1] == first(torch.zeros(1, 1, 1, 3))[..., 1]).all())
    True
    """

    mask: Tensor

    def __init__(
        self, inputs: int, outputs: int, width: int = 1, *, groups: int = 1, repeats: int = 1, strict: bool = False
    ) -> None:
        for name, channels, blocks in (("inputs", inputs, groups), ("outputs", outputs, groups * repeats)):
            if positive(name, channels) % positive("groups", blocks):
                raise ValueError(f"{name}: got {channels} channels, wanted a multiple of {blocks}")
        super().__init__(inputs, outputs, (1, width))
        group_in = torch.arange(inputs) // (inputs // groups)
        group_out = torch.arange(outputs) // (outputs // (groups * repeats)) % groups
        mask = torch.ones(outputs, inputs, 1, width)
        visible = group_out[:, None] > group_in if strict else group_out[:, None] >= group_in
        mask[:, :, 0, -1] = visible.float()
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs (B, outputs, H, W − width + 1) of x (B, inputs, H, W)."""
        return F.conv2d(x, self.weight * self.mask, self.bias)
