"""`thalweg systems`: the systems of the course, what implements them, and which tests hold them."""

from __future__ import annotations

from typing import Any

from thalweg.cli.arguments import Parser
from thalweg.cli.course import ORACLES, SYSTEMS
from thalweg.cli.options import Option
from thalweg.cli.scan import Found, source_tree, tests_of
from thalweg.cli.shared import print_table

HELP = "list the systems of the course, and which tests hold them"


def parser(arguments: list[str]) -> Parser:
    """Nothing but --oracles and --missing."""
    made = Parser("systems", f"{HELP}\n\nTests are found in the source tree, by their marks.", usage="systems")
    options = [
        Option("oracles", bool, False, "list the numeric oracles too"),
        Option("missing", bool, False, "list only what no test holds"),
    ]
    made.group("listing", options)
    return made


def run(given: dict[str, Any]) -> dict[str, Any]:
    """Read the marks of the tests."""
    root = source_tree()
    held = tests_of(root) if root else {}
    missing = given.get("missing", False)

    def entries(titles: dict[str, str]) -> list[dict[str, Any]]:
        rows = []
        for number, name in titles.items():
            found = held.get(number, Found())
            if not (missing and found.tests):
                rows.append({"number": number, "name": name, "implemented_by": found.uses, "tests": found.tests})
        return rows

    return {
        "systems": entries(SYSTEMS),
        "oracles": entries(ORACLES),
        "show_oracles": given.get("oracles", False),
        "held": {kind: sum(name in held for name in t) for kind, t in (("systems", SYSTEMS), ("oracles", ORACLES))},
        "unknown_marks": sorted(set(held) - set(SYSTEMS) - set(ORACLES)),
        "source_tree": root is not None,
    }


def show(document: dict[str, Any]) -> None:
    """Print a table, and which have no test."""
    shown = document["systems"] + (document["oracles"] if document["show_oracles"] else [])
    rows = [[e["number"], e["name"], _short(e["implemented_by"]), len(e["tests"]) or "-"] for e in shown]
    print_table("systems of the course", ["", "name", "implemented by", "tests"], rows)
    if not document["source_tree"]:
        print("This is not a source tree: its tests are not here to be read.")
    for kind, titles in (("systems", SYSTEMS), ("oracles", ORACLES)):
        print(f"{kind}: {document['held'][kind]} of {len(titles)} held by tests")
        without = [e["number"] for e in document[kind] if not e["tests"]]
        if without:
            print(f"  none: {' '.join(without)}")
    if document["unknown_marks"]:
        print(f"marks of nothing: {' '.join(document['unknown_marks'])}")


def _short(names: list[str]) -> str:
    return ", ".join(name.removeprefix("thalweg.") for name in names[:3]) + (" ..." if len(names) > 3 else "")
