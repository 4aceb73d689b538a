"""The notebooks of examples/ run from the first cell to the last, and are stored without outputs."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))


def cells(notebook: Path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]


def run_cells(notebook: Path) -> tuple[dict[str, Any], list[Any]]:
    """Return the names that the cells define, and what the last lines of cells show, without Jupyter."""
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = []
    for cell in cells(notebook):
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, notebook.name, "exec"), names)
        if last is not None:
            shown.append(eval(compile(ast.Expression(last.value), notebook.name, "eval"), names))
    return names, [one for one in shown if one is not None]


@pytest.mark.system("S107")
@pytest.mark.system("S109")
@pytest.mark.system("S110")
def test_look_inside(capsys: pytest.CaptureFixture[str]) -> None:
    """It shows six pictures; the classifier is good, ascent reaches its classes and some images change their class."""
    names, shown = run_cells(next(path for path in NOTEBOOKS if path.stem == "look_inside"))
    assert [result.method for result in shown] == ["saliency", "guided", "guided", "occlusion", "ascend", "adversary"]
    assert all(result._repr_png_().startswith(b"\x89PNG") for result in shown)
    assert names["accuracy"] > 0.9
    assert names["alike"] > 0.5  # of guided backpropagation for two classes, which the text says
    assert names["found"].probability[0] > 0.9
    assert names["attacked"].extra["success"].any()
    assert "accuracy: 9" in capsys.readouterr().out


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_not_stored(notebook: Path) -> None:
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells(notebook))
