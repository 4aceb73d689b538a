"""`thalweg resume DIR`: continue a run exactly where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option
from thalweg.cli.shared import warn
from thalweg.cli.train import resumable, show, summary

__all__ = ["HELP", "parser", "run", "show"]

HELP = "resume a run exactly where it stopped"


def parser(arguments: list[str]) -> Parser:
    """Return the parser: the run folder, and the new budget."""
    result = Parser("resume", f"{HELP}, from its saved configuration", usage="resume DIR")
    result.aliases["run"] = "DIR"
    result.positional("dir", "a run folder")
    budget = [
        Option("steps", int, None, "total number of steps (default: that of the run)"),
        Option("minutes", float, None, "total minutes of training, in place of steps"),
    ]
    result.group("run", budget)
    result.group("data", [Option("data", str, None, "new path of the run's data, if they were moved", ("--data",))])
    return result


def run(arguments: dict[str, Any]) -> dict[str, Any]:
    """Continue the run, and return its summary."""
    from thalweg.checks import positive
    from thalweg.recipes import runs
    from thalweg.training.progress import progress

    budget = {name: positive(name, arguments[name]) for name in ("steps", "minutes") if name in arguments}
    if len(budget) > 1:
        raise ValueError(f"minutes: got {arguments['minutes']} beside steps, wanted one of them")
    folder = Path(arguments["dir"])
    with resumable(folder):
        runs.resume(folder, **budget, data=arguments.get("data"), progress=progress(), warn=warn)
    return summary(folder)
