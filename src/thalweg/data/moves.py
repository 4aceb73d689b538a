"""Moving the pixels of batches of images: shifts within a border, and affine maps."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Border", "affine", "shifted"]

Border = Literal["zeros", "reflect"]


def shifted(x: Tensor, down: Tensor, right: Tensor, border: int, *, hflip: Tensor | None = None,
            vflip: Tensor | None = None, outside: int = 0, padding: Border = "zeros") -> Tensor:  # fmt: skip
    """Add a border to each image and cut out the window of the old size at (down, right), each (B,) in 0..2·border.

    The border has the value `outside`, or is the image reflected at its outermost pixels, which are not repeated. Where
    `hflip` or `vflip` (B,) is true, the window is flipped left and right, or top and bottom.

    >>> shifted(torch.tensor([[[[1, 2], [3, 4]]]]), torch.tensor([2]), torch.tensor([1]), 1).tolist()
    [[[[3, 4], [0, 0]]]]
    """
    rows = _places(down, x.shape[2], border, vflip, padding)
    columns = _places(right, x.shape[3], border, hflip, padding)
    padded = F.pad(x, (border,) * 4, value=outside) if padding == "zeros" and border else x
    # one gather is twice as fast as a window of a view and a flip
    index = (rows[:, :, None] * padded.shape[3] + columns[:, None, :]).flatten(1)
    return padded.flatten(2).gather(2, index[:, None].expand(-1, x.shape[1], -1)).view_as(x)


def _places(first: Tensor, side: int, border: int, flip: Tensor | None, padding: Border) -> Tensor:
    """Return the indices (B, side) of the window along one axis, in the padded image or, reflected, in the image."""
    steps = torch.arange(side, device=first.device)
    places = steps if flip is None else torch.where(flip[:, None], side - 1 - steps, steps)
    places = first[:, None] + places
    return places if padding == "zeros" else _reflected(side, border, first.device)[places]


def affine(x: Tensor, *, rotation: Tensor, scale: Tensor, shear: Tensor, x_shift: Tensor, y_shift: Tensor,
           outside: int = 0, nearest: bool = False) -> Tensor:  # fmt: skip
    """Map each image by scale · R(rotation) · [[1, shear], [0, 1]] about its center, then shift it.

    All are (B,): rotation in degrees counter-clockwise, shifts in pixels right and down; the matrix acts on (right,
    up). Values are interpolated once, bilinearly, with integers rounded, or copied from the nearest pixel, exactly;
    those from outside the image are `outside`. The result has the type of `x`.

    >>> x, zero = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.zeros(1)
    >>> turned = affine(x, rotation=zero + 90, scale=zero + 1, shear=zero, x_shift=zero, y_shift=zero)
    >>> turned.round().tolist()
    [[[[2.0, 4.0], [1.0, 3.0]]]]
    """
    height, width = x.shape[2:]
    angle = torch.deg2rad(rotation)
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    # the inverse of the map gives the place to read each pixel from, in pixels (right, down) from the center
    inverse = torch.stack([cos + shear * sin, shear * cos - sin, sin, cos], 1).view(-1, 2, 2)
    offset = -inverse @ torch.stack([x_shift, y_shift], 1).unsqueeze(2)
    half = torch.tensor([width / 2, height / 2], device=x.device)
    theta = torch.cat([inverse * half / half.view(2, 1), offset / half.view(2, 1)], 2)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    if nearest:
        return _nearest(x, grid, outside)
    values = x if x.is_floating_point() else x.float()
    values = values - outside if outside else values  # grid_sample pads with zeros
    read = F.grid_sample(values, grid.to(values.dtype), mode="bilinear", padding_mode="zeros", align_corners=False)
    read = read + outside if outside else read
    return read if x.is_floating_point() else read.round_().to(x.dtype)


def _nearest(x: Tensor, grid: Tensor, outside: int) -> Tensor:
    """Return the values of the pixels of `x` that are nearest to the places (B, H, W, 2), right and down in ±1."""
    height, width = x.shape[2:]
    right, down = (((grid[..., i] + 1) * side / 2 - 0.5).round().long() for i, side in enumerate((width, height)))
    inside = (right >= 0) & (right < width) & (down >= 0) & (down < height)
    index = down.clamp(0, height - 1) * width + right.clamp(0, width - 1)
    read = x.flatten(2).gather(2, index.flatten(1)[:, None].expand(-1, x.shape[1], -1)).view_as(x)
    return torch.where(inside[:, None], read, outside)


def _reflected(side: int, border: int, device: torch.device) -> Tensor:
    """Return the indices −border..side−1+border, reflected at 0 and side − 1.

    >>> _reflected(3, 2, torch.device("cpu")).tolist()
    [2, 1, 0, 1, 2, 1, 0]
    """
    if border >= side:
        raise ValueError(f"crop: got a reflected border of {border} for a side of {side}, wanted a smaller border")
    index = torch.arange(-border, side + border, device=device).abs()
    return side - 1 - (side - 1 - index).abs()
