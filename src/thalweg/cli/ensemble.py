"""`thalweg ensemble RUN RUN ... --out RUN`: a mixture of trained classifiers, or the average of their weights."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option
from thalweg.cli.shared import device_option, print_table, warn

HELP = "combine trained classifiers of the same data into a run folder of their own"


def parser(arguments: list[str]) -> Parser:
    """Return the parser: the run folders, and how they are combined."""
    result = Parser(
        "ensemble",
        f"{HELP}\n\nThe result is their mixture, p(y|x) = Σ θ_k p_k(y|x), with weights θ fitted on the validation\n"
        "examples, or one model with the average of their weights. All verbs that read a trained classifier read it.",
        usage="ensemble RUN RUN ... --out RUN",
    )
    result.positional("run", "two or more run folders", many=True)
    options = [
        Option("out", str, None, "new run folder"),
        Option("uniform", bool, False, "equal weights, in place of fitted ones"),
        Option(
            "average_weights",
            bool,
            False,
            "average the weights of the networks, which must have the same recipe and options, into one network",
        ),
        Option("overwrite", bool, False, "replace the run in the folder"),
        device_option(),
    ]
    result.group("combining", options)
    return result


def run(arguments: dict[str, Any]) -> dict[str, Any]:
    """Combine the runs, and return the measures of the members and of the result."""
    if "out" not in arguments:
        raise ValueError("out: got nothing, wanted a new run folder")
    settings = {name: arguments[name] for name in ("overwrite", "device", "command") if name in arguments}
    folders, out, uniform = arguments["run"], Path(arguments["out"]), arguments.get("uniform", False)
    if arguments.get("average_weights"):
        if uniform:
            raise ValueError("uniform: got it beside --average-weights, whose average is always uniform; wanted one")
        from thalweg.applications.average import average

        result = average(folders, out, **settings)
        if result.warning:
            warn(result.warning)
        return result.to_json()
    from thalweg.applications.ensemble import ensemble

    return ensemble(folders, out, uniform=uniform, **settings).to_json()


def show(document: dict[str, Any]) -> None:
    """Print the table of the members and the result, and the run folder."""
    from thalweg.report.words import counted, duration

    examples = counted(document["n"], "validation example")
    title = f"{examples} of {document['data']}"
    values = [[m["name"], m["recipe"], m["accuracy"]["text"], m["label loss"]["text"]] for m in _rows(document)]
    columns = ["run", "recipe", "accuracy", "label loss"]
    if "fitted" in document:
        weights = [f"{weight:.3f}" for weight in document["fitted"]] + ["", ""]
        values = [[*row, weight] for row, weight in zip(values, weights, strict=True)]
        columns.append("fitted weight")
    print_table(title, columns, values)
    if "fitted" in document:
        print(f"The fitted weights minimize the label loss of these {examples}: it is lower here than on others.")
    elif document["normalizing"]:
        print(f"statistics estimated again: those of {counted(document['normalizing'], 'batch normalization')}")
    spent = document["cost"]
    print(f"cost, the sum of the members': {counted(spent['steps'], 'step')}, {duration(spent['seconds'])}")
    how = "" if "fitted" not in document else ", the mixture with "
    how += "" if not how else "fitted weights" if document["weights"] == document["fitted"] else "equal weights"
    print(f"run: {document['run']}{how}")
    print(f"  {shlex.join(['thalweg', 'evaluate', document['run']])}")


def _rows(document: dict[str, Any]) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = document.get("mixtures") or [document["average"]]
    return [*document["members"], *results]
