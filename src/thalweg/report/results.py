"""The table of all values, and the explanation of each measure."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from thalweg.report.markup import Markup, number, rich, tag
from thalweg.report.svg import Style, key
from thalweg.report.words import ARROWS, GROUPS, MARKS, contested, label, listed, standing

__all__ = ["meanings", "table"]

BLANK = tag("span", class_="sign")  # in place of a mark
STATUS = {"best": "best of its row", "near": "not separated from the best", "open": "not compared with the best"}


def table(report: Mapping[str, Any], styles: Mapping[str, Style]) -> Markup:
    """Return the table: one row per measure, one column per model; reasons for missing values are notes below."""
    if not report["measures"]:
        return Markup()
    notes: dict[str, int] = {}
    parts = []
    for group, measures in groupby(report["measures"], key=lambda measure: measure["group"]):
        apart = sum(style.baseline for style in styles.values())
        name = tag("th", tag("span", GROUPS.get(group, group)), scope="rowgroup", colspan=len(styles) + 1 - apart)
        shade = tag("td", colspan=apart, class_="baseline") if apart else None
        rows = [_row(measure, styles, notes) for measure in measures]
        parts.append(tag("tbody", tag("tr", name, shade, class_="group"), rows))
    kinds = {model["name"]: _kind(model) for model in report["models"]}
    columns = [
        tag("th", key(style), name, tag("small", kinds[name]), scope="col", class_=_column(style))
        for name, style in styles.items()
    ]
    head = tag("thead", tag("tr", tag("th", "Measure", scope="col"), columns))
    box = {"class_": "scroll", "tabindex": 0, "role": "region", "aria_label": "Table of all measures"}
    below = [tag("li", reason, id=f"reason-{i}") for reason, i in notes.items()]
    return rich(
        tag("div", tag("table", head, parts, class_="results"), **box),
        _legend(),
        tag("ol", below, class_="notes") if below else None,
    )


def _kind(model: Mapping[str, Any]) -> str:
    if model["family"] == "baseline":
        return "baseline"
    known = model["parameters"]
    return f"{model['family']}, {number(known)} parameters" if known is not None else model["family"]


def _column(style: Style) -> str | None:
    return "baseline" if style.baseline else None


def _row(measure: Mapping[str, Any], styles: Mapping[str, Style], notes: dict[str, int]) -> Markup:
    small = ", ".join(filter(None, [measure["unit"], measure["kind"]]))
    parts = [tag("b", measure["name"]), "\u00a0", ARROWS.get(measure["better"]), tag("small", small)]
    if measure["note"]:
        parts.append(tag("small", measure["note"]))
    ranked = contested(measure)
    cells = [_cell(measure, style, ranked, notes) for style in styles.values()]
    return tag("tr", tag("th", parts, scope="row"), cells)


def _cell(measure: Mapping[str, Any], style: Style, ranked: bool, notes: dict[str, int]) -> Markup:
    cell = measure["cells"].get(style.name)
    if cell is None:
        return tag("td", BLANK, "–", class_=_column(style))
    if "estimate" not in cell:
        i = notes.setdefault(cell["reason"], len(notes) + 1)
        return tag("td", BLANK, "– ", tag("sup", tag("a", i, href=f"#reason-{i}")), class_=_column(style))
    text = cell["estimate"]["text"].removesuffix(f" {measure['unit']}").replace("-", "−").replace("e−", "e-")
    value, interval = text, ""
    known = cell["estimate"]
    if known["low"] == known["high"] and known["kind"] in ("exact", "estimate"):
        value = text = number(float(known["value"]), 6)
    for sign in (" ± ", " ["):
        if sign in text:
            value, _, interval = text.partition(sign)
            interval = sign.lstrip() + interval
    state = standing(cell, style) if ranked else None
    mark = (
        tag("span", MARKS[state], role="img", aria_label=STATUS[state], title=STATUS[state], class_="sign")
        if state
        else BLANK
    )
    parts = [mark, tag("span", value, class_="value"), " ", tag("span", interval, class_="interval")]
    if cell["flag"]:
        parts.append(tag("small", "⚠ ", cell["flag"], class_="flag"))
    names = " ".join(filter(None, [_column(style), "best" if state == "best" else None]))
    return tag("td", parts, class_=names or None)


def _legend() -> Markup:
    return tag(
        "p",
        f"{MARKS['best']} best value of its row. {MARKS['near']} not separated from the best: the 95 % interval of the "
        "difference, paired if both were measured on the same examples, contains 0. No mark: worse than the best, and "
        "separated from it. ↓ lower is better, ↑ higher is better. ± and [ ] are 95 % intervals. ≤ and ≥: the value is "
        "an upper or a lower bound on the quantity. Values that are not comparable, such as a bound and an exact "
        "value, are in different rows.",
        class_="small",
    )


def meanings(report: Mapping[str, Any]) -> Markup:
    """Return the explanation of each measure, and the method of each value."""
    parts = [_meaning(measure, label(measure, report["measures"])) for measure in report["measures"]]
    return tag("dl", parts, class_="meanings") if parts else Markup()


def _meaning(measure: Mapping[str, Any], name: Markup) -> Markup:
    better = {"lower": "lower is better", "higher": "higher is better", None: "neither side is better"}
    facts = [measure["unit"], measure["kind"], better[measure["better"]], f"varies: {measure['varies']}"]
    same: dict[tuple[str, ...], list[str]] = {}
    for model, cell in measure["cells"].items():
        if "estimate" in cell:
            known = cell["estimate"]
            varies = f"varies: {known['varies']}" if known["varies"] != measure["varies"] else ""
            same.setdefault((f"n = {known['n']:,}", varies, pairs(known["method"])), []).append(model)
    how = [tag("p", tag("b", listed(names)), ": ", "; ".join(filter(None, parts))) for parts, names in same.items()]
    lines = [
        tag("p", measure["meaning"]),
        tag("p", "; ".join(filter(None, [*facts, measure["note"]])), class_="facts"),
        tag("p", tag("b", "Protocol"), f": {pairs(measure['protocol'])}") if measure["protocol"] else None,
        how,
    ]
    return tag("div", tag("dt", name), tag("dd", lines))


def pairs(known: Mapping[str, Any]) -> str:
    """Return a mapping as text.

    >>> pairs({"interval": "Student", "draws": 1, "kernel": {"width": 2.0}})
    'interval: Student; draws: 1; kernel: (width: 2)'
    """
    parts = []
    for name, value in known.items():
        if isinstance(value, Mapping):
            shown = f"({pairs(value)})"
        elif isinstance(value, (list, tuple)):
            shown = ", ".join(map(str, value))
        else:
            shown = number(value) if isinstance(value, float) else str(value)
        parts.append(f"{name}: {shown}")
    return "; ".join(parts)
