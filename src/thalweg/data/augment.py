"""Random transforms of batches of images, with their labels, masks or target images, on their device."""

from __future__ import annotations

import math
import typing
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from thalweg.batch import Batch
from thalweg.checks import at_least, choice, in_range
from thalweg.data.colors import adjusted
from thalweg.data.dataset import Target
from thalweg.data.erasing import around, erased, rectangles
from thalweg.data.mixing import mixed
from thalweg.data.moves import Border, affine, shifted
from thalweg.randomness import generator

__all__ = ["Augment"]


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Transform each image of a batch at random, as a function of the batch's seed.

    The transforms are, in this order: an affine map, a crop, flips, brightness, contrast, saturation, erased squares
    and rectangles, and mixtures of two images. A value of 0 switches a transform off exactly, and the random numbers of
    one transform do not depend on the others. Pixels that an affine map takes from outside the image are 0; `border`
    says which values a crop takes there: 0 (black, in raw values, before any normalization) or those of the reflected
    image. The user has to know which transforms keep the meaning of an image: digits, for instance, must not be
    flipped.

    The batch has raw images x (B, C, H, W), uint8 or floats in 0..levels−1; the result has the same shapes, types and
    ranges. `target` describes y: a mask (B, H, W) is transformed as the image is, by the nearest pixel, so that no new
    class index appears, with `target.ignored` (0 where there is none) outside; a target image (B, C, H, W) is
    transformed as x is. Mixtures need class indices, which become probabilities (B, K). All other targets are left
    unchanged. Each process, whose batch is some rows of a joint batch, transforms them as a single process would.

    With `alternate`, an image is flipped in every second epoch, starting with the first for one half of the images:
    each is seen in both forms in two consecutive epochs. Which half is a hash of the pixels, so nothing is stored.

    Raises ValueError for examples that are not images, for masks and target images of another height and width, for y
    in the shape of a mask or an image if pixels are moved and there is no `target`, and for mixtures without classes.

    References: *Improved Regularization of Convolutional Neural Networks with Cutout*, Terrance DeVries, Graham Taylor,
    2017, arXiv:1708.04552; *Random Erasing Data Augmentation*, Zhun Zhong, Liang Zheng, Guoliang Kang, Shaozi Li, Yi
    Yang, 2017, arXiv:1708.04896; *mixup: Beyond Empirical Risk Minimization*, Hongyi Zhang, Moustapha Cisse, Yann
    Dauphin, David Lopez-Paz, 2018, arXiv:1710.09412; *CutMix: Regularization Strategy to Train Strong Classifiers with
    Localizable Features*, Sangdoo Yun, Dongyoon Han, Seong Joon Oh, Sanghyuk Chun, Junsuk Choe, Youngjoon Yoo, 2019,
    arXiv:1905.04899; *94% on CIFAR-10 in 3.29 Seconds on a Single GPU*, Keller Jordan, 2024, arXiv:2404.00498 (the
    alternating flip).

    >>> x = torch.arange(16, dtype=torch.uint8).reshape(1, 1, 4, 4)
    >>> batch = Batch(x, x[:, 0].long())
    >>> moved = Augment(crop=1, hflip=True, target=Target(kind="mask", shape=(4, 4)))(batch)
    >>> bool((Augment()(batch).x == x).all()), bool((moved.x[:, 0] == moved.y).all())
    (True, True)
    """

    crop: int = 0  # pixels of a border, out of which an image of the old size is cut
    border: Border = "zeros"  # values of that border
    hflip: bool = False  # flip left and right, with probability 1/2
    alternate: bool = False  # flip left and right, every image in every second epoch
    vflip: bool = False  # flip top and bottom, with probability 1/2
    rotate: float = 0.0  # degrees, uniform in ±rotate
    scale: float = 0.0  # factor on the size, log-uniform from 1/(1+scale) to 1+scale
    shear: float = 0.0  # uniform in ±shear
    translate: float = 0.0  # share of the side, uniform in ±translate, in both directions
    brightness: float = 0.0  # factor on the values, uniform in 1 ± brightness; clipped to 0..levels−1
    contrast: float = 0.0  # factor on the distance from the image's mean gray, uniform in 1 ± contrast
    saturation: float = 0.0  # factor on the distance from each pixel's gray, uniform in 1 ± saturation
    cutout: int = 0  # side in pixels of an erased square about a random pixel, cut off at the edges of the image
    erase: float = 0.0  # probability of an erased rectangle
    mixup: float = 0.0  # parameter α of the Beta distribution of the shares of two images
    cutmix: float = 0.0  # the same of the share of a rectangle
    fill: tuple[float, ...] = ()  # color of erased pixels, one raw value per channel, by default 0
    levels: int = 256
    target: Target | None = None

    def __post_init__(self) -> None:
        for name in ("crop", "rotate", "scale", "shear", "translate", "cutout", "mixup", "cutmix"):
            at_least(name, getattr(self, name), 0)
        for name in ("brightness", "contrast", "saturation", "erase"):
            in_range(name, getattr(self, name), 0.0, 1.0)
        choice("border", self.border, typing.get_args(Border))
        if self.hflip and self.alternate:
            raise ValueError("alternate: got it beside hflip, wanted one of them")
        if (self.mixup or self.cutmix) and (self.target is None or not self.target.classes):
            raise ValueError("mixup, cutmix: got no class names in `target`, wanted those of the labels")

    def __call__(self, batch: Batch) -> Batch:
        """Return the batch with its images, and labels, masks or target images, transformed."""
        x, y, kind = batch.x, batch.y, None if self.target is None else self.target.kind
        if x.ndim != 4:
            raise ValueError(f"augment: got examples of shape {tuple(x.shape[1:])}, wanted images (C, H, W)")
        start, stop, total = batch.rows or (0, len(x), len(x))
        draw = torch.rand(10, total, generator=generator(batch.seed, "augment", device=x.device), device=x.device)
        draw = draw[:, start:stop]
        flip = _alternating(batch) if self.alternate else draw[7] < 0.5 if self.hflip else None
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
                y = self._moved(y[:, None], draw, flip, outside=self.target.ignored or 0, nearest=True)[:, 0]
            else:
                y = self._colored(self._moved(y, draw, flip), batch, draw)
        x = self._erased(self._colored(self._moved(x, draw, flip), batch, draw), batch)
        batch = replace(batch, x=x, y=y)
        if self.mixup or self.cutmix:
            assert self.target is not None
            assert self.target.classes
            return mixed(batch, classes=len(self.target.classes), mixup=self.mixup, cutmix=self.cutmix)
        return batch

    @property
    def _moves(self) -> bool:
        """Whether pixels change their places."""
        names = ("crop", "hflip", "alternate", "vflip", "rotate", "scale", "shear", "translate")
        return any(getattr(self, name) for name in names)

    def _moved(
        self, x: Tensor, draw: Tensor, flip: Tensor | None, *, outside: int = 0, nearest: bool = False
    ) -> Tensor:
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
        vflip = draw[8] < 0.5 if self.vflip else None
        if not self.crop and flip is None and vflip is None:
            return x
        side = 2 * self.crop + 1
        down, right = (draw[5] * side).long(), (draw[6] * side).long()
        return shifted(
            x, down, right, self.crop, hflip=flip, vflip=vflip, outside=outside, padding=self.border
        )  # fmt: skip

    def _colored(self, x: Tensor, batch: Batch, draw: Tensor) -> Tensor:
        if not (self.brightness or self.contrast or self.saturation):
            return x
        both = 2 * batch.uniform("color", 2) - 1
        return adjusted(
            x,
            brightness=1 + self.brightness * (2 * draw[9] - 1) if self.brightness else None,
            contrast=1 + self.contrast * both[:, 0] if self.contrast else None,
            saturation=1 + self.saturation * both[:, 1] if self.saturation else None,
            levels=self.levels,
        )

    def _erased(self, x: Tensor, batch: Batch) -> Tensor:
        if self.cutout:
            x = erased(x, around(batch.uniform("cutout", 2), self.cutout, x.shape[2:]), self.fill)
        if self.erase:
            x = erased(x, rectangles(batch.uniform("erase", 5), self.erase, x.shape[2:]), self.fill)
        return x


def _alternating(batch: Batch) -> Tensor:
    """Return whether each image is flipped in its epoch: (epoch + a hash bit of the image's pixels) is odd."""
    pixels = batch.x.flatten(1).long()
    device = pixels.device
    weights = torch.randint(
        2**31, (pixels.shape[1],), generator=generator(0, "alternate", device=device), device=device
    )
    bit = ((pixels * weights).sum(1) >> 20) & 1
    return (batch.epochs() + bit) % 2 == 1
