"""What a method returns: values with the images they belong to, how they were computed, and a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg.files import write_atomic

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Explanation", "montage", "normalized"]

GAP = 2  # pixels between tiles
MIN_SIDE = 96  # tiles are magnified by an integer factor until their side has about as many pixels


@dataclass(frozen=True)
class Explanation:
    """The result of a method for a batch of images, on the CPU.

    `values` are what the method computes: (B, H, W) or (B, C, H, W) for maps of the images; see each method. `input`
    (B, C, H, W) are the images in [0, 1], `target` and `probability` (B,) the class or unit that was explained and, for
    classes, its probability. `settings` are those of the method; `warnings` are whole sentences.
    """

    method: str
    values: Tensor
    input: Tensor
    target: tuple[int, ...] | None = None
    probability: tuple[float, ...] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    extra: Mapping[str, Tensor] = field(default_factory=dict)  # further values of the method, by name
    tiles: Tensor | None = None  # (rows, columns, C, H, W) in [0, 1], where the picture is not images beside maps

    def image(self) -> Image:
        """Return the picture: each image beside its map, or the tiles of the method."""
        from PIL import Image

        if self.tiles is not None:
            return Image.fromarray(montage(self.tiles.numpy()))
        maps = normalized(_enlarged(self.values, self.input).numpy())
        shown = np.broadcast_to(maps, (len(maps), self.input.shape[1], *maps.shape[2:]))
        pairs = np.stack([self.input.numpy(), shown], axis=0)  # a row of images above a row of maps
        return Image.fromarray(montage(pairs))

    def save(self, path: Path | str) -> None:
        """Write the picture as PNG, atomically."""
        write_atomic(Path(path), self._repr_png_())

    def to_json(self) -> dict[str, Any]:
        """Return the numbers of the result, without the maps."""
        values = self.values.numpy()
        return {
            "method": self.method,
            "target": list(self.target) if self.target is not None else None,
            "probability": list(self.probability) if self.probability is not None else None,
            "settings": dict(self.settings),
            "warnings": list(self.warnings),
            "shape": list(values.shape),
            "smallest": float(values.min()) if values.size else None,
            "largest": float(values.max()) if values.size else None,
        }

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.image().save(file, format="PNG", optimize=True)
        return file.getvalue()


def _enlarged(values: Tensor, images: Tensor) -> Tensor:
    """Return maps in the size of the images, each value as a rectangle."""
    maps = values if values.ndim == 4 else values[:, None]
    if maps.shape[2:] == images.shape[2:]:
        return maps
    return torch.nn.functional.interpolate(maps.float(), images.shape[2:], mode="nearest")


def normalized(maps: NDArray[Any]) -> NDArray[np.float64]:
    """Return maps (B, H, W) or (B, C, H, W) as images (B, C, H, W) in [0, 1], each scaled by itself.

    Maps without negative values are divided by their largest value; others have 0 in the middle, 1/2. The scale is the
    99.5 % quantile of the absolute values, so that single pixels do not darken the rest.

    >>> normalized(np.array([[[0.0, 4.0]]])).ravel().tolist(), normalized(np.array([[[-1.0, 1.0]]])).ravel().tolist()
    ([0.0, 1.0], [0.0, 1.0])
    """
    x = np.asarray(maps, dtype=np.float64)
    x = x[:, None] if x.ndim == 3 else x
    size = np.abs(x).reshape(len(x), -1)
    scale = np.quantile(size, 0.995, axis=1)
    scale = np.where(scale > 0, scale, size.max(axis=1, initial=0))
    x = x / np.where(scale > 0, scale, 1)[:, None, None, None]
    signed = x.reshape(len(x), -1).min(axis=1, initial=0)[:, None, None, None] < 0
    return np.clip(np.where(signed, (x + 1) / 2, x), 0, 1)


def montage(tiles: NDArray[Any]) -> NDArray[np.uint8]:
    """Return one picture (height, width, 3) of tiles (rows, columns, C, H, W) in [0, 1], on white, magnified.

    >>> montage(np.zeros((2, 3, 1, 96, 96))).shape
    (194, 292, 3)
    """
    rows, columns, channels, height, width = tiles.shape
    zoom = max(1, round(MIN_SIDE / max(height, width)))
    height, width = height * zoom, width * zoom
    page = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, dtype=np.uint8)
    for i in range(rows):
        for j in range(columns):
            tile = np.rint(255 * np.clip(np.nan_to_num(tiles[i, j]), 0, 1)).astype(np.uint8).transpose(1, 2, 0)
            tile = tile[..., [0, 0, 0]] if channels < 3 else tile[..., :3]
            tile = tile.repeat(zoom, axis=0).repeat(zoom, axis=1)
            page[i * (height + GAP) :, j * (width + GAP) :][:height, :width] = tile
    return page
