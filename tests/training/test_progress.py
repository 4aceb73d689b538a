"""The progress displays of training."""

import re
import sys

import pytest

from thalweg.training.progress import Bar, Lines, Silent, progress
from toy_problems import regression_run, train_run


@pytest.mark.parametrize(("label", "before"), [("", ""), ("layer, stage 1 of 2", "layer, stage 1 of 2  ")])
def test_plain_lines_where_there_is_no_terminal(capsys, label, before):
    shown = Lines(every=0.0)
    shown.start(label, 0, 100)
    shown.update(50, {"loss": 0.123456}, 100)
    shown.update(100, {"loss": 0.1}, 100)
    shown.close()
    out, err = capsys.readouterr()
    assert out == ""
    first, last = err.splitlines()
    assert re.fullmatch(rf"{before}50/100  loss 0.1235  \d+ it/s  \d+ s left", first)
    assert "100/100" in last


def test_lines_are_printed_at_intervals(capsys):
    shown = Lines(every=60.0)
    shown.start("train", 0, 100)
    for step in range(1, 100):
        shown.update(step, {}, 100)
    assert capsys.readouterr().err == ""
    shown.update(100, {}, 100)
    assert "100/100" in capsys.readouterr().err


def test_a_bar_on_a_terminal(capsys):
    shown = Bar()
    shown.start("train", 10, 100)
    shown.update(50, {"loss": 0.5}, 100)
    shown.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert "50/100" in err
    assert "loss 0.5" in err


@pytest.mark.parametrize(("terminal", "rank", "kind"), [(True, "0", Bar), (False, "0", Lines), (True, "1", Silent)])
def test_the_display_fits_stderr_and_only_the_first_process_has_one(monkeypatch, terminal, rank, kind):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("RANK", rank)
    assert type(progress()) is kind


def test_a_run_reports_its_progress():
    text = []

    class Ear(Silent):
        def start(self, label, step, steps):
            text.append((label, step, steps))

        def update(self, step, metrics, steps):
            text.append((step, sorted(metrics)))

        def close(self):
            text.append("closed")

    train_run(regression_run(20), progress=Ear(), log_every=10)
    assert text == [("", 0, 20), (10, ["loss", "mean"]), (20, ["loss", "mean"]), "closed"]
