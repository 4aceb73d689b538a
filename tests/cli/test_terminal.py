"""Standard streams that are closed or have few signs, and files of the current folder that must not run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from fake_report import report
from thalweg.cli.tables import print_report

HERE = [sys.executable, "-m", "thalweg"]
MODULES = ("random", "json", "torch", "numpy", "typing", "safetensors", "argparse", "thalweg_recipes")


def run(arguments: list[str], **settings: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*HERE, *arguments], capture_output=True, **settings)  # type: ignore[call-overload]


@pytest.mark.parametrize("encoding", ["ascii", "latin1", "cp1252", "utf-8"])
def test_a_table_is_printed_in_any_encoding(encoding: str) -> None:
    done = run(["models"], env={**os.environ, "PYTHONIOENCODING": encoding})
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode(encoding)
    assert "real-nvp" in text


def test_a_report_is_printed_in_ascii(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from thalweg.cli.terminal import prepare_streams;"
        "prepare_streams(); from fake_report import report; from thalweg.cli.tables import print_report;"
        "print_report(report())"
    )
    tests = str(Path(__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", code, tests], capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    assert done.returncode == 0, done.stderr
    assert b"* best model" in done.stdout
    assert b"+/-" in done.stdout
    assert b"?" not in done.stdout.replace(b"Fr?chet", b"")


def test_rows_with_the_same_name_are_printed_with_their_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(report(["vae", "gaussian"]))
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    first, second = (i for i, line in enumerate(lines) if line.startswith("bits/dim"))
    assert lines[first + 1] == "(upper bound)"
    assert lines[second + 1] == "(exact, quantity: density)"
    assert not lines[next(i for i, line in enumerate(lines) if line.startswith("recall")) + 1].startswith("(")


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_are_no_error_and_no_file_is_overwritten(tmp_path: Path, closed: str) -> None:
    out = tmp_path / "list.json"
    command = f"{sys.executable} -m thalweg models --json {closed}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    if "1" not in closed and not closed.startswith(">"):
        assert json.loads(done.stdout)
    assert not out.exists()


def test_files_of_the_current_folder_are_never_imported(tmp_path: Path) -> None:
    """Each module of the folder would write a file named after it."""
    for name in MODULES:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r} + '-{name}', 'w')\n")
    settings = "--data digits --steps 2 --limit 20 --samples 20 --temperatures 0 --features pixels --device cpu"
    done = run(["compare", "softmax-regression", *settings.split(), "--out", "out"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").is_file()
    assert not list(tmp_path.glob("ran-*"))


def hostile(folder: Path, names: Iterable[str]) -> None:
    """Fill the folder with modules, each of which notes its name when it is run, and fails."""
    for name in names:
        note = f"open({str(folder / 'ran.txt')!r}, 'a').write({name!r} + ' ')"
        (folder / f"{name}.py").write_text(f"{note}\nraise ImportError('a file of the current folder')\n")


def test_python_m_runs_no_module_that_python_itself_does_not(tmp_path: Path) -> None:
    """Python imports some modules from the current folder before any of ours; beyond them there must be none."""
    code = "import sys, runpy; print(*sys.modules)"  # what `python -m` has loaded when a package begins
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path).stdout.split()
    names = (set(sys.stdlib_module_names) | {"torch", "numpy", "safetensors", "sitecustomize"}) - set(loaded)
    assert {"typing", "json", "random"} <= names
    hostile(tmp_path, names)
    done = run(["models"], cwd=tmp_path)
    assert not (tmp_path / "ran.txt").exists(), (tmp_path / "ran.txt").read_text()
    assert done.returncode == 0, done.stderr
