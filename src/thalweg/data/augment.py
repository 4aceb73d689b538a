"""Random transforms of batches of images, with their masks or target images, on their device."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from thalweg.batch import Batch
from thalweg.checks import at_least, in_range
from thalweg.data.dataset import Target
from thalweg.randomness import generator

__all__ = ["Augment", "affine", "shifted"]


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Transform each image of a batch at random: affine map, crop, flips, brightness. A function of the batch's seed.

    A value of 0 switches its transform off exactly, and the random numbers of one transform do not depend on the
    others. Pixels from outside the image are 0. The user has to know which transforms keep the meaning of an image:
    digits, for instance, must not be flipped.

    The batch has raw images x (B, C, H, W), uint8 or floats in 0..levels−1; the result has the same shapes, types and
    ranges. `target` describes y: a mask (B, H, W) is transformed as the image is, by the nearest pixel, so that no new
    class index appears, with `target.ignored` (0 where there is none) outside; a target image (B, C, H, W) is
    transformed as x is. All other targets are left unchanged. Each process, whose batch is some rows of a joint batch,
    transforms them as a single process would.

    Raises ValueError for examples that are not images, for masks and target images of another height and width, and
    for y in the shape of a mask or an image if pixels are moved and there is no `target`.

    >>> x = torch.arange(16, dtype=torch.uint8).reshape(1, 1, 4, 4)
    >>> batch = Batch(x, x[:, 0].long())
    >>> moved = Augment(crop=1, hflip=True, target=Target(kind="mask", shape=(4, 4)))(batch)
    >>> bool((Augment()(batch).x == x).all()), bool((moved.x[:, 0] == moved.y).all())
    (True, True)
    """

    crop: int = 0  # pixels of a border of zeros, out of which an image of the old size is cut
    hflip: bool = False  # flip left and right, with probability 1/2
    vflip: bool = False  # flip top and bottom, with probability 1/2
    rotate: float = 0.0  # degrees, uniform in ±rotate
    scale: float = 0.0  # factor on the size, log-uniform from 1/(1+scale) to 1+scale
    shear: float = 0.0  # uniform in ±shear
    translate: float = 0.0  # share of the side, uniform in ±translate, in both directions
    brightness: float = 0.0  # factor on the values, uniform in 1 ± brightness; clipped to 0..levels−1
    levels: int = 256
    target: Target | None = None

    def __post_init__(self) -> None:
        for name in ("crop", "rotate", "scale", "shear", "translate"):
            at_least(name, getattr(self, name), 0)
        in_range("brightness", self.brightness, 0.0, 1.0)

    def __call__(self, batch: Batch) -> Batch:
        """Return the batch with its images, and masks or target images, transformed."""
        x, y, kind = batch.x, batch.y, None if self.target is None else self.target.kind
        if x.ndim != 4:
            raise ValueError(f"augment: got examples of shape {tuple(x.shape[1:])}, wanted images (C, H, W)")
        start, stop, total = batch.rows or (0, len(x), len(x))
        draw = torch.rand(10, total, generator=generator(batch.seed, "augment", device=x.device), device=x.device)
        draw = draw[:, start:stop]
        if y is not None and self.target is None and y.ndim > 2 and self._moves:
            raise ValueError(
                f"target: got none for y of shape {tuple(y.shape[1:])}, wanted Target(...) of the data, which says "
                "whether y is moved with the images"
            )
        if y is not None and self.target is not None and kind in ("mask", "image"):
            if y.shape[-2:] != x.shape[-2:]:
                raise ValueError(
                    f"augment: got a target of shape {tuple(y.shape[1:])} for images of shape {tuple(x.shape[1:])},"
                    " wanted one height and width"
                )
            if kind == "mask":
                y = self._moved(y[:, None], draw, outside=self.target.ignored or 0, nearest=True)[:, 0]
            else:
                y = self._brightened(self._moved(y, draw), draw)
        return replace(batch, x=self._brightened(self._moved(x, draw), draw), y=y)

    @property
    def _moves(self) -> bool:
        """Whether pixels change their places."""
        names = ("crop", "hflip", "vflip", "rotate", "scale", "shear", "translate")
        return any(getattr(self, name) for name in names)

    def _moved(self, x: Tensor, draw: Tensor, *, outside: int = 0, nearest: bool = False) -> Tensor:
        """Return images, or masks as images of one channel, with their pixels moved."""
        both = 2 * draw - 1  # uniform on ±1
        if self.rotate or self.scale or self.shear or self.translate:
            height, width = x.shape[2:]
            x = affine(
                x,
                rotation=self.rotate * both[0],
                scale=torch.exp(math.log1p(self.scale) * both[1]),
                shear=self.shear * both[2],
                x_shift=self.translate * width * both[3],
                y_shift=self.translate * height * both[4],
                outside=outside,
                nearest=nearest,
            )
        if self.crop:
            side = 2 * self.crop + 1
            x = shifted(x, (draw[5] * side).long(), (draw[6] * side).long(), self.crop, outside=outside)
        if self.hflip:
            x = torch.where(draw[7].view(-1, 1, 1, 1) < 0.5, x.flip(-1), x)
        if self.vflip:
            x = torch.where(draw[8].view(-1, 1, 1, 1) < 0.5, x.flip(-2), x)
        return x

    def _brightened(self, x: Tensor, draw: Tensor) -> Tensor:
        if not self.brightness:
            return x
        factor = 1 + self.brightness * (2 * draw[9] - 1).view(-1, 1, 1, 1)
        bright = (x * factor).clamp_(0, self.levels - 1)
        return bright if x.is_floating_point() else bright.round_().to(x.dtype)


def shifted(x: Tensor, down: Tensor, right: Tensor, border: int, *, outside: int = 0) -> Tensor:
    """Add a border with value `outside` to each image and cut out the window of the old size at (down, right), each
    (B,) in 0..2·border.

    >>> shifted(torch.tensor([[[[1, 2], [3, 4]]]]), torch.tensor([2]), torch.tensor([1]), 1).tolist()
    [[[[3, 4], [0, 0]]]]
    """
    height, width = x.shape[2:]
    padded = F.pad(x, (border,) * 4, value=outside)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view (B, C, down, right, H, W)
    return windows[torch.arange(len(x), device=x.device), :, down, right].contiguous()


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
