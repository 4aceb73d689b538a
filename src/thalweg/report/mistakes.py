"""Rows of images with captions: the mistakes of classifiers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thalweg.evaluation.estimates.figures import Figure, ImageGrid
from thalweg.report.markup import Markup, rich, tag
from thalweg.report.pictures import png, sheet
from thalweg.report.svg import Style, key

__all__ = ["captioned"]

SIDE = 80  # pixels of an image on the page, about; larger images are reduced
Array = np.ndarray[Any, Any]


def captioned(
    section: str, drawn: Mapping[str, Sequence[Figure]], data: Mapping[str, Any], styles: Mapping[str, Style]
) -> Markup:
    """Return the captioned images of a section: one figure for each panel and model, without the baselines."""
    figures = []
    for name, style in styles.items():
        known = [f for f in drawn.get(name, []) if isinstance(f, ImageGrid) and f.section == section]
        for panel in dict.fromkeys(figure.panel for figure in known if not style.baseline):
            rows = [_row(figure, data["levels"]) for figure in known if figure.panel == panel]
            title = tag("figcaption", key(style), tag("b", name), tag("small", panel))
            figures.append(tag("figure", title, tag("ul", rows, class_="captioned")))
    return rich(figures)


def _row(figure: ImageGrid, levels: int) -> Markup:
    x = _reduced(np.asarray(figure.values))
    images = "Image" if len(x) == 1 else f"{len(x)} images"
    page = sheet([x], levels)
    picture = png(page, f"{images}: {figure.caption}", SIDE * page.shape[1] // x.shape[-1])
    return tag("li", picture, tag("small", figure.caption))


def _reduced(x: Array) -> Array:
    """Return images (n, C, H, W) with sides of at most `SIDE`: means of blocks of pixels.

    >>> _reduced(np.arange(100 * 4.0).reshape(1, 1, 4, 100)).shape
    (1, 1, 2, 50)
    """
    k = math.ceil(max(x.shape[-2:]) / SIDE)
    height, width = (side // k for side in x.shape[-2:])
    if k == 1 or not height * width:
        return x
    blocks = x[..., : height * k, : width * k].reshape(*x.shape[:2], height, k, width, k)
    return np.asarray(blocks.mean(axis=(3, 5), dtype=np.float64))
