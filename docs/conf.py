"""Sphinx settings."""

import thalweg

project = "Thalweg"
author = "The Thalweg authors"
copyright = author
release = version = thalweg.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
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
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
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
    Path(__file__).with_name("systems.md").write_text("\n".join(lines))


def _write_measures() -> None:
    """Make measures-table.md: every measure, what it needs and what it means."""
    from pathlib import Path

    from thalweg.evaluation.groups import GROUPS

    lines = ["| measure | needs | means |", "|---|---|---|"]
    for group in GROUPS:
        lines += [f"| {name} | {group.wanted} | {meaning} |" for name, meaning in group.meanings.items()]
    Path(__file__).with_name("measures-table.md").write_text("\n".join(lines) + "\n")


_write_systems()
_write_measures()
