"""How to reproduce the report: commands, runs, versions, the data's fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thalweg.report.markup import Markup, number, rich, tag
from thalweg.report.results import pairs
from thalweg.report.words import about, budget, duration, trainings

__all__ = ["head", "origin"]


def head(report: Mapping[str, Any]) -> Markup:
    """Return the title and the main facts below it."""
    data, trained = report["data"], [m for m in report["models"] if m["family"] != "baseline"]
    seeds = sorted({len(model["seeds"]) for model in trained})
    facts = {
        "Data": f"{data['name']} ({about(data)})",
        "Examples": "; ".join(f"{data[part]:,} {part}" for part in ("train", "validation", "test")),
        "Budget": budget(report["budget"]),
        "Trainings": " to ".join(map(str, seeds[:: max(1, len(seeds) - 1)])) + " of each model" if seeds else "none",
    }
    listed = tag("dl", (tag("div", tag("dt", name), tag("dd", value)) for name, value in facts.items()), class_="facts")
    when = tag("time", report["made"].replace("T", " ")[:16] + " UTC", datetime=report["made"])
    return tag("header", tag("p", "Thalweg comparison, ", when, class_="kicker"), tag("h1", report["title"]), listed)


def origin(report: Mapping[str, Any]) -> Markup:
    """Return what is needed to reproduce the report."""
    data = report["data"]
    facts = {
        "Data": f"{data['name']}, {about(data)}",
        "Fingerprint": tag("code", data["fingerprint"]),
        "Budget": budget(report["budget"]),
        **{name: tag("span", version) for name, version in report["versions"].items()},
    }
    listed = tag("dl", (tag("div", tag("dt", name), tag("dd", value)) for name, value in facts.items()), class_="facts")
    command = [tag("p", "The whole comparison:"), tag("pre", tag("code", report["command"]), tabindex=0)]
    return rich(command, _runs(report), listed)


def _runs(report: Mapping[str, Any]) -> Markup:
    rows, commands = [], []
    for name, options, run in trainings(report):
        value = [
            tag("th", name, tag("small", pairs(options)), scope="row"),
            tag("td", run["seed"]),
            tag("td", run["state"]),
            tag("td", number(run["steps"])),
            tag("td", duration(run["seconds"])),
            tag("td", tag("code", run["run"])),
        ]
        rows.append(tag("tr", value))
        commands.append(run["command"])
    if not rows:
        return Markup()
    names = ("model", "seed", "state", "steps", "training", "run folder")
    heading = tag("thead", tag("tr", (tag("th", name, scope="col") for name in names)))
    box = {"class_": "scroll", "tabindex": 0, "role": "region", "aria_label": "Runs"}
    return rich(
        tag("p", "Each training by itself:"),
        tag("pre", tag("code", "\n".join(filter(None, commands))), tabindex=0),
        tag("div", tag("table", heading, tag("tbody", rows), class_="plain"), **box),
    )
