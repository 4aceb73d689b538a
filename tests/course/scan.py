"""Which tests check which system of the course: read from the source tree by `ast`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["MarkedTests", "read_marks"]

MARKS = ("system", "oracle")
ROOMS = ("models", "objectives", "inference", "problems", "nn", "training", "evaluation")  # what says most comes first
SHARED: tuple[list[str], ...] = ([], ["checks"], ["cli"], ["config"], ["randomness"], ["recipes"])


@dataclass
class MarkedTests:
    """Tests that carry a mark, and what of the library they use."""

    tests: list[str] = field(default_factory=list)
    uses: list[str] = field(default_factory=list)


def read_marks(root: Path) -> dict[str, MarkedTests]:
    """Return by mark ("S16", "O12") the tests that carry it: of a function, a class, a parameter or a whole file."""
    result: dict[str, MarkedTests] = {}
    for path, tree in _files(root):
        imported = _imports(tree)
        for names, node, test in _marked(tree, path):
            used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} & set(imported)
            for name in names:
                entry = result.setdefault(name, MarkedTests())
                entry.tests += [test] if test not in entry.tests else []
                entry.uses += {imported[u] for u in used} - set(entry.uses)
    for entry in result.values():
        entry.uses.sort(key=lambda module: (_rank(module.split(".")[1]), module))
    return result


def _rank(room: str) -> int:
    return ROOMS.index(room) if room in ROOMS else len(ROOMS)


def _files(root: Path) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((root / "tests").rglob("*.py")):
        yield str(path.relative_to(root)), ast.parse(path.read_text(encoding="utf-8"), str(path))


def _marked(tree: ast.Module, path: str) -> Iterator[tuple[list[str], ast.AST, str]]:
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names = _names(node)
            if names:
                yield names, node, f"{path}::{node.name}"
        elif names := _names(node):
            # pytestmark, or a table of parameters: the whole file is what it says
            yield names, tree, path


def _names(node: ast.AST) -> list[str]:
    """The names in `mark.system(...)` and `mark.oracle(...)` anywhere within the node."""
    return [
        argument.value
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in MARKS
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]


def _imports(tree: ast.Module) -> dict[str, str]:
    """Names of the file that come from the library → the modules that implement them; what all share is left out."""
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        parts = node.module.split(".")
        if parts[0] == "thalweg" and parts[1:2] not in SHARED:
            imported |= {alias.asname or alias.name: node.module for alias in node.names}
    return imported
