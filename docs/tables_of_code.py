"""Pages and tables that are generated from the source: the systems of the course, the measures, the abilities."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from tables import table

ROOT = Path(__file__).parents[1]


def systems_page() -> str:
    """Return the page systems.md: the systems of the course, their modules, and their tests."""
    sys.path.insert(0, str(ROOT / "tests"))
    from course.table import table as course

    document = course()
    lines = [
        "# Systems of the course",
        "",
        "The systems that four lecture courses on deep learning describe, the modules of the library that implement",
        "them, and their tests. Oracles are numbers of the lectures that tests reproduce.",
        "",
    ]
    for kind in ("systems", "oracles"):
        lines += [f"## {kind.capitalize()}: {document['checked'][kind]} of {len(document[kind])} have tests", ""]
        rows = []
        for entry in document[kind]:
            modules = ", ".join(f"`{name.removeprefix('thalweg.')}`" for name in entry["implemented_by"][:5])
            tests = ", ".join(sorted({test.split("::")[0].removeprefix("tests/") for test in entry["tests"]}))
            rows.append((entry["number"], entry["name"], modules, tests))
        lines += table(("", "name", "modules", "tests"), rows)
    return "\n".join(lines)


def measures_table() -> str:
    """Return measures-table.md: every measure, the abilities that it needs, and its meaning."""
    from thalweg.evaluation.groups import GROUPS

    rows = [(name, group.wanted, meaning) for group in GROUPS for name, meaning in group.meanings.items()]
    return "\n".join(table(("measure", "needs", "meaning"), rows))


def abilities_table() -> str:
    """Return abilities-table.md: every method that a model may have, and what it returns."""
    from thalweg.abilities import ABILITIES

    rows = []
    for name, ability in ABILITIES.items():
        method = inspect.getattr_static(ability, name)
        parameters = [] if isinstance(method, property) else [*inspect.signature(method).parameters][1:]
        arguments = f"({', '.join(parameters)})" if parameters else ""
        rows.append((f"`{name}{arguments}`", " ".join(inspect.getdoc(ability).split())))
    return "\n".join(table(("method", "returns"), rows))
