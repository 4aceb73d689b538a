"""`thalweg resume DIR`: resume a run exactly where it stopped."""

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
    """The run folder, and how far to go."""
    made = Parser("resume", f"{HELP}, from its saved configuration", usage="resume DIR")
    made.aliases["run"] = "DIR"
    made.positional("dir", "a run folder")
    budget = [
        Option("steps", int, None, "steps to reach in all (default: what the run was to have)"),
        Option("minutes", float, None, "minutes of training in all, in place of steps"),
    ]
    made.group("run", budget)
    made.group("data", [Option("data", str, None, "where the run's data are now, if they were moved", ("--data",))])
    return made


def run(given: dict[str, Any]) -> dict[str, Any]:
    """Go on, and say what the run came to."""
    from thalweg.checks import positive
    from thalweg.recipes import runs
    from thalweg.training.progress import progress

    budget = {name: positive(name, given[name]) for name in ("steps", "minutes") if name in given}
    if len(budget) > 1:
        raise ValueError(f"minutes: got {given['minutes']} beside steps, wanted one of them")
    folder = Path(given["dir"])
    with resumable(folder):
        runs.resume(folder, **budget, data=given.get("data"), progress=progress(), warn=warn)
    return summary(folder)
