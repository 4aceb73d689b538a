"""The pages api/ROOM.md: every public module of the library, with signatures and docstrings by sphinx.ext.autodoc."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "thalweg"
GROUND = "foundations"  # the page of the modules that are in no folder
# the pages in the order of the table of contents: folder → what it holds
ROOMS = {
    "data": "Sources of raw examples, their specification, and the batches that are drawn from them.",
    "models": "Models as plain PyTorch modules, one file for each paper.",
    "nn": "Layers and transforms that the models are built from.",
    "objectives": "Losses and divergences as pure functions, one value per example.",
    "problems": "A model and an objective: the players of a training and the loss of each.",
    "training": "The engine: players, updates, the loop, checkpoints and run folders.",
    "recipes": "Complete runs by name, ready to train.",
    "inference": "Estimators: posteriors of single examples, kernel densities, gradients of expectations, W₁.",
    "autodiff": "Automatic differentiation of scalars, to be read: a graph, forward mode and reverse mode.",
    "evaluation": "Measures of trained models, each an estimate with its interval.",
    "interpretability": "Methods that look inside networks of images: one `Probe` for any module.",
    "applications": "Uses of a trained run.",
    "comparison": "The training and measuring of several models under one budget.",
    "report": "The report page of a comparison: tables, charts and pictures.",
    "demos": "Studies of the course: functions that compute a figure.",
    "cli": "The command line, one file for each verb.",
    GROUND: "Settings, randomness, devices, files and the abilities of models.",
}


def modules(room: str) -> list[str]:
    """Return the dotted names of the public modules of a room, packages before their modules."""
    files = SOURCE.glob("*.py") if room == GROUND else (SOURCE / room).rglob("*.py")
    names = set()
    for file in files:
        parts = file.relative_to(SOURCE).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if parts and not any(part.startswith("_") for part in parts):
            names.add(".".join(("thalweg", *parts)))
    return sorted(names)


def names(module: str) -> tuple[list[str], list[str]]:
    """Return the names in the `__all__` of a module that it defines itself, and those that it imports."""
    file = SOURCE.parent.joinpath(*module.split("."))
    file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
    public: list[str] = []
    defined = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
            defined.add(target)
            if target == "__all__" and node.value:
                public = list(ast.literal_eval(node.value))
    return [name for name in public if name in defined], [name for name in public if name not in defined]


def page(room: str) -> str:
    """Return the page of a room in Markdown."""
    lines = [f"# {room}", "", ROOMS[room], ""]
    for module in modules(room):
        own, imported = names(module)
        members = [f"   :members: {', '.join(own)}"] if own else []
        lines += [f"## {module}", "", "```{eval-rst}", f".. automodule:: {module}", *members, "```", ""]
        if imported:
            lines += [f"Also here: {', '.join(f'`{name}`' for name in imported)}.", ""]
    return "\n".join(lines)


def write(folder: Path) -> None:
    """Write the pages of all rooms."""
    folder.mkdir(exist_ok=True)
    for room in ROOMS:
        (folder / f"{room}.md").write_text(page(room))
