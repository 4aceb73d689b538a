"""`thalweg compare RECIPE... --data D`: models of different families, side by side. The main job."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option, options_of_dataclass
from thalweg.cli.shared import add_data, data_config
from thalweg.comparison.plan import Candidate, Measuring, Plan
from thalweg.config import TrainConfig
from thalweg.recipes import FAMILIES

HELP = "train models of different families on the same data under the same budget, and measure all alike"


def parser(arguments: list[str]) -> Parser:
    """The recipes, the data, the budget, and how to measure."""
    listed = "\n".join(f"  {family:<14} {', '.join(table)}" for family, table in FAMILIES.items())
    made = Parser(
        "compare",
        f"{HELP}\n\nA recipe may have options of its own: vae:latent_dim=2,lr=1e-3\n\nrecipes:\n{listed}",
        usage="compare RECIPE... --data D",
    )
    made.positional("recipe", "one or more recipes", many=True)
    add_data(made)
    fields = {option.name: option for option in options_of_dataclass(TrainConfig)}
    made.group(
        "budget (what is not given, each recipe chooses)",
        [
            Option("minutes", float, None, "of training, for each model and seed"),
            Option("steps", int, None, fields["steps"].help),
            Option("examples", int, None, fields["examples"].help),
            Option("seeds", int, 1, "trainings of each model, from seed 0; from 2 on intervals are over seeds"),
            fields["device"],
        ],
    )
    made.group("measuring", [o for o in options_of_dataclass(Measuring) if o.name != "seed"])
    made.group(
        "comparison",
        [
            Option("out", str, None, "folder of the comparison (default: runs/compare-RECIPES-DATA)"),
            Option("overwrite", bool, False, "begin again, in place of the comparison that is in the folder"),
            Option("ray", str, None, "address of a Ray cluster to spread the trainings over: auto, local, host:port"),
        ],
    )
    return made


def run(given: dict[str, Any]) -> dict[str, Any]:
    """Train, measure, and return the report."""
    data = data_config(given)
    if data is None:
        raise ValueError("source: got nothing, wanted data to compare on (see thalweg data list)")
    models = tuple(Candidate.read(text) for text in given.get("recipe", []))
    train = TrainConfig(**{f: given[f] for f in ("minutes", "steps", "examples", "device") if f in given})
    measuring = Measuring(**{f: given[f] for f in Measuring.__dataclass_fields__ if f in given})
    plan = Plan(models=models, data=data, seeds=given.get("seeds", 1), train=train, measuring=measuring)
    folder = Path(given["out"]) if "out" in given else plan.default_folder()

    from thalweg.comparison import compare

    try:
        signal.signal(signal.SIGTERM, _terminate)
        report = compare(
            plan,
            folder,
            command=given["command"],
            overwrite=given.get("overwrite", False),
            ray=given.get("ray"),
        )
    except (KeyboardInterrupt, Terminated) as stop:
        raise type(stop)("interrupted; the same command resumes") from None
    failed = sum(seed["state"] == "failed" for model in report["models"] for seed in model["seeds"])
    return report | {"folder": str(folder), "failed": failed}


class Terminated(BaseException):
    """SIGTERM: the training that runs writes a checkpoint and stops, as at an interrupt."""

    signum = signal.SIGTERM


def _terminate(signum: int, frame: object) -> None:
    raise Terminated


def show(document: dict[str, Any]) -> None:
    """Print the table, and where the report is."""
    from thalweg.cli.tables import print_report

    print_report(document)
    print(f"report: {document['folder']}/report.html")
    if document["failed"]:
        print(f"trainings that failed: {document['failed']}; the same command tries them again")
