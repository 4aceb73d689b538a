"""The elements of the page's charts as inline SVG. Colors are classes of the style sheet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thalweg.report.markup import Markup, number, rich, tag

__all__ = ["Axis", "Style", "frame", "key", "path", "spread", "styles", "symbol"]

COLORS, SHAPES = 6, 5  # as many colors as the style sheet has; with the shapes, 30 models have different styles
DASHES = (None, "7 3", "2 3", "8 3 2 3", "12 4")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 340, 236, 46, 12, 24, 36  # of the axes; the label of the y axis is within TOP


@dataclass(frozen=True)
class Style:
    """How a model is drawn everywhere on the page: a color class, a shape, a dash pattern."""

    name: str
    color: str
    shape: int
    baseline: bool = False

    @property
    def dash(self) -> str | None:
        return DASHES[self.shape]


def styles(report: Mapping[str, Any]) -> dict[str, Style]:
    """Return the style of each model of a report: models in its order, then baselines, in gray."""
    trained = [model["name"] for model in report["models"] if model["family"] != "baseline"]
    others = [model["name"] for model in report["models"] if model["family"] == "baseline"]
    faces_of = {name: Style(name, f"c{i % COLORS}", i % SHAPES) for i, name in enumerate(trained)}
    return faces_of | {name: Style(name, "gray", i % SHAPES, True) for i, name in enumerate(others)}


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high` in the data's units, drawn from `start` to `end` in pixels."""

    low: float
    high: float
    start: float
    end: float
    label: str = ""

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """Return at most so many round values within the axis, with labels.

        >>> Axis(0.0, 10.0, 0, 100).ticks()
        [(0.0, '0'), (2.5, '2.5'), (5.0, '5'), (7.5, '7.5'), (10.0, '10')]
        """
        wide = self.high - self.low
        power = 10.0 ** math.floor(math.log10(wide / most))
        for step in (factor * power for factor in (1, 2, 2.5, 5, 10, 20)):
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            if last - first < most:
                break
        digits = 4 + max(0, math.ceil(math.log10(max(abs(self.low), abs(self.high)) / wide)))
        return [(i * step, number(i * step, digits)) for i in range(first, last + 1)]


def spread(values: Iterable[float], margin: float = 0.06) -> tuple[float, float]:
    """Return the range of an axis that contains the values, with a margin; it is never empty."""
    known = [v for v in values if math.isfinite(v)] or [0.0]
    low, high = min(known), max(known)
    wide = high - low
    if wide <= 1e-9 * max(abs(low), abs(high)):
        wide = abs(high) or 1.0
    return low - margin * wide, high + margin * wide


def symbol(style: Style, x: float, y: float, r: float = 4) -> Markup:
    """Return the symbol of a model at (x, y), with its color and shape; hollow for a baseline."""
    look = {"class_": f"mark {style.color}{' hollow' if style.baseline else ''}"}
    if style.shape == 0:
        return tag("circle", cx=x, cy=y, r=r, **look)
    corners = {
        1: [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        2: [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)],
        3: [(0, -1.2), (1.15, 0.9), (-1.15, 0.9)],
        4: [(0, 1.2), (1.15, -0.9), (-1.15, -0.9)],
    }[style.shape]
    return tag("polygon", points=" ".join(f"{x + r * a:.1f},{y + r * b:.1f}" for a, b in corners), **look)


def key(style: Style, *, line: bool = False) -> Markup:
    """Return the symbol of a model for use in text, before its name."""
    wide = 30 if line else 14
    stroke = tag("line", x1=0, y1=7, x2=wide, y2=7, class_=f"line {style.color}", stroke_dasharray=style.dash)
    inside = rich(stroke if line else None, symbol(style, wide / 2, 7))
    return tag("svg", inside, class_="key", viewBox=f"0 0 {wide} 14", width=wide, height=14, aria_hidden="true")


def path(points: Iterable[tuple[float, float]]) -> str:
    """Return the `d` attribute of a line through the points; it is interrupted at values that are not finite."""
    parts, pen = [], "M"
    for x, y in points:
        if math.isfinite(x) and math.isfinite(y):
            parts.append(f"{pen}{x:.1f} {y:.1f}")
            pen = "L"
        else:
            pen = "M"
    return "".join(parts)


def frame(
    x: tuple[float, float, str],
    y: tuple[float, float, str],
    label: str,
    *,
    x_ticks: Sequence[tuple[float, str]] | None = None,
    square: bool = False,
) -> Frame:
    """Return an empty chart with the axes (low, high, label); `square` makes both axes equally long."""
    top, bottom = (TOP if y[2] else 8), (BOTTOM if x[2] else 20)
    high = WIDTH - LEFT - RIGHT + top + bottom if square else HEIGHT
    across = Axis(x[0], x[1], LEFT, WIDTH - RIGHT, x[2])
    up = Axis(y[0], y[1], high - bottom, top, y[2])
    return Frame(across, up, label, high, across.ticks() if x_ticks is None else list(x_ticks))


@dataclass(frozen=True)
class Frame:
    """The axes of a chart. `drawn` adds marks; what lies outside the axes is clipped."""

    x: Axis
    y: Axis
    label: str
    high: int
    x_ticks: list[tuple[float, str]]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the position in the chart of a point in the data's units."""
        return self.x.at(x) - LEFT, self.y.at(y) - self.y.end

    def path(self, xs: Sequence[float], ys: Sequence[float]) -> str:
        """Return the `d` attribute of a line through these points."""
        return path(self.at(a, b) for a, b in zip(xs, ys, strict=True))

    def drawn(self, *marks: Any) -> Markup:
        """Return the chart with the marks, whose positions come from `at`."""
        left, right, top, bottom = LEFT, WIDTH - RIGHT, self.y.end, self.y.start
        rules, labels = [], []
        for value, parts in self.x_ticks:
            at = self.x.at(value)
            rules.append(tag("line", x1=at, x2=at, y1=top, y2=bottom, class_="grid"))
            labels.append(tag("text", parts, x=at, y=bottom + 15, text_anchor="middle"))
        for value, parts in self.y.ticks():
            at = self.y.at(value)
            rules.append(tag("line", x1=left, x2=right, y1=at, y2=at, class_="grid"))
            labels.append(tag("text", parts, x=left - 6, y=at + 4, text_anchor="end"))
        rules.append(tag("path", d=f"M{left} {top}V{bottom}H{right}", class_="axis"))
        middle = (left + right) / 2
        labels.append(tag("text", self.x.label, x=middle, y=self.high - 5, text_anchor="middle", class_="of"))
        labels.append(tag("text", self.y.label, x=left, y=11, class_="of"))
        inner = tag("svg", *marks, x=left, y=top, width=right - left, height=bottom - top, overflow="hidden")
        box = f"0 0 {WIDTH} {self.high}"
        return tag("svg", rules, inner, labels, class_="chart", viewBox=box, role="img", aria_label=self.label)
