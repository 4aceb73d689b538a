"""What the page says in words: who is best at what, what is not separated, what failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from thalweg.comparison.markup import Markup, rich, tag

__all__ = ["ARROWS", "GROUPS", "MARKS", "about", "budget", "contested", "duration", "estimated", "failed", "summary"]

GROUPS = {
    "likelihood": "Likelihood",
    "samples": "Samples",
    "reconstruction": "Reconstruction",
    "latents": "Latents",
    "classification": "Classification",
    "anomaly": "Anomaly detection",
    "cost": "Cost",
}
ARROWS = {
    "lower": tag("abbr", "↓", title="lower is better"),
    "higher": tag("abbr", "↑", title="higher is better"),
}
MARKS = {"best": "★", "near": "≈"}


def estimated(measure: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the cells of a measure that have a number."""
    return {name: cell for name, cell in measure["cells"].items() if "estimate" in cell}


def contested(measure: Mapping[str, Any]) -> bool:
    """Whether a measure ranks: it has a better side, and two models have a number."""
    return measure["better"] is not None and len(estimated(measure)) > 1


def listed(names: Sequence[Any], last: str = "and") -> Markup:
    """Return names as a list in a sentence.

    >>> listed(["vae", "wgan", "real-nvp"])
    'vae, wgan and real-nvp'
    """
    if len(names) < 2:
        return rich(names)
    return rich([rich(name, ", ") for name in names[:-2]], names[-2], f" {last} ", names[-1])


def counted(n: int, what: str) -> str:
    """Return a number of things, in the plural where there are several.

    >>> counted(1, "model"), counted(1437, "example")
    ('1 model', '1,437 examples')
    """
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def duration(seconds: float | None) -> str:
    """Return a time in the unit that a reader would choose.

    >>> duration(58.2), duration(190), duration(7200)
    ('58 s', '3.2 min', '2 h')
    """
    if seconds is None:
        return "–"
    if seconds < 100:
        return f"{seconds:.3g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.3g} min" if seconds < 6000 else f"{seconds / 3600:.3g} h"


def budget(known: Mapping[str, Any]) -> str:
    """Return the budget of a report in words.

    >>> budget({"minutes": 1.0}), budget({})
    ('1 minute of training each', 'as long as each recipe says')
    """
    if "minutes" in known:
        return f"{known['minutes']:g} minute{'' if known['minutes'] == 1 else 's'} of training each"
    if "steps" in known:
        return f"{counted(known['steps'], 'step')} each"
    if "examples" in known:
        return f"{counted(known['examples'], 'example')} seen in training each"
    return "as long as each recipe says"


def about(data: Mapping[str, Any]) -> str:
    """Return what the data are, in words."""
    shape = " × ".join(str(side) for side in data["shape"])
    levels = f" of {data['levels']:,} levels" if data.get("levels") else ""
    classes = f", {counted(len(data['classes']), 'class').replace('classs', 'classes')}" if data.get("classes") else ""
    return f"{data['kind']}, {shape}{levels}{classes}"


def failed(report: Mapping[str, Any]) -> list[Markup]:
    """Return a line for each training that failed, and each warning."""
    lines = [
        rich(tag("b", f"{model['name']}, seed {run['seed']}"), f" failed: {run['reason'] or 'no reason given'}")
        for model in report["models"]
        for run in model["seeds"]
        if run["state"] != "done"
    ]
    return [*lines, *(rich(warning) for warning in report["warnings"])]


def summary(report: Mapping[str, Any]) -> Markup:
    """Return the findings as a list of sentences, and what they do not say."""
    measures = report["measures"]
    if not measures:
        return tag("p", "Nothing was measured.")
    ranked = [measure for measure in measures if contested(measure)]
    if not ranked:
        return tag("p", f"{counted(len(measures), 'measure')}, none of two models: there is nothing to rank.")
    yardsticks = {model["name"] for model in report["models"] if model["family"] == "yardstick"}
    lines = [line for model in report["models"] for line in _of_model(model["name"], ranked, measures, yardsticks)]
    return rich(tag("ul", (tag("li", line) for line in lines), class_="findings"), _caveat(report, ranked))


def _of_model(
    name: str, ranked: Iterable[Mapping[str, Any]], measures: Sequence[Mapping[str, Any]], yardsticks: set[str]
) -> list[Markup]:
    """Return sentences on where a model is best, grouped by who is not separated from it, and on its flags."""
    rivals: dict[tuple[str, ...], list[Markup]] = {}
    flags: dict[str, list[Markup]] = {}
    for measure in ranked:
        cells = estimated(measure)
        cell = cells.get(name)
        if cell and cell["flag"]:
            flags.setdefault(cell["flag"], []).append(_name(measure, measures))
        if cell and cell["best"]:
            near = [n for n, other in cells.items() if n != name and (other["best"] or other["separated"] is False)]
            rivals.setdefault(tuple(near), []).append(_name(measure, measures))
    who = rich(tag("b", name), " (yardstick)" if name in yardsticks else None)
    clear = rivals.pop((), [])
    lines = [rich(who, " is best, separated from every other, in ", listed(clear), ".")] if clear else []
    for near, rows in rivals.items():
        lines.append(rich(who, " has the best value, not separated from ", listed(near), ", in ", listed(rows), "."))
    return lines + [rich(who, f" {flag}: seen in ", listed(rows), ".") for flag, rows in flags.items()]


def _name(measure: Mapping[str, Any], measures: Sequence[Mapping[str, Any]]) -> Markup:
    same = [other for other in measures if other["name"] == measure["name"]]
    told = f" ({measure['note'] or measure['kind']})" if len(same) > 1 else None
    return rich(measure["name"], told)


def _caveat(report: Mapping[str, Any], ranked: Sequence[Mapping[str, Any]]) -> Markup:
    varies = list(dict.fromkeys(measure["varies"] for measure in ranked))
    told = [f"Intervals are at 95 % and cover the chance in {listed(varies)}."]
    if "training seeds" not in varies:
        told.append("None says what another training run would have given.")
    told.append(
        "Each difference was judged by itself: of equally good models, one in 20 or more looks separated by chance."
    )
    return tag("p", Markup(" ".join(rich(line) for line in told)), class_="small")
