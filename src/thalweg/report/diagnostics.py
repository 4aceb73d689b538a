"""Charts of the diagnostics of GAN training: the critic beside the exact distance, coverage, and gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.report.charts import Line, thinned
from thalweg.report.markup import Markup, tag
from thalweg.report.svg import Style, frame, key, spread

__all__ = ["diagnostics"]

BATCH, GRADIENT = "batch/", "critic/gradient/"
SHARES = ("batch/coverage", "batch/spread")


def diagnostics(known: Mapping[str, Sequence[Mapping[str, Any]]], styles: Mapping[str, Style]) -> Markup:
    """Return up to three charts per model: distances, coverage and spread, gradient norms."""
    figures = []
    for name, style in styles.items():
        seeds = [seed["records"] for seed in known.get(name, [])]
        every = dict.fromkeys(field for records in seeds for record in records for field in record)
        fields = [field for field in every if field.startswith((BATCH, GRADIENT))]
        lines = {field: [line for records in seeds if (line := thinned(records, field))[0]] for field in fields}
        distances = {f.removeprefix(BATCH): lines[f] for f in fields if f.startswith(BATCH) and f not in SHARES}
        shares = {f.removeprefix(BATCH): lines[f] for f in SHARES if f in fields}
        layers = {f.removeprefix(GRADIENT): _log(lines[f]) for f in fields if f.startswith(GRADIENT)}
        figures += [
            _chart(style, distances, "distance of a batch"),
            _chart(style, shares, "share"),
            _chart(style, layers, "log₁₀ ‖gradient‖"),
        ]
    return tag("div", figures, class_="panels") if any(figures) else Markup()


def _log(lines: Sequence[Line]) -> list[Line]:
    above = [[(x, math.log10(y)) for x, y in zip(*line, strict=True) if y > 0] for line in lines]
    return [([x for x, _ in points], [y for _, y in points]) for points in above if points]


def _chart(style: Style, lines: Mapping[str, Sequence[Line]], label: str) -> Markup:
    """Return a chart of lines over the steps, several seeds per name: the first name is dark, the others are paler."""
    every = [line for seeds_of in lines.values() for line in seeds_of]
    if not every:
        return Markup()
    last, ends = max(xs[-1] for xs, _ in every), spread(y for _, ys in every for y in ys)
    chart = frame((0, max(last, 1), "step"), (*ends, label), f"{label} of {style.name} over the steps")
    marks, legend = [], []
    for i, (name, seeds_of) in enumerate(lines.items()):
        opacity = round(1 - 0.75 * i / max(len(lines) - 1, 1), 2)
        look = {"class_": f"line {style.color}{' thin' if len(seeds_of) > 1 else ''}", "stroke_opacity": opacity}
        marks += [tag("path", d=chart.path(*line), **look) for line in seeds_of]
        if i in (0, len(lines) - 1):  # interpolated shades
            sample = tag("svg", tag("line", x1=0, y1=7, x2=26, y2=7, **look), class_="key", width=26, height=14)
            legend.append(tag("span", sample, name, class_="entry"))
    title = [key(style), tag("b", style.name)]
    return tag("figure", tag("figcaption", title, tag("div", legend, class_="legend")), chart.drawn(marks))
