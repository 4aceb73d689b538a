"""Images as embedded PNG and points as SVG, with the same layout and scale for every model."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from thalweg.evaluation.estimates.figures import Figure, ImageGrid, Scatter
from thalweg.report.markup import Markup, rich, tag
from thalweg.report.svg import Style, frame, key, spread

__all__ = ["REAL", "pictures", "png", "sheet"]

REAL = "real"  # the key of held-out examples
MAX_SAMPLES, PAIRS, ROWS, STEPS = 64, 16, 8, 12  # per model: samples, pairs, interpolations and their steps
DOTS, POINTS = 600_000, 2000  # per model: pixels of all samples, points of a scatter plot
ALTS = {
    "samples": "{n} samples of {name}",
    "reconstructions": "{n} examples, each above its reconstruction by {name}",
    "interpolations": "{n} interpolations between examples in the latent space of {name}",
    "nearest": "{n} samples of {name}, each above its nearest training image",
}
Array = np.ndarray[Any, Any]


def pictures(
    what: str, drawn: Mapping[str, Sequence[Figure]], data: Mapping[str, Any], styles: Mapping[str, Style]
) -> Markup:
    """Return the images or points of the section `what` of each model, one figure per model; the real ones first."""
    known = {
        name: figure
        for name in dict.fromkeys([REAL, *styles])
        for figure in drawn.get(name, [])
        if isinstance(figure, (ImageGrid, Scatter)) and figure.section == what
    }
    if not set(known) - {REAL}:
        return Markup()
    if all(isinstance(figure, ImageGrid) for figure in known.values()):
        images = [_images(what, np.asarray(f.values), data["levels"], n, styles.get(n)) for n, f in known.items()]
        return tag("div", images, class_="wide pictures" if what == "interpolations" else "pictures")
    samples = {n: f for n in drawn for f in drawn[n] if isinstance(f, Scatter) and f.section == "samples"}
    ends = _ends([samples[name].values for name in dict.fromkeys([REAL, *drawn]) if name in samples])
    points = (_points(what, np.asarray(f.values), ends, n, styles.get(n)) for n, f in known.items())
    return tag("div", points, class_="panels")


def sheet(rows: list[Array], levels: int, after: int = 1) -> Array:
    """Return rows of images (k, C, H, W) of values 0..levels−1 on one sheet (H', W', 2 or 4), uint8 with an alpha
    channel.

    Every `after` rows form a group; the gap between groups is wider.

    >>> sheet([np.full((2, 1, 8, 8), 16)] * 2, levels=17).shape
    (17, 17, 2)
    """
    _, channels, height, width = rows[0].shape
    colors, gap = (1 if channels < 3 else 3), max(1, height // 14)
    tops = [i * (height + gap) + (i // after) * (0 if after == 1 else 3 * gap) for i in range(len(rows))]
    across = max(len(row) for row in rows)
    page = np.zeros((tops[-1] + height, across * (width + gap) - gap, colors + 1), dtype=np.uint8)
    for top, row in zip(tops, rows, strict=True):
        for i, image in enumerate(np.nan_to_num(row.astype(np.float64)) * 255 / (levels - 1)):
            place = page[top : top + height, i * (width + gap) : i * (width + gap) + width]
            place[..., :colors] = np.clip(np.rint(image[:colors]), 0, 255).transpose(1, 2, 0)
            place[..., colors] = 255
    return page


def png(page: Array, alt: str, wide: int) -> Markup:
    """Return an image element with an embedded PNG, about `wide` pixels wide, magnified by an integer factor."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(page).save(file, format="PNG", optimize=True)
    uri = Markup("data:image/png;base64," + base64.b64encode(file.getvalue()).decode())
    zoom = max(1, round(wide / page.shape[1]))
    return tag("img", src=uri, alt=alt, width=zoom * page.shape[1], height=zoom * page.shape[0])


def _rows(what: str, x: Array) -> list[Array]:
    if what == "interpolations":
        return list(x[:ROWS, np.unique(np.linspace(0, x.shape[1] - 1, STEPS).round().astype(int))])
    if what == "samples":
        size, (height, width) = math.prod(x.shape[1:]), x.shape[-2:]
        x = x[: max(16, min(MAX_SAMPLES, DOTS // size))]
        across = math.ceil(math.sqrt(len(x) * height / width))
        return [x[i : i + across] for i in range(0, len(x), across)]
    across = PAIRS // 2
    return [row for i in range(0, min(len(x), PAIRS), across) for row in x[i : min(i + across, PAIRS)].swapaxes(0, 1)]


def _images(what: str, x: Array, levels: int, name: str, style: Style | None) -> Markup:
    rows = _rows(what, x)
    paired = what in ("nearest", "reconstructions")
    shown = len(rows) if what == "interpolations" else sum(map(len, rows)) // (2 if paired else 1)
    picture = png(
        sheet(rows, levels, 2 if paired else 1), _alt(what, shown, name), 360 if what == "interpolations" else 256
    )
    return tag("figure", _caption(name, style), picture)


def _said(name: str) -> str:
    return "real examples" if name == REAL else name


def _alt(what: str, n: int, name: str) -> str:
    return f"{n} real examples" if (what, name) == ("samples", REAL) else ALTS[what].format(n=n, name=_said(name))


def _caption(name: str, style: Style | None, note: str = "") -> Markup:
    small = tag("small", note) if note else None
    return tag("figcaption", key(style) if style else None, tag("b", _said(name)), small)


def _ends(samples: list[Array]) -> list[tuple[float, float]]:
    """Return the axes of all scatter plots, from the held-out examples if there are any, else from 99.8 % of the
    samples.
    """
    first = np.asarray(samples[0], dtype=np.float64).reshape(-1, 2)
    ends = [spread(np.quantile(column[np.isfinite(column)], [0.001, 0.999]), margin=0.12) for column in first.T]
    wide = [high - low for low, high in ends]
    if max(wide) > 3 * min(wide):  # columns with different units
        return ends
    more = [(max(wide) - w) / 2 for w in wide]  # equal scales, so that a circle looks like one
    return [(low - m, high + m) for (low, high), m in zip(ends, more, strict=True)]


def _points(what: str, x: Array, ends: list[tuple[float, float]], name: str, style: Style | None) -> Markup:
    x = x.astype(np.float64)
    x = x[:POINTS] if what == "samples" else x[: 4 * PAIRS] if what != "interpolations" else x[: 2 * ROWS]
    inside = np.all([(x[..., i] >= low) & (x[..., i] <= high) for i, (low, high) in enumerate(ends)], axis=0)
    out = int((~inside).sum())
    color = style.color if style else "gray"
    chart = frame((*ends[0], ""), (*ends[1], ""), _alt(what, len(x), name), square=True)
    if what == "samples":
        marks = rich(tag("path", d=_dots(x[inside], chart.at), class_=f"dots {color}"))
    else:
        lines = "".join(chart.path(line[:, 0], line[:, 1]) for line in x)
        marks = rich(
            tag("path", d=lines, class_=f"line {color}"),
            tag("path", d=_dots(x[:, 0], chart.at), class_=f"dots large {color}"),
        )
    note = f"{len(x):,} points" if what == "samples" else ""
    return tag("figure", _caption(name, style, note + (f", {out:,} outside" if out else "")), chart.drawn(marks))


def _dots(x: Array, at: Callable[[float, float], tuple[float, float]]) -> str:
    return "".join("M{:.1f} {:.1f}h0".format(*at(a, b)) for a, b in x)
