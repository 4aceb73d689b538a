"""The benchmarks: which scripts there are, and what happens where another library is not installed."""

import ast
import importlib
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1] / "benchmarks"


def test_make_bench_runs_every_script_of_speed() -> None:
    reporting = {path.stem for path in (ROOT / "speed").glob("*.py") if "import alternate" in path.read_text()}
    scripts = runpy.run_path(str(ROOT / "speed" / "run.py"))["SCRIPTS"]
    assert sorted(scripts) == sorted(reporting)


def test_a_peer_that_is_not_installed_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "speed"))
    import peers

    script = tmp_path / "peer.py"
    script.write_text("import a_package_that_does_not_exist\n")
    for line in ("one", "two"):
        assert peers.theirs(Path(sys.executable), "missing", str(script), line) is None
    assert peers.theirs(None, "missing", str(script)) is None
    assert capsys.readouterr().out == "missing is not available here: its lines are left out\n"


@pytest.mark.parametrize("folder", ["benchmarks/quality", "benchmarks/speed", "docs"])
def test_scripts_import_only_what_the_library_has(folder: str) -> None:
    missing = []
    for path in sorted((ROOT.parent / folder).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("thalweg"):
                module = importlib.import_module(node.module)
                missing += [f"{path.name}: {node.module}.{n.name}" for n in node.names if not _has(module, n.name)]
    assert not missing


def _has(module: ModuleType, name: str) -> bool:
    return hasattr(module, name) or (hasattr(module, "__path__") and bool(find_spec(f"{module.__name__}.{name}")))
