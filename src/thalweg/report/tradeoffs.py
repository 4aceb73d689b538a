"""The accuracy of classifiers against their cost, with the Pareto-optimal models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from thalweg.evaluation.statistics.pareto import pareto
from thalweg.report.markup import Markup, number, tag
from thalweg.report.svg import Style, frame, key, spread, symbol
from thalweg.report.words import estimated, listed

__all__ = ["tradeoff_charts", "tradeoffs"]

COSTS = ("MACs", "training time", "parameters")
TICKS = 6  # of a logarithmic axis, about


def tradeoffs(measures: Sequence[Mapping[str, Any]], trained: Sequence[str]) -> list[dict[str, Any]]:
    """Return the accuracy of the trained models against each cost, where at least two models have both.

    `measures` are the rows of the report. Each result has the `cost` and its `unit`, and `points`: `model`, `x` (the
    cost), `y`, `low` and `high` (the accuracy in % with its interval), and whether the model is `optimal`: no other is
    at least as accurate at no larger cost, and better in one of them.
    """
    first = {row["name"]: estimated(row) for row in reversed(measures)}
    units = {row["name"]: row["unit"] for row in measures}
    accuracies = first.get("accuracy", {})
    result: list[dict[str, Any]] = []
    for cost in COSTS:
        costs = {name: float(cell["estimate"]["value"]) for name, cell in first.get(cost, {}).items()}
        names = [name for name in trained if name in accuracies and 0 < costs.get(name, 0) < math.inf]
        points: list[dict[str, Any]] = [
            {"model": name, "x": costs[name], **_ends(accuracies[name]["estimate"])} for name in names
        ]
        best = pareto([(point["x"], point["y"]) for point in points])
        if len(points) > 1:
            points = [point | {"optimal": i in best} for i, point in enumerate(points)]
            result.append({"cost": cost, "unit": units[cost], "points": points})
    return result


def _ends(estimate: Mapping[str, Any]) -> dict[str, float]:
    return {"y": float(estimate["value"]), "low": float(estimate["low"]), "high": float(estimate["high"])}


def tradeoff_charts(known: Sequence[Mapping[str, Any]], styles: Mapping[str, Style]) -> Markup:
    """Return one chart for each cost, on a logarithmic axis; a step line connects the Pareto-optimal models."""
    return tag("div", (_chart(panel, styles) for panel in known), class_="panels") if known else Markup()


def _chart(panel: Mapping[str, Any], styles: Mapping[str, Style]) -> Markup:
    points, label = panel["points"], ", ".join(filter(None, [panel["cost"], panel["unit"]]))
    optimal = sorted((point for point in points if point["optimal"]), key=lambda point: (point["x"], point["y"]))
    low, high = spread([math.log10(point["x"]) for point in points], margin=0.12)
    short = max(1 - (high - low), 0) / 2  # of a decade, which has ticks
    low, high = low - short, high + short
    up = (*spread([point[end] for point in points for end in ("low", "high")]), "accuracy, %")
    unit = f" {panel['unit']}".rstrip()
    best = listed([f"{p['model']} with {number(p['y'])} % at {number(p['x'])}{unit}" for p in optimal])
    text = f"accuracy against {label}, logarithmic; Pareto-optimal: {best}"
    chart = frame((low, high, label), up, text, x_ticks=_ticks(low, high))
    corners = [(math.log10(point["x"]), point["y"]) for point in optimal]
    steps = corners[:1]
    for (_, y), (x, above) in pairwise(corners):
        steps += [(x, y), (x, above)]
    marks = [tag("path", d=chart.path([x for x, _ in steps], [y for _, y in steps]), class_="line chance")]
    for point in points:
        style, x = styles[point["model"]], math.log10(point["x"])
        whisker = chart.path([x, x], [point["low"], point["high"]])
        marks += [tag("path", d=whisker, class_=f"line {style.color}"), symbol(style, *chart.at(x, point["y"]))]
    title = tag("b", f"accuracy against {panel['cost']}")
    entries = [tag("span", key(styles[point["model"]]), point["model"], class_="entry") for point in points]
    caption = tag("figcaption", title, tag("div", entries, class_="legend"))
    return tag("figure", caption, chart.drawn(marks))


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return round values between 10^low and 10^high: powers of 10, or also 2 and 5 times them, with short labels.

    >>> _ticks(2.9, 4.2)
    [(3.0, '1k'), (3.3010299956639813, '2k'), (3.6989700043360187, '5k'), (4.0, '10k')]
    """
    decades = range(math.floor(low), math.ceil(high) + 1)
    factors = (1, 2, 5) if high - low < TICKS / 3 else (1,)
    values = [factor * 10.0**power for power in decades for factor in factors]
    inside = [value for value in values if low <= math.log10(value) <= high]
    return [(math.log10(value), _short(value)) for value in inside[:: math.ceil(len(inside) / TICKS) or None]]


def _short(value: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
