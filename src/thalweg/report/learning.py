"""The learning curve: the primary measure of each model over the number of training examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.evaluation.estimates.figures import Figure
from thalweg.report.charts import charts
from thalweg.report.markup import Markup, rich, tag
from thalweg.report.svg import Style

__all__ = ["COLUMNS", "held_fixed", "learning", "points"]

COLUMNS = ["model", "measure", "share", "training examples", "value"]
FIXED = {
    "steps": "Steps fixed: every training of a model has the same number of steps, so a smaller share is seen in more "
    "epochs.",
    "minutes": "Minutes fixed: every training has the same time, so the numbers of steps and of epochs differ.",
    "examples": "Processed examples fixed: every training of a model processes the same number of examples, so a "
    "smaller share is seen in more epochs.",
}


def held_fixed(curve: Mapping[str, Any]) -> str:
    """Return what is equal for all shares, in one sentence per budget."""
    return " ".join(FIXED[budget] for budget in curve["fixed"].split(" or "))


def points(curve: Mapping[str, Any]) -> list[list[str]]:
    """Return the rows of a table: model, measure, share, training examples, value."""
    return [
        [
            model["name"],
            model["measure"] or "–",
            f"{point['share']:g}",
            f"{point['examples']:,}",
            point["estimate"]["text"] if point["estimate"] else "–",
        ]
        for model in curve["models"]
        for point in model["points"]
    ]


def learning(report: Mapping[str, Any], drawn: Mapping[str, Sequence[Figure]], styles: Mapping[str, Style]) -> Markup:
    """Return the charts, what is fixed, and the table of the points; nothing without a learning curve."""
    curve = report.get("learning_curve")
    if not curve:
        return Markup()
    heading = tag("tr", (tag("th", name, scope="col") for name in COLUMNS))
    rows = [tag("tr", (tag("td", cell) for cell in row)) for row in points(curve)]
    box = {"class_": "scroll", "tabindex": 0, "role": "region", "aria_label": "Points of the learning curve"}
    listed = tag("div", tag("table", tag("thead", heading), tag("tbody", rows), class_="plain"), **box)
    return rich(tag("p", held_fixed(curve)), charts("learning-curve", drawn, styles), listed)
