"""Charts: training curves, the curves that measures return, and matrices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from thalweg.evaluation.estimates.figures import Axis, Curve, Figure, Matrix
from thalweg.report.markup import Markup, number, tag
from thalweg.report.pictures import png
from thalweg.report.svg import Style, frame, key, spread, symbol
from thalweg.report.words import counted, duration

__all__ = ["Line", "charts", "curves", "thinned"]

POINTS = 300  # of a curve, at most
PLAYERS = ("", " pale", " dashed")  # line styles of a model's players
CLASSES = 20  # more classes are drawn as an image, without numbers
Line = tuple[list[float], list[float]]


def curves(known: Mapping[str, Sequence[Mapping[str, Any]]], styles: Mapping[str, Style]) -> Markup:
    """Return the losses of each model's players over the steps, one chart per model and stage."""
    figures = []
    for name, style in styles.items():
        seeds = [seed["records"] for seed in known.get(name, [])]
        stages = sorted({record.get("stage", 0) for records in seeds for record in records})
        for stage in stages:
            kept = [[record for record in records if record.get("stage", 0) == stage] for records in seeds]
            figures.append(_curve(style, kept, f"stage {stage + 1}" if len(stages) > 1 else ""))
    return tag("div", figures, class_="panels") if any(figures) else Markup()


def _curve(style: Style, seeds: Sequence[Sequence[Mapping[str, Any]]], stage: str) -> Markup:
    names = dict.fromkeys(key for records in seeds for record in records for key in record if key.endswith("loss"))
    lines: dict[str, list[Line]] = {name: [thinned(records, name) for records in seeds] for name in names}
    lines = {name: kept for name, lines_of in lines.items() if (kept := [line for line in lines_of if line[0]])}
    if not lines:
        return Markup()
    every = [line for lines_of in lines.values() for line in lines_of]
    low, high = _ends(every)
    last, top = max(xs[-1] for xs, _ in every), max(max(ys) for _, ys in every)
    chart = frame((0, max(last, 1), "step"), (low, high, "loss"), f"Training losses of {style.name} over the steps")
    players = [name for name in lines if not name.startswith("validation/")]
    marks, legend = [], []
    for name, lines_of in lines.items():
        held_out = name not in players
        color = "ink held" if held_out else style.color + PLAYERS[players.index(name) % len(PLAYERS)]
        look = {"class_": f"line {color}{' thin' if len(lines_of) > 1 else ''}"}
        marks += [tag("path", d=chart.path(*line), **look) for line in lines_of]
        dots = [chart.at(xs[0], ys[0]) for xs, ys in lines_of if len(xs) == 1]  # a line of one point is invisible
        marks += [tag("circle", cx=x, cy=y, r=3, class_=f"mark {color}") for x, y in dots]
        sample = tag("svg", tag("line", x1=0, y1=7, x2=26, y2=7, **look), class_="key", width=26, height=14)
        legend.append(tag("span", sample, name.replace("/", " "), class_="entry"))
    seconds = [record["seconds"] for records in seeds for record in records[-2:] if "seconds" in record]
    notes = [stage, f"{len(seeds)} seeds" if len(seeds) > 1 else "", duration(max(seconds)) if seconds else ""]
    notes += [f"up to {number(top)} at the start" if top > high else ""]
    title = [key(style), tag("b", style.name), tag("small", ", ".join(filter(None, notes)))]
    return tag("figure", tag("figcaption", title, tag("div", legend, class_="legend")), chart.drawn(marks))


def thinned(records: Sequence[Mapping[str, Any]], name: str) -> Line:
    """Return the steps and values of a field of the records, thinned out; the last value is kept."""
    points = [(record["step"], record[name]) for record in records if isinstance(record.get(name), (int, float))]
    points = [(step, value) for step, value in points if math.isfinite(value)]
    every = math.ceil(len(points) / POINTS)
    kept = points[:: -every or None][::-1]
    return [step for step, _ in kept], [value for _, value in kept]


