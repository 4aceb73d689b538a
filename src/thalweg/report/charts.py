"""Charts of lines: training curves, the bound as K grows, ROC, calibration; and confusion matrices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from thalweg.report.markup import Markup, number, rich, tag
from thalweg.report.pictures import png
from thalweg.report.svg import Face, frame, key, spread, symbol
from thalweg.report.words import counted, duration

__all__ = ["Line", "bounds", "calibration", "confusion", "curves", "roc", "thinned"]

POINTS = 300  # of a curve
PLAYERS = ("", " pale", " dashed")  # how a model's players are told apart
RATES = (-0.02, 1.02)  # an axis of rates, with room for marks at its ends
CLASSES = 20  # more classes are drawn, not written
Line = tuple[list[float], list[float]]


def curves(known: Mapping[str, Sequence[Mapping[str, Any]]], faces: Mapping[str, Face]) -> Markup:
    """Return the losses of each model's players over the steps, a chart a model and stage."""
    figures = []
    for name, face in faces.items():
        seeds = [seed["records"] for seed in known.get(name, [])]
        stages = sorted({record.get("stage", 0) for records in seeds for record in records})
        for stage in stages:
            kept = [[record for record in records if record.get("stage", 0) == stage] for records in seeds]
            figures.append(_curve(face, kept, f"stage {stage + 1}" if len(stages) > 1 else ""))
    return tag("div", figures, class_="panels") if any(figures) else Markup()


def _curve(face: Face, seeds: Sequence[Sequence[Mapping[str, Any]]], stage: str) -> Markup:
    names = dict.fromkeys(key for records in seeds for record in records for key in record if key.endswith("loss"))
    lines: dict[str, list[Line]] = {name: [thinned(records, name) for records in seeds] for name in names}
    lines = {name: kept for name, found in lines.items() if (kept := [line for line in found if line[0]])}
    if not lines:
        return Markup()
    every = [line for found in lines.values() for line in found]
    low, high = _ends(every)
    last, top = max(xs[-1] for xs, _ in every), max(max(ys) for _, ys in every)
    chart = frame((0, max(last, 1), "step"), (low, high, "loss"), f"Training losses of {face.name} over the steps")
    players = [name for name in lines if not name.startswith("validation/")]
    marks, legend = [], []
    for name, found in lines.items():
        held_out = name not in players
        color = "ink held" if held_out else face.color + PLAYERS[players.index(name) % len(PLAYERS)]
        look = {"class_": f"line {color}{' thin' if len(found) > 1 else ''}"}
        marks += [tag("path", d=chart.path(*line), **look) for line in found]
        dots = [chart.at(xs[0], ys[0]) for xs, ys in found if len(xs) == 1]  # a line of one point shows nothing
        marks += [tag("circle", cx=x, cy=y, r=3, class_=f"mark {color}") for x, y in dots]
        sample = tag("svg", tag("line", x1=0, y1=7, x2=26, y2=7, **look), class_="key", width=26, height=14)
        legend.append(tag("span", sample, name.replace("/", " "), class_="entry"))
    seconds = [record["seconds"] for records in seeds for record in records[-2:] if "seconds" in record]
    told = [stage, f"{len(seeds)} seeds" if len(seeds) > 1 else "", duration(max(seconds)) if seconds else ""]
    told += [f"up to {number(top)} at the start" if top > high else ""]
    title = [key(face), tag("b", face.name), tag("small", ", ".join(filter(None, told)))]
    return tag("figure", tag("figcaption", title, tag("div", legend, class_="legend")), chart.drawn(marks))


def thinned(records: Sequence[Mapping[str, Any]], name: str) -> Line:
    """Return the steps and values of a record's field, thinned; the last one is kept."""
    points = [(record["step"], record[name]) for record in records if isinstance(record.get(name), (int, float))]
    points = [(step, value) for step, value in points if math.isfinite(value)]
    every = math.ceil(len(points) / POINTS)
    kept = points[:: -every or None][::-1]
    return [step for step, _ in kept], [value for _, value in kept]


