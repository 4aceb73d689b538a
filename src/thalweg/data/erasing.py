"""Erased squares and rectangles of batches of images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["around", "erased", "rectangles"]

AREA = (0.02, 1 / 3)  # shares of the image, of random erasing
ASPECT = (0.3, 1 / 0.3)  # height / width


def erased(x: Tensor, box: tuple[Tensor, Tensor, Tensor, Tensor], fill: Sequence[float] = ()) -> Tensor:
    """Return images (B, C, H, W) with the pixels of one box each replaced by the color `fill`, by default 0.

    The box is (top, bottom, left, right), each (B,), without the row `bottom` and the column `right`. The colors of
    images of integers are rounded.

    >>> one = torch.ones(1, dtype=torch.int64)
    >>> erased(torch.ones(1, 1, 3, 3), (0 * one, one, one, 3 * one)).tolist()
    [[[[1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]]]
    """
    if fill and len(fill) != x.shape[1]:
        raise ValueError(f"fill: got {len(fill)} values, wanted {x.shape[1]}, one per channel")
    height, width = x.shape[2:]
    top, bottom, left, right = (edge.view(-1, 1) for edge in box)
    rows, columns = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
    inside = ((rows >= top) & (rows < bottom))[:, :, None] & ((columns >= left) & (columns < right))[:, None, :]
    color = torch.tensor(tuple(fill) or (0.0,) * x.shape[1])
    color = (color if x.is_floating_point() else color.round()).to(x.device, x.dtype)
    return torch.where(inside[:, None], color.view(-1, 1, 1), x)


def around(draw: Tensor, side: int, size: Sequence[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return squares of that side about pixels drawn uniformly by `draw` (B, 2); they may leave the image.

    >>> [int(edge) for edge in around(torch.tensor([[0.0, 0.99]]), 4, (8, 8))]
    [-2, 2, 5, 9]
    """
    top, left = ((draw[:, i] * size[i]).long() - side // 2 for i in range(2))
    return top, top + side, left, left + side


def rectangles(draw: Tensor, probability: float, size: Sequence[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return, with the probability, a rectangle within the image, else an empty one; `draw` is uniform, (B, 5).

    Its area is a share of the image uniform in [.02, 1/3], its aspect ratio log-uniform in [.3, 1/.3]; sides are
    rounded and at most those of the image. Its place is uniform.

    Reference: *Random Erasing Data Augmentation*, Zhun Zhong, Liang Zheng, Guoliang Kang, Shaozi Li, Yi Yang, 2017,
    arXiv:1708.04896.
    """
    height, width = size
    area = height * width * (AREA[0] + (AREA[1] - AREA[0]) * draw[:, 1])
    aspect = torch.exp(math.log(ASPECT[0]) + (math.log(ASPECT[1]) - math.log(ASPECT[0])) * draw[:, 2])
    tall, wide = (area * aspect).sqrt().round().clamp(1, height), (area / aspect).sqrt().round().clamp(1, width)
    top, left = (draw[:, 3] * (height - tall + 1)).floor(), (draw[:, 4] * (width - wide + 1)).floor()
    tall = torch.where(draw[:, 0] < probability, tall, 0.0)
    return top, top + tall, left, left + wide
