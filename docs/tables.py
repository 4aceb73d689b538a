"""What the generated pages of the documentation share: the stored results, and Markdown tables of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from thalweg.evaluation.estimates.estimate import Estimate

STORED = Path(__file__).parents[1] / "benchmarks"
MISSING = "not recorded"
Row = Sequence[object]


def stored(kind: str) -> dict[str, Any]:
    """Return every stored result of `quality` or `speed` by the name of its file, without the suffix."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((STORED / kind / "results").glob("*.json"))}


def table(header: Row, rows: Iterable[Row]) -> list[str]:
    """Return the lines of a Markdown table, followed by an empty line."""
    lines = [
        " | ".join(str(cell).replace("|", "\\|") for cell in row) for row in (header, ["---"] * len(header), *rows)
    ]
    return [f"| {line} |" for line in lines] + [""]


def text(estimate: dict[str, Any]) -> str:
    """Return the value with its 95 % interval and unit, `≤` or `≥` before a bound."""
    return str(Estimate.from_json(estimate))


def command(lines: Sequence[str]) -> str:
    """Return shell commands as code, separated by semicolons."""
    return "; ".join(f"`{line}`" for line in lines)


def seed(line: str) -> str:
    """Return the training seed of a command: the one that it names, or the default."""
    named = re.search(r"--seed (\d+)", line)
    return named.group(1) if named else "0"
