"""`thalweg compare RECIPE... --data D`: train models of different families, and evaluate them side by side."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option, options_of_dataclass, read
from thalweg.cli.shared import add_data, data_config
from thalweg.comparison.plan import Candidate, Measuring, Plan
from thalweg.config import TrainConfig
from thalweg.recipes import FAMILIES

HELP = "train models of different families on the same data under the same budget, and evaluate them alike"


def parser(arguments: list[str]) -> Parser:
    """Return the parser: the recipes, the data, the budget, and the settings of the evaluation."""
    listed = "\n".join(f"  {family:<14} {', '.join(table)}" for family, table in FAMILIES.items())
    result = Parser(
        "compare",
        f"{HELP}\n\nA recipe may have options of its own: vae:latent_dim=2,lr=1e-3\n\nrecipes:\n{listed}",
        usage="compare RECIPE... --data D",
    )
    result.positional("recipe", "one or more recipes", many=True)
    add_data(result)
    fields = {option.name: option for option in options_of_dataclass(TrainConfig)}
    result.group(
        "budget (by default, that of each recipe)",
        [
            Option("minutes", float, None, "minutes of training for each model and seed"),
            Option("steps", int, None, fields["steps"].help),
            Option("examples", int, None, fields["examples"].help),
            Option("seeds", int, 1, "trainings of each model, from seed 0; with 2 or more, intervals are over seeds"),
            Option(
                "learning_curve",
                str,
                None,
                "increasing shares of the training examples, up to 1, that each model is also trained on: 0.1,0.3,1",
            ),
            fields["device"],
            fields["precision"],
        ],
    )
    result.group("evaluation", [o for o in options_of_dataclass(Measuring) if o.name != "seed"])
    result.group(
        "comparison",
        [
            Option("out", str, None, "folder of the comparison (default: runs/compare-RECIPES-DATA)"),
            Option("overwrite", bool, False, "replace the comparison in the folder"),
            Option("ray", str, None, "address of a Ray cluster for the trainings: auto, local, host:port"),
        ],
    )
    return result


def run(arguments: dict[str, Any]) -> dict[str, Any]:
    """Train, evaluate, and return the report."""
    data = data_config(arguments)
    if data is None:
        raise ValueError("source: got nothing, wanted data to compare on (see thalweg data list)")
    models = tuple(Candidate.read(text) for text in arguments.get("recipe", []))
    train = TrainConfig(
        **{f: arguments[f] for f in ("minutes", "steps", "examples", "device", "precision") if f in arguments}
    )
    measuring = Measuring(**{f: arguments[f] for f in Measuring.__dataclass_fields__ if f in arguments})
    shares = shares_of(arguments["learning_curve"]) if "learning_curve" in arguments else ()
    seeds = arguments.get("seeds", 1)
    plan = Plan(models=models, data=data, seeds=seeds, train=train, measuring=measuring, shares=shares)
    folder = Path(arguments["out"]) if "out" in arguments else plan.default_folder()

    from thalweg.comparison import compare

    try:
        signal.signal(signal.SIGTERM, _terminate)
        report = compare(
            plan,
            folder,
            command=arguments["command"],
            overwrite=arguments.get("overwrite", False),
            ray=arguments.get("ray"),
        )
    except (KeyboardInterrupt, Terminated) as stop:
        raise type(stop)("interrupted; the same command resumes") from None
    from thalweg.report.words import trainings

    failed = [run["run"] for _, _, run in trainings(report) if run["state"] == "failed"]
    untrained = sum(not (Path(folder) / run / "model.safetensors").is_file() for run in failed)
    return report | {"folder": str(folder), "failed": len(failed), "untrained": untrained}


def shares_of(text: str) -> tuple[float, ...]:
    """Return the shares of a learning curve.

    >>> shares_of("0.1,0.3,1")
    (0.1, 0.3, 1.0)
    """
    return tuple(read("learning_curve", part.strip(), float) for part in text.split(","))


class Terminated(BaseException):
    """Raised by SIGTERM: the current training writes a checkpoint and stops, as after an interrupt."""

    signum = signal.SIGTERM


def _terminate(signum: int, frame: object) -> None:
    raise Terminated


def show(document: dict[str, Any]) -> None:
    """Print the table, and the path of the report."""
    from thalweg.cli.tables import print_report

    print_report(document)
    print(f"report: {document['folder']}/report.html")
    if document["failed"]:
        print(f"trainings that failed: {document['failed']}; the report has the reasons")
        if document["untrained"]:
            print(f"{document['untrained']} of them wrote no model; the same command trains them again")
