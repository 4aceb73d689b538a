"""The list of systems, and how marks of tests are read."""

import json
import textwrap

from course.scan import read_marks
from course.systems import ORACLES, SYSTEMS
from course.table import main


def test_numbers_run_through():
    assert list(SYSTEMS) == [f"S{i}" for i in range(1, 112)]
    assert list(ORACLES) == [f"O{i}" for i in range(1, 64)]
    assert all(SYSTEMS.values())
    assert all(ORACLES.values())


def test_marks_are_read(tmp_path):
    (tmp_path / "tests" / "models").mkdir(parents=True)
    (tmp_path / "tests" / "models" / "test_a.py").write_text(
        textwrap.dedent("""
            import pytest
            from thalweg.models.classifiers.lenet5 import LeNet5 as Net
            from thalweg.nn.dense import mlp
            from numpy import array

            TABLE = [pytest.param(1, marks=pytest.mark.oracle("O9"))]

            @pytest.mark.system("S16")
            @pytest.mark.oracle("O14")
            def test_count():
                assert Net and array

            class TestMore:
                @pytest.mark.system("S16")
                def test_one(self):
                    assert mlp
            """)
    )
    marked = read_marks(tmp_path)
    path = "tests/models/test_a.py"
    assert marked["S16"].tests == [f"{path}::test_count", f"{path}::TestMore"]
    assert marked["S16"].uses == ["thalweg.models.classifiers.lenet5", "thalweg.nn.dense"]
    assert marked["O14"].tests == [f"{path}::test_count"]
    assert marked["O9"].tests == [path]


def test_systems(capsys):
    assert main(["--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    entries = {e["number"]: e for e in document["systems"] + document["oracles"]}
    assert len(entries) == 111 + 63
    assert any("test_verbs.py" in test for test in entries["S5"]["tests"])
    assert document["unknown_marks"] == []


def test_missing(capsys):
    assert main(["--missing"]) == 0
    out = capsys.readouterr().out
    assert "checked by tests" in out
    assert "S5 " not in out
