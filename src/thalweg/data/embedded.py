"""Data that need no download: scikit-learn's digits, generated glyphs, toy densities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from thalweg.config import DataConfig
from thalweg.data.assemble import Raw
from thalweg.data.dataset import Split, class_target
from thalweg.randomness import fold

__all__ = ["digits", "glyphs", "toy"]

Array = np.ndarray[Any, Any]

# Capitals only: c and C, o and O are one shape at two scales.
CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSerif",
    "DejaVuSerif-Bold", "DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta",
)  # fmt: skip
FINE = 2  # pixels of a template per pixel of the image


def digits(config: DataConfig) -> Raw:
    """Read scikit-learn's 1,797 scans of handwritten digits: (1, 8, 8), integers 0..16.

    Reference: *Optical Recognition of Handwritten Digits*, Ethem Alpaydin, Cenk Kaynak, UCI repository, 1998.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    x = data.images.astype(np.uint8)[:, None]
    return Raw(
        kind="image",
        train=Split(x, data.target.astype(np.int64)),
        levels=17,
        target=class_target(tuple("0123456789")),
        fixed=True,
    )


def toy(name: str, config: DataConfig) -> Raw:
    """Draw a toy density: 100,000 points unless `config.examples` says otherwise."""
    from thalweg.data.toy import density

    distribution = density(name)
    x = distribution.sample(config.examples or 100_000, fold(config.seed, name)).astype(np.float64)
    return Raw(kind="vector", train=Split(x), density=distribution, fixed=True)


def glyphs(config: DataConfig) -> Raw:
    """Draw letters and digits in the fonts that matplotlib ships, each under a random affine map.

    A template g, centered at 0, becomes x(p) = g(A⁻¹(p − c − t)) with A = scale · R(rotation) · [[1, shear], [0, 1]] on
    (right, up), c the center of the image and t the shift. `Split.factors` holds the random factors: `rotation`
    (degrees, counter-clockwise, −20..20), `scale` (0.75..1.15), `shear` (−0.3..0.3), `x_shift` and `y_shift` (−12..12 %
    of the side, in pixels, right and down), `character` and `font` (indices). All are functions of the seed.

    Raises ValueError for images of fewer than 8 pixels.
    """
    n, size = config.examples or 10_000, config.image_size or 32
    if size < 8:
        raise ValueError(f"image_size: got {size}, wanted at least 8 pixels for a glyph")
    rng = np.random.default_rng(fold(config.seed, "glyphs"))
    factors: dict[str, Array] = {
        "character": rng.integers(len(CHARACTERS), size=n),
        "font": rng.integers(len(FONTS), size=n),
        "rotation": rng.uniform(-20, 20, n).astype(np.float32),
        "scale": rng.uniform(0.75, 1.15, n).astype(np.float32),
        "shear": rng.uniform(-0.3, 0.3, n).astype(np.float32),
        "x_shift": rng.uniform(-0.12 * size, 0.12 * size, n).astype(np.float32),
        "y_shift": rng.uniform(-0.12 * size, 0.12 * size, n).astype(np.float32),
    }
    templates = _templates(size)
    x = np.empty((n, 1, size, size), np.uint8)
    for start in range(0, n, 256):  # fits in the processor's cache
        rows = slice(start, start + 256)
        x[rows, 0] = _warp(templates, {name: values[rows] for name, values in factors.items()}, size)
    return Raw(
        kind="image",
        train=Split(x, factors["character"].astype(np.int64), factors),
        levels=256,
        target=class_target(tuple(CHARACTERS)),
        fixed=True,
    )


def _templates(size: int) -> Array:
    """Return each character in each font, white on black, centered: (fonts, characters, side, side) float32, 0..255."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    side = FINE * size
    out: Array = np.empty((len(FONTS), len(CHARACTERS), side, side), np.float32)
    for i, font_name in enumerate(FONTS):
        font = ImageFont.truetype(str(folder / f"{font_name}.ttf"), round(0.75 * side))
        for j, character in enumerate(CHARACTERS):
            left, top, right, bottom = font.getbbox(character)
            image = Image.new("L", (side, side))
            corner = ((side - right - left) / 2, (side - bottom - top) / 2)
            ImageDraw.Draw(image).text(corner, character, fill=255, font=font)
            out[i, j] = np.asarray(image)
    # a box filter of one image pixel, so that reading the template at single points does not alias
    for axis in (2, 3):
        out = (np.roll(out, 1, axis) + 2 * out + np.roll(out, -1, axis)) / 4
    out[..., [0, -1], :] = 0  # points outside are read from the border
    out[..., [0, -1]] = 0
    return out


def _warp(templates: Array, factors: dict[str, Array], size: int) -> Array:
    """Return the templates at A⁻¹(p − c − t) by bilinear interpolation: (n, size, size) uint8."""
    angle = np.deg2rad(factors["rotation"])
    cos, sin, scale, shear = np.cos(angle), np.sin(angle), factors["scale"], factors["shear"]
    grid = np.arange(size, dtype=np.float32) - (size - 1) / 2
    right = (grid[None, :] - factors["x_shift"][:, None])[:, None, :]
    down = (grid[None, :] - factors["y_shift"][:, None])[:, :, None]
    # rows point down, so a counter-clockwise rotation is [[cos, sin], [−sin, cos]]; its inverse is the transpose
    along, across = cos / scale, sin / scale
    v = across[:, None, None] * right + along[:, None, None] * down
    u = along[:, None, None] * right - across[:, None, None] * down + shear[:, None, None] * v
    side = templates.shape[-1]
    u = np.clip(FINE * u + (side - 1) / 2, 0, side - 1.001).astype(np.float32)
    v = np.clip(FINE * v + (side - 1) / 2, 0, side - 1.001).astype(np.float32)
    column, row = u.astype(np.int32), v.astype(np.int32)
    u -= column
    v -= row
    flat = templates.reshape(-1)
    glyph = factors["font"] * templates.shape[1] + factors["character"]
    at = (glyph * side * side)[:, None, None] + row * side + column
    upper = flat[at] * (1 - u) + flat[at + 1] * u
    lower = flat[at + side] * (1 - u) + flat[at + side + 1] * u
    return np.rint(upper * (1 - v) + lower * v).astype(np.uint8)