def _ends(lines: Iterable[Line]) -> tuple[float, float]:
    """Return the axis of losses: all of them after the first tenth, where a start may be enormous, and 99 % there."""
    late = [v for _, ys in lines for v in ys[len(ys) // 10 :]]
    low, high = np.quantile(late, [0.005, 0.995])
    every = [v for _, ys in lines for v in ys]
    near = [v for v in every if low - (high - low) <= v <= high + (high - low)]  # what costs little is shown
    return spread(near)


def bounds(tables: Mapping[str, Any], faces: Mapping[str, Face]) -> Markup:
    """Return the importance-weighted bound of models as the number of importance samples K grows, a chart a law."""
    known = {name: tables[name]["IWAE-K"] for name in faces if "IWAE-K" in tables.get(name, {})}
    laws = dict.fromkeys(table.get("law", "") for table in known.values())
    figures = [_bound(law, {n: t for n, t in known.items() if t.get("law", "") == law}, faces) for law in laws]
    return tag("div", figures, class_="panels") if figures else Markup()


def _bound(law: str, known: Mapping[str, Any], faces: Mapping[str, Face]) -> Markup:
    ks = sorted({k for table in known.values() for k in table["K"]})
    every = [_known(v) for table in known.values() for end in ("value", "low", "high") for v in table[end]]
    ticks = [(math.log2(k), str(k)) for k in ks[:: math.ceil(len(ks) / 7)]]
    across = (*spread([math.log2(k) for k in ks], margin=0.04), "K")
    label = "Importance-weighted bound against the number of importance samples K"
    chart = frame(across, (*spread(every), "bound, nats"), label, x_ticks=ticks)
    marks = []
    for name, table in known.items():
        face, xs = faces[name], [math.log2(k) for k in table["K"]]
        values, lows, highs = ([_known(v) for v in table[end]] for end in ("value", "low", "high"))
        whiskers = "".join(chart.path([x, x], ends) for x, *ends in zip(xs, lows, highs, strict=True))
        marks.append(tag("path", d=whiskers, class_=f"line {face.color}"))
        marks.append(tag("path", d=chart.path(xs, values), class_=f"line {face.color}", stroke_dasharray=face.dash))
        marks += [symbol(face, *chart.at(x, y), 3.2) for x, y in zip(xs, values, strict=True) if math.isfinite(y)]
    title = tag("b", law) if law else None
    return tag("figure", _legend(known, faces, title), chart.drawn(marks))


def _known(value: float | None) -> float:
    """Return a number of a table, NaN where it was not finite: the interval of a single example has no end."""
    return math.nan if value is None else float(value)


def roc(tables: Mapping[str, Any], faces: Mapping[str, Face]) -> Markup:
    """Return a chart for each data set of anomalies, a line a model."""
    known = {name: tables[name]["ROC"] for name in faces if "ROC" in tables.get(name, {})}
    figures = []
    for against in dict.fromkeys(name for table in known.values() for name in table):
        found = {name: table[against] for name, table in known.items() if against in table}
        axes = [(*RATES, f"{side} positive rate") for side in ("false", "true")]
        chart = frame(axes[0], axes[1], f"ROC of telling {against} from the data", square=True)
        marks = [tag("path", d=chart.path([0, 1], [0, 1]), class_="line chance")]
        for name, table in found.items():
            rates = [table[f"{side} positive rate"] for side in ("false", "true")]
            line = chart.path(*(_evenly(rate) for rate in rates))
            marks.append(tag("path", d=line, class_=f"line {faces[name].color}", stroke_dasharray=faces[name].dash))
        told = {name: f" {100 * table['AUROC']:.1f} %" for name, table in found.items()}
        title = rich(tag("b", against), tag("small", "area under the curve"))
        figures.append(tag("figure", _legend(told, faces, title, told), chart.drawn(marks)))
    return tag("div", figures, class_="panels") if figures else Markup()


def _evenly(values: Sequence[float]) -> list[float]:
    at = np.unique(np.linspace(0, len(values) - 1, POINTS).round().astype(int))
    return [float(values[i]) for i in at]


def calibration(tables: Mapping[str, Any], faces: Mapping[str, Face]) -> Markup:
    """Return how often each classifier is right against how sure it says it is, in one figure."""
    known = {name: tables[name]["calibration"] for name in faces if "calibration" in tables.get(name, {})}
    if not known:
        return Markup()
    chart = frame((*RATES, "confidence"), (*RATES, "accuracy"), "Accuracy against confidence", square=True)
    marks = [tag("path", d=chart.path([0, 1], [0, 1]), class_="line chance")]
    for name, table in known.items():
        kept = [i for i, n in enumerate(table["n"]) if n]
        xs, ys = ([float(table[side][i]) for i in kept] for side in ("confidence", "accuracy"))
        face = faces[name]
        marks.append(tag("path", d=chart.path(xs, ys), class_=f"line {face.color}", stroke_dasharray=face.dash))
        most = max((table["n"][i] for i in kept), default=1)
        sizes = [2 + 3.5 * math.sqrt(table["n"][i] / most) for i in kept]
        marks += [symbol(face, *chart.at(x, y), r) for x, y, r in zip(xs, ys, sizes, strict=True)]
    return tag("figure", _legend(known, faces), chart.drawn(marks))


def _legend(
    names: Iterable[str],
    faces: Mapping[str, Face],
    title: Markup | None = None,
    told: Mapping[str, str] | None = None,
) -> Markup:
    entries = [tag("span", key(faces[n], line=True), n, (told or {}).get(n), class_="entry") for n in names]
    return tag("figcaption", title, tag("div", entries, class_="legend"))


def confusion(tables: Mapping[str, Any], faces: Mapping[str, Face]) -> Markup:
    """Return a figure of each classifier's confusion matrix, with its measures of every class below."""
    known = {name: tables[name]["confusion matrix"] for name in faces if "confusion matrix" in tables.get(name, {})}
    return rich(_matrix(faces[name], table, tables[name].get("per class", [])) for name, table in known.items())


def _matrix(face: Face, table: Mapping[str, Any], per_class: Sequence[Mapping[str, Any]]) -> Markup:
    classes, counts = table["classes"], np.asarray(table["counts"], dtype=np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    title = tag("figcaption", key(face), tag("b", face.name), tag("small", "row: the label; column: the answer"))
    if len(classes) > CLASSES:
        page = np.rint(255 * np.sqrt(shares)).astype(np.uint8)
        drawn = png(page, f"Confusion matrix of {face.name}, {counted(len(classes), 'class', 'classes')}", 320)
        return tag("figure", title, drawn, _per_class(per_class))
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
        for name, ns, ss in zip(classes, counts, shares, strict=True)
    ]
    matrix = tag("table", head, rows, class_=f"matrix {face.color}")
    box = {"class_": "scroll", "tabindex": 0, "role": "region", "aria_label": f"Confusion matrix of {face.name}"}
    return tag("figure", title, tag("div", matrix, **box), _per_class(per_class))


def _per_class(rows: Sequence[Mapping[str, Any]]) -> Markup:
    if not rows:
        return Markup()
    head = tag("tr", (tag("th", name, scope="col") for name in rows[0]))
    body = [tag("tr", (tag("td", v if isinstance(v, str) else number(v)) for v in row.values())) for row in rows]
    told = tag("table", head, body, class_="plain")
    return tag("details", tag("summary", "Class by class"), tag("div", told, class_="scroll"))
