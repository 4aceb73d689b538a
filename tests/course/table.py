"""The systems of the course, what implements them, and which tests check them: `python tests/course/table.py`.

With `--missing` only those without a test, with `--json` everything, and with `--oracles` the numeric oracles as well.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from course.scan import MarkedTests, read_marks
from course.systems import ORACLES, SYSTEMS

ROOT = Path(__file__).resolve().parents[2]


def table(missing: bool = False) -> dict[str, Any]:
    """Read the marks of the tests."""
    marked = read_marks(ROOT)

    def entries(titles: dict[str, str]) -> list[dict[str, Any]]:
        rows = []
        for number, name in titles.items():
            entry = marked.get(number, MarkedTests())
            if not (missing and entry.tests):
                rows.append({"number": number, "name": name, "implemented_by": entry.uses, "tests": entry.tests})
        return rows

    return {
        "systems": entries(SYSTEMS),
        "oracles": entries(ORACLES),
        "checked": {
            kind: sum(name in marked for name in t) for kind, t in (("systems", SYSTEMS), ("oracles", ORACLES))
        },
        "unknown_marks": sorted(set(marked) - set(SYSTEMS) - set(ORACLES)),
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
        print(f"{kind}: {document['checked'][kind]} of {len(titles)} checked by tests")
        without = [e["number"] for e in document[kind] if not e["tests"]]
        if without:
            print(f"  none: {' '.join(without)}")
    if document["unknown_marks"]:
        print(f"unknown marks: {' '.join(document['unknown_marks'])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
