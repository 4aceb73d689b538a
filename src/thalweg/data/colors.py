"""Brightness, contrast and saturation of batches of images."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["adjusted", "gray"]

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601


def gray(x: Tensor) -> Tensor:
    """Return the gray values (B, 1, H, W) of images: .299 R + .587 G + .114 B of three channels, else the mean.

    >>> [round(v, 3) for v in gray(torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)).flatten().tolist()]
    [0.299]
    """
    if x.shape[1] != 3:
        return x.mean(1, keepdim=True)
    return (x * torch.tensor(LUMA, device=x.device, dtype=x.dtype).view(3, 1, 1)).sum(1, keepdim=True)


def adjusted(
    x: Tensor,
    *,
    brightness: Tensor | None = None,
    contrast: Tensor | None = None,
    saturation: Tensor | None = None,
    levels: int = 256,
) -> Tensor:
    """Return raw images (B, C, H, W) with factors (B,) on brightness, contrast and saturation, in this order.

    The images become b·x, then m + c·(x − m) with m the mean gray of each image, then g + s·(x − g) with g the gray of
    each pixel; values are clipped to 0..levels−1 after each, and integers are rounded at the end. None leaves a
    property as it is, and images of one channel have no saturation. The result has the type of `x`.

    >>> x = torch.tensor([[[[10, 30]]]], dtype=torch.uint8)
    >>> adjusted(x, contrast=torch.tensor([2.0])).tolist(), adjusted(x, brightness=torch.tensor([10.0])).tolist()
    ([[[[0, 40]]]], [[[[100, 255]]]])
    """
    values, top = x if x.is_floating_point() else x.float(), levels - 1
    if brightness is not None:
        values = (values * brightness.view(-1, 1, 1, 1)).clamp(0, top)
    if contrast is not None:
        mean = gray(values).mean((2, 3), keepdim=True)
        values = (mean + contrast.view(-1, 1, 1, 1) * (values - mean)).clamp(0, top)
    if saturation is not None and x.shape[1] > 1:
        own = gray(values)
        values = (own + saturation.view(-1, 1, 1, 1) * (values - own)).clamp(0, top)
    return values if x.is_floating_point() else values.round().to(x.dtype)
