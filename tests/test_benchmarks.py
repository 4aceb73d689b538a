"""The benchmarks: which scripts there are, and what happens where another library is not installed."""

import runpy
import sys
from pathlib import Path

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
