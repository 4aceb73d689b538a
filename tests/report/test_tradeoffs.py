"""Accuracy against cost: the data of report.json, and the marks of the charts against their ticks."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from thalweg.evaluation import Findings, rate
from thalweg.evaluation.measures.cost import known_value
from thalweg.report.rows import rows
from thalweg.report.svg import styles
from thalweg.report.tradeoffs import _ticks, tradeoff_charts, tradeoffs

KNOWN = {"small": (90, 1e4, 2.0), "large": (97, 1e6, 30.0), "slow": (93, 2e6, 31.0), "vae": (None, 1e5, 1.0)}
MODELS = styles({"models": [{"name": name, "family": "classifiers"} for name in KNOWN]})


def measures(known=KNOWN):
    result = {}
    for name, (hits, macs, seconds) in known.items():
        result[name] = Findings([known_value("MACs", macs), known_value("training time", seconds, "s")])
        if hits is not None:
            result[name].add(rate("accuracy", hits, 100))
    return rows(result)


def test_the_data_are_the_rows_of_the_models():
    macs, time = tradeoffs(measures(), list(KNOWN))
    assert (macs["cost"], macs["unit"], time["cost"], time["unit"]) == ("MACs", "", "training time", "s")
    accuracy = rate("accuracy", 97, 100)
    assert macs["points"][1] == {
        "model": "large", "x": 1e6, "y": 97.0, "low": accuracy.low, "high": accuracy.high, "optimal": True}  # fmt: skip
    assert [(p["model"], p["optimal"]) for p in macs["points"]] == [("small", True), ("large", True), ("slow", False)]
    assert [point["x"] for point in time["points"]] == [2.0, 30.0, 31.0]


@pytest.mark.parametrize("change", [{"large": (97, 0.0, 0.0), "slow": (93, math.inf, 0.0)}, {"large": None}])
def test_fewer_than_two_classifiers_with_a_cost_have_none(change):
    known = {"small": KNOWN["small"], **change}
    assert tradeoffs(measures({name: values for name, values in known.items() if values}), list(known)) == []
    assert tradeoff_charts([], MODELS) == ""
    assert tradeoffs(measures(), ["small"]) == []  # baselines are not compared


def numbers(path):
    return np.array(re.findall(r"-?\d+\.?\d*", path), dtype=float).reshape(-1, 2)


def test_marks_whiskers_and_the_step_line_are_at_their_values():
    known = tradeoffs(measures(), list(KNOWN))[:1]
    figure = ElementTree.fromstring(tradeoff_charts(known, MODELS)).find("figure")
    chart = figure.find("svg")
    assert chart.get("aria-label") == (
        "accuracy against MACs, logarithmic; Pareto-optimal: small with 90 % at 10,000 and large with 97 % at 1,000,000"
    )
    assert "".join(figure.find("figcaption").itertext()) == "accuracy against MACssmalllargeslow"
    inner = chart.find("svg")
    left, top = float(inner.get("x")), float(inner.get("y"))
    texts = [(t.text, float(t.get("x")), float(t.get("y")), t.get("text-anchor")) for t in chart.findall("text")]
    units = {"k": 1e3, "M": 1e6}
    across = [(math.log10(float(t[:-1]) * units[t[-1]]), x) for t, x, _, anchor in texts if anchor == "middle" and
              re.fullmatch(r"[\d.]+[kM]", t)]  # fmt: skip
    up = [(float(t), y - 4) for t, _, y, anchor in texts if anchor == "end"]
    x_scale, y_scale = (np.polyfit(*zip(*pairs, strict=True), 1) for pairs in (across, up))

    def at(cost, accuracy):
        return np.polyval(x_scale, math.log10(cost)) - left, np.polyval(y_scale, accuracy) - top

    step, *whiskers = [numbers(path.get("d")) for path in inner.findall("path")]
    np.testing.assert_allclose(step, [at(1e4, 90), at(1e6, 90), at(1e6, 97)], atol=0.3)
    for path, point in zip(whiskers, known[0]["points"], strict=True):
        np.testing.assert_allclose(path, [at(point["x"], point["low"]), at(point["x"], point["high"])], atol=0.3)
    circle = inner.find("circle")
    np.testing.assert_allclose((float(circle.get("cx")), float(circle.get("cy"))), at(1e4, 90), atol=0.3)
    assert len(inner.findall("polygon")) == 2


@pytest.mark.parametrize("low", np.linspace(-3, 9, 25))
@pytest.mark.parametrize("wide", [1, 1.5, 2, 3, 7, 12])
def test_every_range_of_a_decade_has_two_to_six_ticks(low, wide):
    ticks = _ticks(low, low + wide)
    assert 2 <= len(ticks) <= 7
    for at, text in ticks:
        size = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.get(text[-1])
        assert math.log10(float(text[:-1]) * size if size else float(text)) == pytest.approx(at)
