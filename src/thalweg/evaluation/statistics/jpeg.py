"""Rate and distortion of JPEG: one file per image, and one file for all images."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg.evaluation.statistics.compression import Point, point

__all__ = ["jpeg_curves", "scan_bytes"]

FILES, SCANS, SHEET = "JPEG, one file per image", "JPEG, without headers", "JPEG, all images in one file"
BLOCK = 8


def jpeg_curves(
    images: NDArray[Any],
    qualities: Iterable[int],
    *,
    peak: int,
    varies: str = "test examples",
    protocol: Mapping[str, Any] | None = None,
) -> dict[str, list[Point]]:
    """Return three curves of images (N, C, H, W) of levels 0..peak, C of 1 or 3, by which bytes are counted:

    - "JPEG, one file per image": all bytes of N files;
    - "JPEG, without headers": the entropy-coded data of these files. No real file is so small: the headers with the
      tables that are needed for decoding take hundreds of bytes, far more than the data of a small image;
    - "JPEG, all images in one file": all bytes of one file with the images side by side, each padded to whole blocks of
      8×8 with its edge. All images share its header.

    Huffman tables are optimized for each file, and colors are not subsampled (4:4:4), so that neighboring images do not
    mix. Levels are scaled to 0..255 for JPEG, and the decoded values are scaled back without rounding.

    Raises ValueError for other numbers of channels, and for levels above 255.

    >>> x = np.tile(np.arange(16, dtype=np.uint8) * 16, (20, 1, 16, 1))
    >>> result = jpeg_curves(x, [50], peak=255)
    >>> result["JPEG, one file per image"][0].total > 10 * result["JPEG, without headers"][0].total
    True
    """
    n, channels, height, width = images.shape
    if channels not in (1, 3) or peak > 255:
        raise ValueError(f"JPEG: got {channels} channels and levels to {peak}, wanted 1 or 3 channels, levels to 255")
    scaled = np.rint(images * (255 / peak)).astype(np.uint8).transpose(0, 2, 3, 1)
    curves: dict[str, list[Point]] = {FILES: [], SCANS: [], SHEET: []}
    shared: dict[str, Any] = {"peak": peak, "varies": varies, "protocol": protocol or {}}
    for quality in qualities:
        files = [_written(image, quality) for image in scaled]
        scans = np.array([scan_bytes(file) for file in files])
        back = _raw(np.stack([_read(file) for file in files]), peak)
        sizes = np.array([len(file) for file in files])
        total, data = int(sizes.sum()), int(scans.sum())
        parts = {"headers": total - data, "data": data}
        curves[FILES].append(point(quality, total, 8.0 * sizes, images, back, parts, **shared))
        curves[SCANS].append(point(quality, data, 8.0 * scans, images, back, {"data": data}, **shared))
        file = _written(_sheet(scaled), quality)
        back = _raw(_cut(_read(file), n, height, width), peak)
        data = scan_bytes(file)
        parts = {"headers": len(file) - data, "data": data}
        curves[SHEET].append(point(quality, len(file), 8.0 * scans * data / scans.sum(), images, back, parts, **shared))
    return curves


def scan_bytes(file: bytes) -> int:
    """Return the number of bytes of entropy-coded data in a JPEG file, after the header of its only scan.

    Raises ValueError for a file that is not baseline JPEG.
    """
    if file[:2] != b"\xff\xd8" or file[-2:] != b"\xff\xd9":
        raise ValueError("JPEG: got bytes that do not begin and end as such a file, wanted one")
    at = 2
    while file[at] == 0xFF:
        marker, length = file[at + 1], int.from_bytes(file[at + 2 : at + 4], "big")
        at += 2 + length
        if marker == 0xDA:  # start of scan
            return len(file) - 2 - at
    raise ValueError(f"JPEG: got a broken marker at byte {at}, wanted 0xFF")


def _written(image: NDArray[np.uint8], quality: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    shown = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    shown.save(file, "JPEG", quality=quality, optimize=True, subsampling=0)
    return file.getvalue()


def _read(file: bytes) -> NDArray[np.uint8]:
    from PIL import Image

    image = np.asarray(Image.open(io.BytesIO(file)))
    return image[:, :, None] if image.ndim == 2 else image


def _raw(image: NDArray[np.uint8], peak: int) -> NDArray[np.float64]:
    """Convert (N, H, W, C) of 0..255 to (N, C, H, W) of 0..peak."""
    return image.transpose(0, 3, 1, 2).astype(np.float64) * (peak / 255)


def _tile(height: int, width: int) -> tuple[int, int]:
    return -(-height // BLOCK) * BLOCK, -(-width // BLOCK) * BLOCK


def _sheet(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Arrange images (N, H, W, C) side by side, each padded to whole blocks with its edge."""
    n, height, width, channels = images.shape
    high, wide = _tile(height, width)
    columns = math.ceil(math.sqrt(n))
    filled = np.pad(images, ((0, 0), (0, high - height), (0, wide - width), (0, 0)), mode="edge")
    filled = np.concatenate([filled, np.zeros((-n % columns, high, wide, channels), dtype=np.uint8)])
    rows = len(filled) // columns
    page = filled.reshape(rows, columns, high, wide, channels).transpose(0, 2, 1, 3, 4)
    return page.reshape(rows * high, columns * wide, channels)


def _cut(page: NDArray[np.uint8], n: int, height: int, width: int) -> NDArray[np.uint8]:
    channels = page.shape[2]
    high, wide = _tile(height, width)
    cut = page.reshape(page.shape[0] // high, high, page.shape[1] // wide, wide, channels).transpose(0, 2, 1, 3, 4)
    return cut.reshape(-1, high, wide, channels)[:n, :height, :width]
