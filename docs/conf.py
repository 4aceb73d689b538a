"""Settings of Sphinx, and the pages that are generated before a build."""

import re
import sys
from pathlib import Path
from typing import Any

import thalweg

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

import api_pages  # noqa: E402
from results_page import results_page  # noqa: E402
from speed_page import speed_page  # noqa: E402

project = "Thalweg"
author = "The Thalweg authors"
copyright = author
release = version = thalweg.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["colon_fence"]  # formulas are Unicode: MathJax would need a network
autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_mock_imports: list[str] = []
exclude_patterns = ["_build", "measures-table.md"]
default_role = "code"  # what stands in backticks is code, as in the sources
html_theme = "furo"
html_title = "Thalweg"
suppress_warnings = ["autodoc.mocked_object"]


def _write_systems() -> None:
    """Make systems.md: the systems of the course and which tests hold them."""
    sys.path.insert(0, str(DOCS.parent / "tests"))
    from course.table import table

    document = table()
    lines = ["# Systems", ""]
    lines += ["What four lecture courses on deep learning describe, the modules behind it, the tests that hold it.", ""]
    for kind in ("systems", "oracles"):
        lines += [f"## {kind.capitalize()}: {document['held'][kind]} of {len(document[kind])} held", ""]
        lines += ["| | name | implemented by | tests |", "|---|---|---|---|"]
        for entry in document[kind]:
            modules = ", ".join(f"`{name.removeprefix('thalweg.')}`" for name in entry["implemented_by"][:5])
            tests = ", ".join(sorted({test.split("::")[0].removeprefix("tests/") for test in entry["tests"]}))
            lines.append(f"| {entry['number']} | {entry['name'].replace('|', chr(92) + '|')} | {modules} | {tests} |")
        lines.append("")
    (DOCS / "systems.md").write_text("\n".join(lines))


def _write_measures() -> None:
    """Make measures-table.md: every measure, what it needs and what it means."""
    from thalweg.evaluation.groups import GROUPS

    lines = ["| measure | needs | means |", "|---|---|---|"]
    for group in GROUPS:
        lines += [f"| {name} | {group.wanted} | {meaning} |" for name, meaning in group.meanings.items()]
    (DOCS / "measures-table.md").write_text("\n".join(lines) + "\n")


def _escape(app: object, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Escape what docstrings mean literally: the asterisk of a shape (B, *shape) and the bars of |det J|."""
    example = False
    for i, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if not example:
            parts = re.sub(r"(?<=[(\s])\*(?=\w+[,)])", r"\\*", line).split("`")
            parts[::2] = [part.replace("|", "\\|") for part in parts[::2]]  # outside of `code`
            lines[i] = "`".join(parts)


def setup(app: Any) -> None:
    """Let autodoc escape the docstrings that it reads."""
    app.connect("autodoc-process-docstring", _escape)


_write_systems()
_write_measures()
api_pages.write(DOCS / "api")
(DOCS / "results.md").write_text(results_page())
(DOCS / "speed.md").write_text(speed_page())
