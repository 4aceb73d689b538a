"""`thalweg resume DIR`: go on with a run exactly where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option
from thalweg.cli.shared import warn
from thalweg.cli.train import resumable, show, summary

__all__ = ["HELP", "parser", "run", "show"]

HELP = "go on with a run exactly where it stopped"


def parser(arguments: list[str]) -> Parser:
    """The run folder, and how far to go."""
    made = Parser("resume", f"{HELP}, from its saved configuration", usage="resume DIR")
    made.aliases["run"] = "DIR"
    made.positional("dir", "a run folder")
    made.group("run", [Option("steps", int, None, "steps to reach in all (default: what the run was to have)")])
    return made


def run(given: dict[str, Any]) -> dict[str, Any]:
    """Go on, and say what the run came to."""
    from thalweg.checks import positive
    from thalweg.recipes import runs
    from thalweg.training.progress import progress

    steps = given.get("steps")
    if steps is not None:
        positive("steps", steps)
    folder = Path(given["dir"])
    with resumable(folder):
        runs.resume(folder, steps=steps, progress=progress(), warn=warn)
    return summary(folder)
