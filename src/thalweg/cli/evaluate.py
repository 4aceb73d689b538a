"""`thalweg evaluate DIR`: all measures that the model's abilities allow, beside the baselines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import options_of_dataclass
from thalweg.cli.shared import add_data, data_config, device_option, warn
from thalweg.comparison.plan import Measuring

if TYPE_CHECKING:
    from thalweg.data import Dataset
    from thalweg.recipes.runs import Opened

HELP = "evaluate a trained model by all measures that its abilities allow, beside baselines"


def parser(arguments: list[str]) -> Parser:
    """Return the parser: the run folder, the data, and the settings of the evaluation."""
    result = Parser(
        "evaluate",
        f"{HELP}\n\nAlso writes report.json and report.html into the run folder.",
        usage="evaluate DIR [--data D]",
    )
    result.aliases["run"] = "DIR"
    result.positional("dir", "a run folder")
    add_data(result)
    result.group("measuring", [*options_of_dataclass(Measuring), device_option()])
    return result


def run(arguments: dict[str, Any]) -> dict[str, Any]:
    """Evaluate the run's model on its own data, or on other data of the same kind, and return the report."""
    measuring = Measuring(**{f: arguments[f] for f in Measuring.__dataclass_fields__ if f in arguments})
    other = data_config(arguments)

    from thalweg.comparison.measure import Evaluator
    from thalweg.comparison.side_by_side import evaluate_run
    from thalweg.data.dataset import same_kind
    from thalweg.recipes.runs import open_run

    opened = open_run(arguments["dir"], device="cpu")
    dataset = opened.data(other)
    same_kind(dataset.spec, opened.spec)
    if other is not None:
        dataset = replace(dataset, own=_own(opened, dataset))
    evaluator = Evaluator(dataset, measuring, device=arguments.get("device", "auto"), log=warn)
    report = evaluate_run(arguments["dir"], evaluator, opened.config, command=arguments["command"], log=warn)
    return report | {"folder": str(arguments["dir"])}


def _own(opened: Opened, other: Dataset) -> Dataset:
    """Return the data that the model was trained on, or a data set without examples if they can no longer be read."""
    try:
        return opened.data()
    except (ValueError, OSError) as error:
        warn(f"the run's own data cannot be read: {error}")
    none = replace(other.train, x=other.train.x[:0], y=None, factors={}, index=None)
    return replace(other, spec=opened.spec, train=none, validation=none, test=none)


def show(document: dict[str, Any]) -> None:
    """Print the table, and the path of the report."""
    from thalweg.cli.tables import print_report

    print_report(document)
    print(f"report: {document['folder']}/report.html")
