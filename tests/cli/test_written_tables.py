"""Tables that verbs write are read back as they were: RFC 4180, no cell that a spreadsheet computes, labels as text."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pytest

from thalweg.applications.files import write_rows
from thalweg.cli import main

PLAIN = [
    "a",
    "a b",
    "ä",
    "a,b",
    'say "x"',
    "two\nlines",
    "two\r\nlines",
    "mac\rlines",
    "",
    " a ",
    "'a",
    "a=1",
    "1-2",
    "#a",
]
COMPUTED = ["=1+1", "+a", "-a", "@SUM(A1)", "=cmd|' /C calc'!A0", '=HYPERLINK("x","y")', "-1+2"]
NUMBERS = ["-1", "+5", "-1e9", "-inf", "0007"]


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("text", [*PLAIN, *NUMBERS])
def test_text_is_read_back_as_it_was(tmp_path: Path, text: str) -> None:
    write_rows(tmp_path / "t.csv", ["first", text], [["x", text], [text, "y"]])
    assert read(tmp_path / "t.csv") == [["first", text], ["x", text], [text, "y"]]


@pytest.mark.parametrize("text", COMPUTED)
def test_formulas_are_written_as_text(tmp_path: Path, text: str) -> None:
    write_rows(tmp_path / "t.csv", ["first", text], [["x", text]])
    assert read(tmp_path / "t.csv") == [["first", f"'{text}"], ["x", f"'{text}"]]


@pytest.mark.parametrize("text", [*PLAIN, *COMPUTED])
def test_another_reader_reads_the_same(tmp_path: Path, text: str) -> None:
    write_rows(tmp_path / "t.csv", ["a", "b"], [[text, 1], ["x", 2]])
    options = pyarrow.csv.ParseOptions(newlines_in_values=True)
    convert = pyarrow.csv.ConvertOptions(column_types={"a": pyarrow.string()}, strings_can_be_null=False)
    table = pyarrow.csv.read_csv(tmp_path / "t.csv", parse_options=options, convert_options=convert)
    assert table["a"].to_pylist() == [f"'{text}" if text in COMPUTED else text, "x"]
    assert table["b"].to_pylist() == [1, 2]


def test_numbers_keep_all_digits(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=50) * 10.0 ** np.arange(-25, 25)
    write_rows(tmp_path / "t.csv", ["x"], [[value] for value in [*x.tolist(), -np.inf]])
    assert [float(row[0]) for row in read(tmp_path / "t.csv")[1:]] == [*x.tolist(), -np.inf]


def test_lines_end_as_the_standard_says(tmp_path: Path) -> None:
    write_rows(tmp_path / "t.csv", ["a", "b"], [[1, "x"]])
    assert (tmp_path / "t.csv").read_bytes() == b"a,b\r\n1,x\r\n"


LABELS = ["01234", "1234", "0007", "=a", "two, three", "grün"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: Any) -> Path:
    folder = tmp_path_factory.mktemp("labels")
    x = np.random.default_rng(0).normal(size=(120, 2))
    write_rows(folder / "t.csv", ["a", "b", "kind"], [[*row, LABELS[i % 6]] for i, row in enumerate(x.tolist())])
    data = ["--data", str(folder / "t.csv"), "--label-column", "kind"]
    train = ["train", "autoencoder", *data, "--hidden", "4", "--latent-dim", "1", "--steps", "2", "--device", "cpu"]
    assert main([*train, "--run", str(folder / "run")]) == 0
    return folder / "run"


@pytest.mark.parametrize("verb", [["encode"], ["cluster", "--clusters", "2"]])
def test_labels_are_written_as_the_text_that_they_are(run: Path, tmp_path: Path, verb: list[str]) -> None:
    out = tmp_path / "out.csv"
    assert main([verb[0], str(run), *verb[1:], "--split", "all", "--out", str(out)]) == 0
    head, *rows = read(out)
    assert head[-1] == "label"
    assert {row[-1] for row in rows} == {"01234", "1234", "0007", "'=a", "two, three", "grün"}


def test_file_names_in_scores(tmp_path: Path) -> None:
    """Names of files are indices of scores: they may hold anything."""
    from thalweg.applications.score import ScoreResult

    names = ["=1+1.png", "a,b.png", 'a"b.png', "a\nb.png"]
    ScoreResult(np.array(names), np.arange(4.0), None, "the model's own score", "data", "test").save(tmp_path / "s.csv")
    assert [row[0] for row in read(tmp_path / "s.csv")[1:]] == ["'=1+1.png", *names[1:]]