def _ends(lines: Iterable[Line]) -> tuple[float, float]:
    """Return the range of the losses' axis: the first tenth of the steps is ignored, and 1 % of the rest is cut off."""
    late = [v for _, ys in lines for v in ys[len(ys) // 10 :]]
    low, high = np.quantile(late, [0.005, 0.995])
    every = [v for _, ys in lines for v in ys]
    # values a little outside are shown as well
    near = [v for v in every if low - (high - low) <= v <= high + (high - low)]
    return spread(near)


def charts(section: str, drawn: Mapping[str, Sequence[Figure]], styles: Mapping[str, Style]) -> Markup:
    """Return the curves and matrices of a section: one chart for each panel, one figure for each matrix."""
    known = [(name, figure) for name in styles for figure in drawn.get(name, []) if figure.section == section]
    matrices = [_matrix(styles[name], figure) for name, figure in known if isinstance(figure, Matrix)]
    panels: dict[str, dict[str, Curve]] = {}
    for name, figure in known:
        if isinstance(figure, Curve):
            panels.setdefault(figure.panel, {})[name] = figure
    figures = [*matrices, *(_panel(panel, lines, styles) for panel, lines in panels.items())]
    return tag("div", figures, class_="panels wide" if matrices else "panels") if figures else Markup()


def _panel(panel: str, lines: Mapping[str, Curve], styles: Mapping[str, Style]) -> Markup:
    """Return one chart with a line for each model."""
    first = next(iter(lines.values()))
    across = _axis(first.x_axis, [x for line in lines.values() for x in line.x])
    ends = [v for line in lines.values() for side in (line.y, line.low, line.high) for v in side or []]
    up = _axis(first.y_axis, ends)
    label = f"{first.y_axis.label} against {first.x_axis.label}"
    square = first.x_axis.range is not None
    ticks = {} if first.x_axis.scale == "linear" else {"x_ticks": _powers(lines.values())}
    chart = frame(across, up, f"{panel}: {label}" if panel else label, square=square, **ticks)
    marks = [tag("path", d=chart.path([0, 1], [0, 1]), class_="line chance")] if first.diagonal else []
    for name, line in lines.items():
        style, color = styles[name], {"class_": f"line {styles[name].color}"}
        xs = _evenly([math.log2(x) for x in line.x] if line.x_axis.scale == "log2" else line.x)
        ys = _evenly(line.y)
        if line.low is not None and line.high is not None:
            whiskers = zip(xs, line.low, line.high, strict=True)
            marks.append(tag("path", d="".join(chart.path([x, x], ends) for x, *ends in whiskers), **color))
        marks.append(tag("path", d=chart.path(xs, ys), stroke_dasharray=style.dash, **color))
        if line.sizes is not None:
            most = max(line.sizes, default=1.0) or 1.0
            radii = [3.2 if len(set(line.sizes)) == 1 else 2 + 3.5 * math.sqrt(size / most) for size in line.sizes]
            kept = [(x, y, r) for x, y, r in zip(xs, ys, radii, strict=True) if math.isfinite(y)]
            marks += [symbol(style, *chart.at(x, y), r) for x, y, r in kept]
    notes = {name: f" {line.legend}" for name, line in lines.items() if line.legend}
    return tag("figure", _legend(lines, styles, tag("b", panel) if panel else None, notes), chart.drawn(marks))


def _axis(axis: Axis, values: Sequence[float]) -> tuple[float, float, str]:
    """Return the ends of an axis, its own or those of the values, with room for marks, and its label."""
    if axis.range is not None:
        low, high = axis.range
        return low - 0.02 * (high - low), high + 0.02 * (high - low), axis.label
    if axis.scale == "log2":
        return (*spread([math.log2(v) for v in values], margin=0.04), axis.label)
    return (*spread([v for v in values if math.isfinite(v)]), axis.label)


def _powers(lines: Iterable[Curve]) -> list[tuple[float, str]]:
    ks = sorted({x for line in lines for x in line.x})
    return [(math.log2(k), f"{k:g}") for k in ks[:: math.ceil(len(ks) / 7)]]


def _evenly(values: Sequence[float]) -> list[float]:
    at = np.unique(np.linspace(0, len(values) - 1, POINTS).round().astype(int))
    return [float(values[i]) for i in at]


def _legend(
    names: Iterable[str],
    styles: Mapping[str, Style],
    title: Markup | None = None,
    notes: Mapping[str, str] | None = None,
) -> Markup:
    entries = [tag("span", key(styles[n], line=True), n, (notes or {}).get(n), class_="entry") for n in names]
    return tag("figcaption", title, tag("div", entries, class_="legend"))


def _matrix(style: Style, matrix: Matrix) -> Markup:
    classes, counts = matrix.columns, np.asarray(matrix.values, dtype=np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    title = tag("figcaption", key(style), tag("b", style.name), tag("small", matrix.caption))
    if len(classes) > CLASSES:
        page = np.rint(255 * np.sqrt(shares)).astype(np.uint8)
        drawn = png(page, f"Confusion matrix of {style.name}, {counted(len(classes), 'class', 'classes')}", 320)
        return tag("figure", title, drawn, _details(matrix.details))
    head = tag("tr", tag("td"), (tag("th", name, scope="col") for name in classes))
    rows = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            (
                tag("td", f"{int(n):,}" if n else "·", style=f"--p:{100 * s**0.5:.0f}%")
                for n, s in zip(ns, ss, strict=True)
            ),
        )
        for name, ns, ss in zip(matrix.rows, counts, shares, strict=True)
    ]
    drawn = tag("table", head, rows, class_=f"matrix {style.color}")
    box = {"class_": "scroll", "tabindex": 0, "role": "region", "aria_label": f"Confusion matrix of {style.name}"}
    return tag("figure", title, tag("div", drawn, **box), _details(matrix.details))


def _details(rows: Sequence[Mapping[str, Any]]) -> Markup:
    if not rows:
        return Markup()
    head = tag("tr", (tag("th", name, scope="col") for name in rows[0]))
    body = [tag("tr", (tag("td", v if isinstance(v, str) else number(v)) for v in row.values())) for row in rows]
    notes = tag("table", head, body, class_="plain")
    return tag("details", tag("summary", "Class by class"), tag("div", notes, class_="scroll"))
