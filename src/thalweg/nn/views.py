"""Several views of each image at test time: mirrored, shifted and cropped, with the mean of their predictions."""

from __future__ import annotations

import typing
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from thalweg.abilities import Classifies
from thalweg.checks import choice

__all__ = ["VIEWS", "AveragedViews", "Views", "ten_crop"]

Views = Literal["one", "flip", "six", "ten-crop"]
VIEWS: tuple[Views, ...] = typing.get_args(Views)
CROP = 7 / 8  # side of the crops of "ten-crop", of the image's: 224 of 256


def ten_crop(x: Tensor, height: int, width: int) -> Tensor:
    """Return ten crops (B, 10, C, height, width) of images (B, C, H, W).

    They are top left, top right, bottom left, bottom right and center, then the same of the mirrored image.
    The center's upper left corner is rounded down. Raises ValueError for crops larger than the image.

    >>> ten_crop(torch.zeros(2, 3, 8, 8), 6, 7).shape
    torch.Size([2, 10, 3, 6, 7])
    """
    down, right = x.shape[2] - height, x.shape[3] - width
    if down < 0 or right < 0:
        raise ValueError(f"crop: got {height}×{width}, wanted at most {x.shape[2]}×{x.shape[3]}, the image's size")
    corners = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    return torch.stack([image[:, :, i : i + height, j : j + width] for image in (x, x.flip(-1)) for i, j in corners], 1)


class AveragedViews(nn.Module):
    """A classifier of images whose `logits` are the weighted mean log-probabilities over several views.

    - one: the image alone; the logits are those of the model
    - flip: the image and its mirror image, 1/2 each
    - six: both, 1/4 each, and both mirror images of two shifts by one pixel, up and left, and down and right, 1/8 each;
      the border is reflected
    - ten-crop: ten crops of 7/8 of each side, enlarged to the size of the image, 1/10 each; see `ten_crop`

    Their softmax is the normalized geometric mean of the views' probabilities, and equals that of the mean logits.

    References: *ImageNet Classification with Deep Convolutional Neural Networks*, Alex Krizhevsky, Ilya Sutskever,
    Geoffrey Hinton, 2012 (ten crops); *94% on CIFAR-10 in 3.29 Seconds on a Single GPU*, Keller Jordan, 2024,
    arXiv:2404.00498 (six views).
    """

    def __init__(self, model: Classifies, views: str) -> None:
        super().__init__()
        self.model, self.views = model, choice("views", views, VIEWS)

    def logits(self, x: Tensor) -> Float[Tensor, "B K"]:
        """Return the weighted mean log-probabilities (B, K) of raw images; with one view, the model's logits."""
        if self.views == "one":
            return self.model.logits(x)
        mean: Tensor | float = 0.0
        for weight, view in self._views(x):
            mean = mean + weight * self.model.logits(view).float().log_softmax(1)
        assert isinstance(mean, Tensor)
        return mean

    def _views(self, x: Tensor) -> list[tuple[float, Tensor]]:
        if x.ndim != 4:
            raise ValueError(f"views: got examples of shape {tuple(x.shape[1:])}, wanted images (C, H, W)")
        if self.views == "ten-crop":
            height, width = x.shape[2:]
            crops = ten_crop(x, round(CROP * height), round(CROP * width)).float().unbind(1)
            sized = [F.interpolate(crop, (height, width), mode="bilinear", align_corners=False) for crop in crops]
            return [(1 / 10, crop) for crop in sized]
        plain = [(1 / 2, x), (1 / 2, x.flip(-1))]
        if self.views == "flip":
            return plain
        bordered, (height, width) = F.pad(x.float(), (1, 1, 1, 1), mode="reflect"), x.shape[2:]
        shifts = [bordered[:, :, i : i + height, i : i + width] for i in (2, 0)]
        mirrored = [(1 / 8, view) for shift in shifts for view in (shift, shift.flip(-1))]
        return [(weight / 2, view) for weight, view in plain] + mirrored
