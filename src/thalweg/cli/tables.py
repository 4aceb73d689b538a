"""The table of a report on the terminal: rows of measures, columns of models, with marks for the best values."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from thalweg.cli.shared import print_table

__all__ = ["print_report"]

LEGEND = (
    "★ best model   ≈ not separated from the best (the 95 % interval of the difference contains 0)   ≥ ≤ bounds   "
    "– missing; report.html has the reasons, report.json the Holm-adjusted tests"
)


def print_report(report: Mapping[str, Any]) -> None:
    """Print the table of a report on stdout; intervals are at 95 %."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from thalweg.report.words import trainings

    names = [model["name"] for model in report["models"]]
    names = [n for n in names if any("estimate" in row["cells"].get(n, {}) for row in report["measures"])]
    baselines = {model["name"] for model in report["models"] if model["family"] == "baseline"}
    table = Table(title=report["title"], box=box.SIMPLE_HEAD, title_justify="left", caption=LEGEND,
                  caption_justify="left", pad_edge=False, show_edge=False)  # fmt: skip
    table.add_column("measure", overflow="fold")
    for name in names:
        table.add_column(Text(name, style="italic" if name in baselines else "bold"), overflow="fold")
    group = None
    for row in report["measures"]:
        if row["group"] != group:
            group = row["group"]
            table.add_section()
            table.add_row(Text(group, style="bold underline"))
        same = [other for other in report["measures"] if other["name"] == row["name"]]
        kind = row["kind"] if any(other["kind"] != row["kind"] for other in same) else None
        details = ", ".join(filter(None, [kind, row["note"]]))
        note = f"\n  ({details})" if details else ""
        sense = {"higher": " ↑", "lower": " ↓", None: ""}[row["better"]]
        unit = f", {row['unit']}" if row["unit"] and not row["name"].endswith(row["unit"]) else ""
        table.add_row(
            Text(f"{row['name']}{unit}{sense}{note}"), *(Text(_cell(row, n), style=_style(row, n)) for n in names)
        )
    wide = None if sys.stdout.isatty() else 40 + 30 * len(names)
    console = Console(file=sys.stdout, width=wide, highlight=False)
    console.print(table)
    if curve := report.get("learning_curve"):
        from thalweg.report.learning import COLUMNS, held_fixed, points

        print_table("learning curve", COLUMNS, points(curve), caption=held_fixed(curve))
    for name, options, seed in trainings(report):
        if seed["state"] == "failed":
            share = f", share {options['share']:g}" if "share" in options else ""
            console.print(Text(f"{name} (seed {seed['seed']}{share}) failed: {seed['reason']}", style="red"))


def _cell(row: Mapping[str, Any], name: str) -> str:
    cell = row["cells"].get(name, {})
    if "estimate" not in cell:
        return "–"
    text = cell["estimate"]["text"]
    unit = f" {row['unit']}"
    text = text.removesuffix(unit) if row["unit"] else text
    mark = " ★" if cell["best"] else " ≈" if cell["separated"] is False else ""
    return text + mark + (f"\n! {cell['flag']}" if cell["flag"] else "")


def _style(row: Mapping[str, Any], name: str) -> str:
    cell = row["cells"].get(name, {})
    return "bold" if cell.get("best") else "dim" if "estimate" not in cell else ""
