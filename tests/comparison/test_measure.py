"""Which yardsticks a table has, and that what was measured is not measured again."""

import pytest

from thalweg.comparison import yardsticks as room
from thalweg.comparison.measure import Bench
from thalweg.comparison.plan import Measuring
from thalweg.config import DataConfig
from thalweg.data import load


@pytest.mark.parametrize(
    ("source", "examples", "wanted"),
    [
        ("moons", 70, ["real", "gaussian"]),  # too few for a mixture: it is the Gaussian, which stands there once
        ("moons", 500, ["real", "gaussian", "gaussian-mixture"]),
        ("digits", None, ["real", "uniform", "gaussian", "gaussian-mixture"]),
    ],
)
def test_yardsticks(source, examples, wanted, tmp_path, monkeypatch):
    data = DataConfig(source=source) if examples is None else DataConfig(source=source, examples=examples)
    measuring = Measuring(limit=30, samples=30, features="pixels" if source == "digits" else "auto")
    bench = Bench(load(data), measuring, device="cpu", say=lambda _: None)
    made = room.yardsticks(bench.dataset)
    assert list(made) == wanted
    found = {"model": bench.measure(made["gaussian"])}
    first = bench.yardsticks(tmp_path, found, lambda _: None)
    assert list(first) == wanted
    monkeypatch.setattr(room, "yardsticks", None)  # nothing is fitted again
    again = bench.yardsticks(tmp_path, found, lambda _: None)
    assert list(again) == wanted
    for name in wanted:
        assert [e.value for e in again[name]] == [e.value for e in first[name]]
