"""The forest plot: one panel per measure, one row per model, the value as a point in its 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thalweg.report.markup import Markup, number, rich, tag
from thalweg.report.svg import Axis, Style, path, spread, symbol
from thalweg.report.words import ARROWS, MARKS, contested, estimated, standing

__all__ = ["forest", "window"]

WIDTH, ROW, TOP, BOTTOM, RIGHT = 340, 21, 6, 24, 26
LONGEST = 18  # letters of a name; longer names are cut, and complete in the row's title


@dataclass(frozen=True)
class Row:
    """The value of a model and its interval, as floats."""

    style: Style
    cell: Mapping[str, Any]
    value: float
    low: float
    high: float

    @classmethod
    def of(cls, style: Style, cell: Mapping[str, Any]) -> Row:
        value, low, high = (float(cell["estimate"][end]) for end in ("value", "low", "high"))
        return cls(style, cell, value, low, high)


def forest(report: Mapping[str, Any], styles: Mapping[str, Style]) -> Markup:
    """Return one panel for every measure that any model has."""
    known = [measure for measure in report["measures"] if estimated(measure)]
    return tag("div", (_panel(measure, styles) for measure in known), class_="panels") if known else Markup()


def window(rows: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """Return the range of an axis for (value, low, high), without rows that would compress all others into an eighth.

    >>> low, high = window([(1.0, 0.9, 1.1), (1.3, 1.2, 1.4), (900.0, 890.0, 910.0)])
    >>> low < 0.9, 1.4 < high < 2
    (True, True)
    """
    ends = [[v for v in row if math.isfinite(v)] for row in rows if math.isfinite(row[0])]
    while len(ends) > 2:
        rest = [[v for j, row in enumerate(ends) if j != i for v in row] for i in range(len(ends))]
        tightest = min(range(len(ends)), key=lambda i: max(rest[i]) - min(rest[i]))
        kept, whole = rest[tightest], [v for row in ends for v in row]
        wide = max(max(kept) - min(kept), max(map(abs, kept)) / 10)
        if not 0 < 8 * wide < max(whole) - min(whole):
            break
        del ends[tightest]
    return spread((v for row in ends for v in row), margin=0.08)


def _panel(measure: Mapping[str, Any], styles: Mapping[str, Style]) -> Markup:
    cells = measure["cells"]
    rows = [Row.of(style, cells[name]) for name, style in styles.items() if "estimate" in cells.get(name, {})]
    left = 12 + 7.2 * min(LONGEST, max(map(len, styles)))  # of all models, so that the panels line up
    high = TOP + ROW * len(rows) + BOTTOM
    axis = Axis(*window([(row.value, row.low, row.high) for row in rows]), left + 8, WIDTH - RIGHT - 8)
    bottom = high - BOTTOM
    rules, labels = [], []
    ticks = axis.ticks(4)
    if max(len(text) for _, text in ticks) > 6:
        ticks = axis.ticks(3)
    for value, text in ticks:
        at = axis.at(value)
        rules.append(tag("line", x1=at, x2=at, y1=TOP, y2=bottom, class_="grid"))
        labels.append(tag("text", text, x=at, y=bottom + 16, text_anchor="middle"))
    rules.append(tag("path", d=f"M{left:.0f} {bottom}H{WIDTH - RIGHT}", class_="axis"))
    ranked = contested(measure)
    drawn = [_row(row, axis, TOP + ROW * (i + 0.5), left, ranked) for i, row in enumerate(rows)]
    text = "; ".join(f"{row.style.name} {row.cell['estimate']['text']}" for row in rows)
    title = [tag("b", measure["name"]), " ", ARROWS.get(measure["better"])]
    small = ", ".join(filter(None, [measure["unit"], measure["kind"], measure["note"]]))
    return tag(
        "figure",
        tag("figcaption", title, tag("small", small)),
        tag(
            "svg",
            rules,
            drawn,
            labels,
            class_="chart",
            viewBox=f"0 0 {WIDTH} {high}",
            role="img",
            aria_label=f"{measure['name']}: {text}",
        ),
    )


def _row(row: Row, axis: Axis, y: float, left: float, ranked: bool) -> Markup:
    name, text = row.style.name, row.cell["estimate"]["text"]
    short = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
    state = standing(row.cell, row.style) if ranked else None
    strong = " strong" if state == "best" else ""
    parts = [
        tag("title", f"{name}: {text}"),
        tag("text", short, x=left - 4, y=y + 4, text_anchor="end", class_=f"name{strong}"),
    ]
    if state:
        parts.append(tag("text", MARKS[state], x=WIDTH - RIGHT + 14, y=y + 4, text_anchor="middle"))
    if not axis.low <= row.value <= axis.high:
        return tag("g", parts, _beyond(row, axis, y))
    start, end = (axis.at(min(max(v, axis.low), axis.high)) for v in (row.low, row.high))
    whisker = [path([(start, y), (end, y)])]
    whisker += [path([(at, y - 3), (at, y + 3)]) for at, v in ((start, row.low), (end, row.high)) if _inside(v, axis)]
    parts.append(tag("path", d="".join(whisker), class_=f"line {row.style.color}"))
    for kind, at, way in (("upper bound", start, -1), ("lower bound", end, 1)):
        if row.cell["estimate"]["kind"] == kind:  # the arrow points to the side of the bounded quantity
            arrow = path([(at + way * 3, y), (at + way * 11, y)])
            arrow += path([(at + way * 7, y - 3), (at + way * 11, y), (at + way * 7, y + 3)])
            parts.append(tag("path", d=arrow, class_="line bound"))
    return tag("g", parts, symbol(row.style, axis.at(row.value), y, 4.2))


def _inside(value: float, axis: Axis) -> bool:
    return axis.low <= value <= axis.high


def _beyond(row: Row, axis: Axis, y: float) -> Markup:
    above = row.value > axis.high
    at, way = (axis.end, 1) if above else (axis.start, -1)
    arrow = f"{at},{y - 4.5} {at + way * 7},{y} {at},{y + 4.5}"
    return rich(
        tag("polygon", points=arrow, class_=f"mark {row.style.color}"),
        tag("text", number(row.value, 3), x=at - way * 6, y=y + 4, text_anchor="end" if above else "start"),
    )
