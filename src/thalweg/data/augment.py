"""Random transforms of whole batches of images, on their device, as a function of a seed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from thalweg.checks import in_range
from thalweg.randomness import generator

__all__ = ["Augment", "affine", "shifted"]


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Transform each image of a batch at random, anew at every step: affine map, crop, flips, brightness.

    A value of 0 leaves its transform out, exactly; what is drawn for one transform does not depend on the others.
    Outside the image it is black. Which transforms keep the meaning of an image is for the user to know: digits may
    not be flipped.

    Call with raw images (B, C, H, W), uint8 or floats in 0..levels−1, and a seed; the result has the same shape, type
    and range. `rows` (start, stop, total) says which part of a joint batch `x` is: it gets what the joint batch would.

    >>> x = torch.arange(16, dtype=torch.uint8).reshape(1, 1, 4, 4)
    >>> bool((Augment()(x, seed=0) == x).all()), Augment(crop=1, hflip=True)(x, seed=0).shape
    (True, torch.Size([1, 1, 4, 4]))
    """

    crop: int = 0  # pixels of black border to cut a window of the old size from: shifts up to that much
    hflip: bool = False  # left-right, with probability 1/2
    vflip: bool = False  # upside down, with probability 1/2
    rotate: float = 0.0  # degrees, uniform in ±rotate
    scale: float = 0.0  # size times a factor, log-uniform from 1/(1+scale) to 1+scale
    shear: float = 0.0  # uniform in ±shear
    translate: float = 0.0  # share of the side, uniform in ±translate, both ways
    brightness: float = 0.0  # values times a factor, uniform in 1 ± brightness, clipped to 0..levels−1
    levels: int = 256

    def __post_init__(self) -> None:
        for name in ("crop", "rotate", "scale", "shear", "translate"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: got {getattr(self, name)}, wanted a number of at least 0")
        in_range("brightness", self.brightness, 0.0, 1.0)

    def __call__(self, x: Tensor, seed: int, rows: tuple[int, int, int] | None = None) -> Tensor:
        """Return the batch `x` transformed as `seed` says."""
        if x.ndim != 4:
            raise ValueError(f"augment: got examples of shape {tuple(x.shape[1:])}, wanted images (C, H, W)")
        start, stop, total = rows or (0, len(x), len(x))
        draw = torch.rand(10, total, generator=generator(seed, "augment", device=x.device), device=x.device)
        draw = draw[:, start:stop]
        both = 2 * draw - 1  # uniform on ±1
        dtype = x.dtype
        if self.rotate or self.scale or self.shear or self.translate:
            height, width = x.shape[2:]
            x = affine(
                x,
                rotation=self.rotate * both[0],
                scale=torch.exp(math.log1p(self.scale) * both[1]),
                shear=self.shear * both[2],
                x_shift=self.translate * width * both[3],
                y_shift=self.translate * height * both[4],
            )
        if self.crop:
            side = 2 * self.crop + 1
            x = shifted(x, (draw[5] * side).long(), (draw[6] * side).long(), self.crop)
        if self.hflip:
            x = torch.where(draw[7].view(-1, 1, 1, 1) < 0.5, x.flip(-1), x)
        if self.vflip:
            x = torch.where(draw[8].view(-1, 1, 1, 1) < 0.5, x.flip(-2), x)
        if self.brightness:
            bright = (x * (1 + self.brightness * both[9].view(-1, 1, 1, 1))).clamp_(0, self.levels - 1)
            x = bright if dtype.is_floating_point else bright.round_().to(dtype)
        return x


def shifted(x: Tensor, down: Tensor, right: Tensor, border: int) -> Tensor:
    """Lay a black border around each image and cut out the window of the old size at (down, right), each (B,) in
    0..2·border.

    >>> shifted(torch.tensor([[[[1, 2], [3, 4]]]]), torch.tensor([2]), torch.tensor([1]), 1).tolist()
    [[[[3, 4], [0, 0]]]]
    """
    height, width = x.shape[2:]
    windows = F.pad(x, (border,) * 4).unfold(2, height, 1).unfold(3, width, 1)  # a view (B, C, down, right, H, W)
    return windows[torch.arange(len(x), device=x.device), :, down, right].contiguous()


def affine(x: Tensor, *, rotation: Tensor, scale: Tensor, shear: Tensor, x_shift: Tensor, y_shift: Tensor) -> Tensor:
    """Map each image by scale · R(rotation) · [[1, shear], [0, 1]] about its center, then shift it: one bilinear read.

    All are (B,): rotation in degrees counter-clockwise, shifts in pixels right and down; the matrix acts on (right,
    up). The result has the type of `x`; whole numbers are rounded. Outside the image it is black.

    >>> x, zero = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.zeros(1)
    >>> turned = affine(x, rotation=zero + 90, scale=zero + 1, shear=zero, x_shift=zero, y_shift=zero)
    >>> turned.round().tolist()
    [[[[2.0, 4.0], [1.0, 3.0]]]]
    """
    height, width = x.shape[2:]
    angle = torch.deg2rad(rotation)
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    # where to read, in pixels (right, down) from the center: the inverse map of where it goes
    inverse = torch.stack([cos + shear * sin, shear * cos - sin, sin, cos], 1).view(-1, 2, 2)
    offset = -inverse @ torch.stack([x_shift, y_shift], 1).unsqueeze(2)
    half = torch.tensor([width / 2, height / 2], device=x.device)
    theta = torch.cat([inverse * half / half.view(2, 1), offset / half.view(2, 1)], 2)
    values = x if x.is_floating_point() else x.float()
    grid = F.affine_grid(theta.to(values.dtype), list(x.shape), align_corners=False)
    read = F.grid_sample(values, grid, padding_mode="zeros", align_corners=False)
    return read if x.is_floating_point() else read.round_().to(x.dtype)
