"""The summary of the report in sentences: the best models, what is not separated, what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.report.markup import Markup, rich, tag
from thalweg.report.svg import Style

__all__ = [
    "ARROWS",
    "GROUPS",
    "MARKS",
    "about",
    "budget",
    "contested",
    "counted",
    "duration",
    "estimated",
    "failed",
    "label",
    "listed",
    "standing",
    "summary",
    "trainings",
]

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
MARKS = {"best": "★", "near": "≈", "open": "?"}


def estimated(measure: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the cells of a measure that have a number."""
    return {name: cell for name, cell in measure["cells"].items() if "estimate" in cell}


def contested(measure: Mapping[str, Any]) -> bool:
    """Return whether a measure ranks models: it has a direction and a best model, and another was compared with it."""
    cells = estimated(measure).values()
    compared = any(cell["best"] for cell in cells) and any(cell["separated"] is not None for cell in cells)
    return measure["better"] is not None and compared


def standing(cell: Mapping[str, Any], style: Style) -> str | None:
    """Return the status of a value: best, near (not separated from the best), open (not compared), or None (worse)."""
    if cell["best"]:
        return "best"
    if cell["separated"] is None:
        return None if style.baseline else "open"
    return None if cell["separated"] else "near"


def listed(names: Sequence[Any]) -> Markup:
    """Return names as an enumeration in a sentence.

    >>> listed(["vae", "wgan", "real-nvp"])
    'vae, wgan and real-nvp'
    """
    if len(names) < 2:
        return rich(names)
    return rich([rich(name, ", ") for name in names[:-2]], names[-2], " and ", names[-1])


def counted(n: int, what: str, plural: str = "") -> str:
    """Return a count with its noun, in the plural if needed.

    >>> counted(1, "model"), counted(1437, "example")
    ('1 model', '1,437 examples')
    """
    return f"{n:,} {what if n == 1 else plural or what + 's'}"


def duration(seconds: float | None) -> str:
    """Return a duration in a suitable unit.

    >>> duration(58.2), duration(190), duration(7200)
    ('58 s', '3.2 min', '2 h')
    """
    if seconds is None:
        return "–"
    if seconds < 100:
        return f"{seconds:.3g} s" if seconds < 10 else f"{seconds:.0f} s"
    text = f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
    return text.replace(".0 ", " ")


def budget(known: Mapping[str, Any]) -> str:
    """Return the budget of a report in words.

    >>> budget({"minutes": 1.0}), budget({})
    ('1 minute of training each', 'the default steps of each recipe')
    """
    if "minutes" in known:
        return f"{known['minutes']:g} minute{'' if known['minutes'] == 1 else 's'} of training each"
    if "steps" in known:
        return f"{counted(known['steps'], 'step')} each"
    if "examples" in known:
        return f"{counted(known['examples'], 'example')} seen in training each"
    return "the default steps of each recipe"


def about(data: Mapping[str, Any]) -> str:
    """Return a description of the data."""
    shape = " × ".join(str(side) for side in data["shape"])
    levels = f" of {data['levels']:,} levels" if data.get("levels") else ""
    classes = f", {counted(len(data['classes']), 'class', 'classes')}" if data.get("classes") else ""
    return f"{data['kind']}, {shape}{levels}{classes}"


def trainings(report: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Return the name of each training's model, its options and the training, those of a learning curve last."""
    main = [(model["name"], model["options"], run) for model in report["models"] for run in model["seeds"]]
    curve = report.get("learning_curve") or {"models": []}
    parts = [(model["name"], point) for model in curve["models"] for point in model["points"] if point["share"] < 1]
    return main + [(name, {"share": point["share"]}, run) for name, point in parts for run in point["seeds"]]


def failed(report: Mapping[str, Any]) -> list[Markup]:
    """Return one line for each failed training, and each warning."""
    lines = []
    for name, options, run in trainings(report):
        if run["state"] != "done":
            share = f", share {options['share']:g}" if "share" in options else ""
            reason = run["reason"] or "no reason given"
            lines.append(rich(tag("b", f"{name}, seed {run['seed']}{share}"), f" failed: {reason}"))
    return [*lines, *(rich(warning) for warning in report["warnings"])]


def summary(report: Mapping[str, Any]) -> Markup:
    """Return the main results as a list of sentences, and their limits."""
    measures = report["measures"]
    if not measures:
        return tag("p", "Nothing was measured.")
    ranked = [measure for measure in measures if contested(measure)]
    if not ranked:
        return tag("p", f"{counted(len(measures), 'measure')}, none with two models: there is nothing to rank.")
    baselines = {model["name"] for model in report["models"] if model["family"] == "baseline"}
    alone: dict[str, list[Markup]] = {}
    together: dict[tuple[str, ...], list[Markup]] = {}
    for measure in ranked:
        cells = {name: cell for name, cell in estimated(measure).items() if name not in baselines}
        top = tuple(name for name, cell in cells.items() if cell["best"] or cell["separated"] is not True)
        if len(top) > 1:
            together.setdefault(top, []).append(label(measure, measures))
        else:
            alone.setdefault(top[0], []).append(label(measure, measures))
    order = [model["name"] for model in report["models"] if model["name"] in alone]
    lines = _flags(measures)
    lines += [rich(tag("b", n), " is best, and separated from the others, in ", listed(alone[n]), ".") for n in order]
    undecided = [rich(tag("b", listed(top)), " in ", listed(rows)) for top, rows in together.items()]
    if undecided:
        lines.append(rich("Best together, not separated from each other: ", Markup("; ".join(undecided)), "."))
    return rich(tag("ul", (tag("li", line) for line in lines), class_="findings"), _caveat(ranked))


def _flags(measures: Sequence[Mapping[str, Any]]) -> list[Markup]:
    groups: dict[tuple[str, str], list[Markup]] = {}
    for measure in measures:
        for name, cell in estimated(measure).items():
            if cell["flag"]:
                groups.setdefault((name, cell["flag"]), []).append(label(measure, measures))
    return [
        rich(tag("b", name), " ", tag("strong", flag), ", by ", listed(rows), ".")
        for (name, flag), rows in groups.items()
    ]


def label(measure: Mapping[str, Any], measures: Sequence[Mapping[str, Any]]) -> Markup:
    """Return a measure's name, with its kind where others have the same name."""
    same = [other for other in measures if other["name"] == measure["name"]]
    return rich(measure["name"], f" ({measure['kind']})" if len(same) > 1 else None)


def _caveat(ranked: Sequence[Mapping[str, Any]]) -> Markup:
    varies = list(dict.fromkeys(part for measure in ranked for part in measure["varies"].split(" and ")))
    text = [f"Intervals are at 95 % and account for the variation of {listed(varies)}."]
    if "training seeds" not in varies:
        text.append("They do not account for the variation between trainings.")
    text.append(
        "Each difference is tested separately at the 5 % level: of models that are equally good, about one in 20 "
        "appears separated by chance."
    )
    cells = [cell for measure in ranked for cell in estimated(measure).values()]
    alone, together = (sum(bool(cell.get(key)) for cell in cells) for key in ("separated", "separated_holm"))
    remaining = f"{together} remain{'s' * (together == 1)} separated"
    text.append(f"Of {counted(alone, 'separated difference')}, {remaining} after Holm's adjustment within rows.")
    return tag("p", Markup(" ".join(rich(line) for line in text)), class_="small")
