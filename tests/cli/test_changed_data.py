"""Data that changed, moved or are not those of the training: refused, or evaluated on request with a warning."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thalweg.cli import main
from thalweg.recipes.runs import open_run

FAST = ["--limit", "40", "--samples", "40", "--temperatures", "0", "--draws", "1"]


def write(path: Path, columns: dict[str, Any]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def table(n: int, seed: int = 0) -> dict[str, Any]:
    x = np.random.default_rng(seed).normal(size=(n, 2)) * (1.0, 5.0)
    return {"a": x[:, 0].tolist(), "b": x[:, 1].tolist()}


def answer(capsys: Any, *arguments: object) -> dict[str, Any]:
    code = main([*map(str, arguments), "--json"])
    out = capsys.readouterr()
    assert code == 0, out.err
    result: dict[str, Any] = json.loads(out.out)
    return result


def refusal(capsys: Any, *arguments: object) -> str:
    assert main([*map(str, arguments)]) == 2
    return str(capsys.readouterr().err.splitlines()[-1])


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, Path]:
    data = write(tmp_path / "t.csv", table(400))
    run = tmp_path / "run"
    assert main(["train", "gmm", "--data", str(data), "--components", "2", "--run", str(run)]) == 0
    return data, run


@pytest.fixture
def memorizer(tmp_path: Path) -> tuple[Path, Path]:
    data = write(tmp_path / "t.csv", table(600))
    run = tmp_path / "run"
    assert main(["train", "kde", "--data", str(data), "--bandwidth", "0.001", "--run", str(run)]) == 0
    return data, run


READERS = {
    "evaluate": ["evaluate", "RUN", *FAST],
    "encode": ["encode", "RUN", "--out", "OUT.npz"],
    "cluster": ["cluster", "RUN", "--clusters", "2"],
}


@pytest.mark.parametrize("verb", READERS)
def test_changed_data_are_refused(trained: tuple[Path, Path], tmp_path: Path, capsys: Any, verb: str) -> None:
    data, run = trained
    words = {"RUN": str(run), "OUT.npz": str(tmp_path / "out.npz")}
    command = [words.get(word, word) for word in READERS[verb]]
    answer(capsys, *command)
    write(data, table(600))
    text = refusal(capsys, *command)
    assert "which the run was trained on: the data have changed" in text
    write(data, table(400))
    answer(capsys, *command)


@pytest.mark.parametrize("settings", [[], ["--data-seed", "3"], ["--test", "0.3"]])
def test_an_added_row_does_not_move_training_rows_to_the_test_set(
    tmp_path: Path, capsys: Any, settings: list[str]
) -> None:
    data, run = write(tmp_path / "t.csv", table(400)), tmp_path / "run"
    assert main(["train", "gmm", "--data", str(data), "--components", "2", "--run", str(run), *settings]) == 0
    capsys.readouterr()
    known = {x.tobytes() for x in open_run(run).data().train.x}
    more = table(400)
    other = table(200, seed=1)
    write(data, {name: more[name] + other[name] for name in more})
    report = answer(capsys, "evaluate", run, "--data", data, *FAST)
    assert any("the model was trained on" in warning for warning in report["warnings"])
    from thalweg.config import DataConfig

    assert not known & {x.tobytes() for x in open_run(run).data(DataConfig(source=str(data))).test.x}


def test_training_rows_among_other_data_are_counted(trained: tuple[Path, Path], tmp_path: Path, capsys: Any) -> None:
    _, run = trained
    known = len(open_run(run).data().train)
    mine, more = table(400), table(100, seed=1)
    other = write(tmp_path / "other.csv", {name: mine[name] + more[name] for name in mine})
    report = answer(capsys, "evaluate", run, "--data", other, "--split", "all", *FAST)
    text = f"{known} of 500 examples are also training examples"
    assert any(text in warning for warning in report["warnings"]), report["warnings"]


def test_memorization_is_detected_on_other_data(memorizer: tuple[Path, Path], tmp_path: Path, capsys: Any) -> None:
    _, run = memorizer
    held_out = write(tmp_path / "held.csv", table(300, seed=7))
    settings = ["--samples", "200", "--temperatures", "0", "--draws", "1"]
    own = answer(capsys, "evaluate", run, *settings)
    other = answer(capsys, "evaluate", run, "--data", held_out, "--split", "all", *settings)
    for report in (own, other):
        row = next(row for row in report["measures"] if row["name"] == "copied samples")
        assert row["cells"]["kde"]["estimate"]["value"] > 90


def test_without_the_training_data_there_are_no_measures_of_copying(
    memorizer: tuple[Path, Path], tmp_path: Path, capsys: Any
) -> None:
    data, run = memorizer
    held_out = write(tmp_path / "held.csv", table(300, seed=7))
    data.unlink()
    report = answer(capsys, "evaluate", run, "--data", held_out, *FAST)
    assert not [row for row in report["measures"] if row["name"] in ("copied samples", "data copying")]
    assert any("cannot be read" in warning for warning in report["warnings"])


COLUMNS = {
    "reordered": ({"b": 1, "a": 0}, None),
    "missing": ({"a": 0}, "without column 'b'"),
    "extra": ({"a": 0, "b": 1, "c": 0}, "with unknown column 'c'"),
    "renamed": ({"a": 0, "B": 1}, "without column 'b' and with unknown column 'B'"),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_columns_are_matched_by_name(trained: tuple[Path, Path], tmp_path: Path, capsys: Any, case: str) -> None:
    _, run = trained
    order, text = COLUMNS[case]
    values = list(table(50, seed=3).values())
    straight = write(tmp_path / "straight.csv", dict(zip("ab", values, strict=True)))
    other = write(tmp_path / "other.csv", {name: values[i] for name, i in order.items()})
    out = [tmp_path / "one.npz", tmp_path / "two.npz"]
    answer(capsys, "score", run, straight, "--out", out[0])
    if text:
        assert text in refusal(capsys, "score", run, other, "--out", out[1])
        return
    answer(capsys, "score", run, other, "--out", out[1])
    with np.load(out[0]) as one, np.load(out[1]) as two:
        np.testing.assert_array_equal(one["score"], two["score"])


NEW = {
    "one row": "a,b\n1.5,2.5\n",
    "constant column": "a,b\n" + "1.5,2.5\n" * 20,
    "few rows": "a,b\n1.5,2.5\n0.5,1.5\n",
    "integers": "a,b\n" + "\n".join(f"{i},{2 * i}" for i in range(12)) + "\n",
}


@pytest.mark.parametrize("case", NEW)
def test_any_batch_of_new_rows_is_scored(trained: tuple[Path, Path], tmp_path: Path, capsys: Any, case: str) -> None:
    _, run = trained
    (tmp_path / "new.csv").write_text(NEW[case])
    answer(capsys, "score", run, tmp_path / "new.csv", "--out", tmp_path / "s.csv")
    with (tmp_path / "s.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["index"]) for row in rows] == list(range(NEW[case].count("\n") - 1))
    assert all(np.isfinite(float(row["score"])) for row in rows)


def test_settings_of_the_run_are_inherited(tmp_path: Path, capsys: Any) -> None:
    columns = table(120) | {"kind": ["x", "y"] * 60}
    data = write(tmp_path / "t.csv", columns)
    run = tmp_path / "run"
    command = ["train", "softmax-regression", "--data", str(data), "--label-column", "kind", "--steps", "5"]
    assert main([*command, "--run", str(run)]) == 0
    capsys.readouterr()
    new = write(tmp_path / "new.csv", {**table(5), "kind": ["", "", "y", "", "x"]})
    answer(capsys, "score", run, new, "--out", tmp_path / "s.csv")
    without = write(tmp_path / "without.csv", table(5))
    answer(capsys, "score", run, without, "--out", tmp_path / "s.csv")
    other = write(tmp_path / "other.csv", {**table(60, seed=2), "kind": ["y"] * 60})
    report = answer(capsys, "evaluate", run, "--data", other, "--split", "all", *FAST)
    assert any(row["name"] == "accuracy" for row in report["measures"])  # its one class is the model's second


def test_a_run_that_was_moved_with_its_data_finds_them(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    (tmp_path / "A").mkdir()
    write(tmp_path / "A" / "t.csv", table(100))
    monkeypatch.chdir(tmp_path / "A")
    settings = ["--steps", "4", "--hidden", "4", "--layers", "2", "--device", "cpu"]
    assert main(["train", "real-nvp", "--data", "t.csv", "--run", "run", *settings]) == 0
    monkeypatch.chdir(tmp_path)
    shutil.move(tmp_path / "A", tmp_path / "B")
    assert main(["resume", "B/run", "--steps", "6"]) == 0
    shutil.move(tmp_path / "B" / "t.csv", tmp_path / "elsewhere.csv")
    capsys.readouterr()
    assert "got 't.csv', wanted a path that exists" in refusal(capsys, "resume", "B/run", "--steps", "8")
    assert main(["resume", "B/run", "--steps", "8", "--data", "elsewhere.csv"]) == 0
    write(tmp_path / "other.csv", table(100, seed=5))
    capsys.readouterr()
    text = refusal(capsys, "resume", "B/run", "--steps", "9", "--data", "other.csv")
    assert "the data have changed" in text


def test_a_comparison_with_changed_data_is_refused(tmp_path: Path, capsys: Any) -> None:
    data = write(tmp_path / "t.csv", table(200))
    command = ["compare", "gmm:components=1", "--data", data, "--out", tmp_path / "out", *FAST]
    report = answer(capsys, *command)
    write(data, table(300))
    assert "which the comparison in" in refusal(capsys, *command)
    kept = json.loads((tmp_path / "out" / "report.json").read_text())
    assert kept["data"]["fingerprint"] == report["data"]["fingerprint"]


UNUSED = {
    "a seed of data": ["evaluate", "RUN", "--data-seed", "1"],
    "a size": ["evaluate", "RUN", "--image-size", "8"],
    "a share": ["score", "RUN", "--out", "s.csv", "--test", "0.3"],
    "of a list": ["data", "list", "--data-seed", "1"],
}


@pytest.mark.parametrize("case", UNUSED)
def test_an_option_that_would_do_nothing_is_refused(trained: tuple[Path, Path], capsys: Any, case: str) -> None:
    command = [str(trained[1]) if word == "RUN" else word for word in UNUSED[case]]
    assert "wanted the data that it applies to" in refusal(capsys, *command)


def test_written_names_and_numbers_are_read_back(tmp_path: Path, capsys: Any) -> None:
    names = ["a, b", 'say "x"', "two\nlines", "=1+1", "count"]
    x = np.random.default_rng(0).normal(size=(80, 4)) + 1e9
    columns: dict[str, Any] = {name: x[:, i].tolist() for i, name in enumerate(names[:4])}
    columns["count"] = np.random.default_rng(1).poisson(4, 80).tolist()
    data = write(tmp_path / "t.csv", columns)
    run = tmp_path / "run"
    assert main(["train", "gmm", "--data", str(data), "--components", "1", "--run", str(run)]) == 0
    assert main(["sample", str(run), "-n", "50", "--out", str(tmp_path / "s.csv")]) == 0
    assert main(["sample", str(run), "-n", "50", "--out", str(tmp_path / "s.npz")]) == 0
    with (tmp_path / "s.csv").open(newline="") as file:
        head, *rows = list(csv.reader(file))
    assert head == [name if name != "=1+1" else "'=1+1" for name in names]
    with np.load(tmp_path / "s.npz") as file:
        np.testing.assert_array_equal(np.array(rows, dtype=float), file["x"])
    assert all(row[4] == str(int(row[4])) for row in rows)  # no decimals
    capsys.readouterr()
    answer(capsys, "score", run, tmp_path / "s.csv", "--out", tmp_path / "scores.csv")  # its columns are the run's
