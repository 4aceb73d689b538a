"""The systems of the course, what implements them, and which tests hold them: `python tests/course/table.py`.

With `--missing` only those without a test, with `--json` everything, and with `--oracles` the numeric oracles as well.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from course.scan import Found, tests_of
from course.systems import ORACLES, SYSTEMS

ROOT = Path(__file__).resolve().parents[2]


def table(missing: bool = False) -> dict[str, Any]:
    """Read the marks of the tests."""
    held = tests_of(ROOT)

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
        "held": {kind: sum(name in held for name in t) for kind, t in (("systems", SYSTEMS), ("oracles", ORACLES))},
        "unknown_marks": sorted(set(held) - set(SYSTEMS) - set(ORACLES)),
    }


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    for flag in ("oracles", "missing", "json"):
        parser.add_argument(f"--{flag}", action="store_true")
    arguments = parser.parse_args(argv)
    document = table(arguments.missing)
    if arguments.json:
        print(json.dumps(document))
        return 0
    for entry in document["systems"] + (document["oracles"] if arguments.oracles else []):
        modules = ", ".join(name.removeprefix("thalweg.") for name in entry["implemented_by"][:3])
        print(f"{entry['number']:<5} {len(entry['tests']) or '-':>3}  {entry['name']}  [{modules}]")
    for kind, titles in (("systems", SYSTEMS), ("oracles", ORACLES)):
        print(f"{kind}: {document['held'][kind]} of {len(titles)} held by tests")
        without = [e["number"] for e in document[kind] if not e["tests"]]
        if without:
            print(f"  none: {' '.join(without)}")
    if document["unknown_marks"]:
        print(f"unknown marks: {' '.join(document['unknown_marks'])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
