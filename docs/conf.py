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
from tables_of_code import abilities_table, measures_table, systems_page  # noqa: E402

project = "Thalweg"
author = "The Thalweg authors"
copyright = author
release = version = thalweg.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["colon_fence"]  # formulas are Unicode: MathJax would need a network
autodoc_typehints = "description"
autodoc_member_order = "bysource"
exclude_patterns = ["_build", "measures-table.md", "abilities-table.md"]  # the tables are included in other pages
default_role = "code"  # text in single backticks is code
html_theme = "furo"
html_title = "Thalweg"
suppress_warnings = ["ref.python"]  # of annotations: two modules may have classes of the same name


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


# Every build generates these pages; git ignores them.
GENERATED = {
    "results.md": results_page,
    "speed.md": speed_page,
    "systems.md": systems_page,
    "measures-table.md": measures_table,
    "abilities-table.md": abilities_table,
}
for name, page in GENERATED.items():
    (DOCS / name).write_text(page())
api_pages.write(DOCS / "api")
