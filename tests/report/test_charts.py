"""The marks of every chart are where its axes say: positions are read from the SVG and compared with the ticks."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
import pytest

from thalweg.evaluation.estimates.figures import Axis, Curve, ImageGrid, Matrix, Scatter
from thalweg.report.charts import charts, curves
from thalweg.report.diagnostics import diagnostics
from thalweg.report.forest import forest
from thalweg.report.pictures import pictures
from thalweg.report.svg import styles

MODELS = styles({"models": [{"name": name, "family": "vaes"} for name in ("first", "second")]})
DATA = {"levels": 256}
UNIT = {"x_axis": Axis(label="across", range=(0, 1)), "y_axis": Axis(label="up", range=(0, 1))}
LINE = Curve(section="roc", panel="noise", x=[0.0, 0.25, 0.5, 1.0], y=[0.1, 0.6, 0.8, 0.9], **UNIT)
MATRIX = Matrix(section="classifiers", panel="", rows=["a", "b"], columns=["a", "b"], values=[[9, 1], [4, 0]],
                caption="rows: the label", details=[])  # fmt: skip


def parsed(markup: str) -> list[Element]:
    """Return the figures of a piece of the page."""
    return list(ElementTree.fromstring(re.sub(r"<img([^>]*)>", r"<img\1/>", markup)).iter("figure"))


def text_of(element: Element) -> str:
    return "".join(element.itertext())


def legend_of(figure: Element) -> list[str]:
    return [text_of(entry) for entry in figure.iter("span") if entry.get("class") == "entry"]


def value_of(tick: Element) -> float:
    return float(text_of(tick).replace("−", "-").replace(",", "").replace(" ", ""))


class Chart:
    """A chart whose positions are converted to the units of its axes, which are read from the labels of its ticks."""

    def __init__(self, figure: Element, *, log2: bool = False) -> None:
        svg = next(e for e in figure.iter("svg") if e.get("class") == "chart")
        self.marks = svg.find("svg") if svg.find("svg") is not None else svg
        left, top = float(self.marks.get("x", 0)), float(self.marks.get("y", 0))
        self.width, self.height = (float(v) for v in svg.get("viewBox").split()[2:])
        if self.marks is not svg:
            self.width, self.height = float(self.marks.get("width")), float(self.marks.get("height"))
        rules = [e for e in svg.findall("line") if e.get("class") == "grid"]
        ticks = [e for e in svg.findall("text") if e.get("class") is None]
        columns = [float(e.get("x1")) for e in rules if e.get("x1") == e.get("x2")]
        lines = [float(e.get("y1")) for e in rules if e.get("y1") == e.get("y2")]
        across = [e for e in ticks if e.get("text-anchor") == "middle"]
        up = [e for e in ticks if e.get("text-anchor") == "end"]
        assert [float(e.get("x")) for e in across] == columns  # each label is at its line
        np.testing.assert_allclose([float(e.get("y")) - 4 for e in up], lines, atol=0.1)
        self.across = [value_of(e) for e in across]
        values = [math.log2(value) for value in self.across] if log2 else self.across
        self.x = self._scale([at - left for at in columns], values)
        self.y = self._scale([top - at for at in lines], [value_of(e) for e in up], -1) if up else lambda at: at

    @staticmethod
    def _scale(pixels: list[float], values: list[float], sign: int = 1) -> Callable[[float], float]:
        """Return the conversion of pixels times `sign`, of which larger ones have larger values."""
        assert len(pixels) == len(values) >= 2
        slope, start = np.polyfit(pixels, values, 1)
        assert slope > 0
        np.testing.assert_allclose(start + slope * np.array(pixels), values, atol=1e-3 * abs(values[-1] - values[0]))
        return lambda at: start + slope * sign * at

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return a position within the chart in the units of its axes."""
        assert 0 <= x <= self.width
        assert 0 <= y <= self.height
        return self.x(x), self.y(y)

    def path(self, element: Element) -> list[list[tuple[float, float]]]:
        """Return the connected lines of a path as points in the units of the axes."""
        pieces = [re.findall(r"([-\d.]+) ([-\d.]+)", piece) for piece in element.get("d").split("M")[1:]]
        return [[self.at(float(x), float(y)) for x, y in piece] for piece in pieces]

    def lines(self, class_: str) -> list[Any]:
        """Return the paths of a class, each as its connected lines."""
        return [self.path(e) for e in self.marks.iter("path") if class_ in e.get("class").split()]

    def circles(self) -> list[tuple[float, float]]:
        return [self.at(float(e.get("cx")), float(e.get("cy"))) for e in self.marks.iter("circle")]

    def polygons(self) -> list[tuple[float, float]]:
        """Return the centers of the symbols with corners."""
        corners = [np.array(re.findall(r"[-\d.]+", e.get("points")), float) for e in self.marks.iter("polygon")]
        centers = [(c.reshape(-1, 2).min(axis=0) + c.reshape(-1, 2).max(axis=0)) / 2 for c in corners]
        return [self.at(x, y) for x, y in centers]


def test_a_curve_and_its_marks_are_at_its_values():
    line = replace(LINE, sizes=[1.0, 2.0, 3.0, 4.0])
    (figure,) = parsed(charts("roc", {"first": [line]}, MODELS))
    chart = Chart(figure)
    wanted = list(zip(line.x, line.y, strict=True))
    ((points,),) = chart.lines("c0")
    np.testing.assert_allclose(points, wanted, atol=1e-3)
    np.testing.assert_allclose(chart.circles(), wanted, atol=1e-3)
    radii = [float(e.get("r")) for e in chart.marks.iter("circle")]
    np.testing.assert_allclose(radii, [2 + 3.5 * math.sqrt(n / 4) for n in (1, 2, 3, 4)], rtol=1e-3)
    assert [text_of(e) for e in figure.iter("text") if e.get("class") == "of"] == ["across", "up"]


def test_the_range_of_an_axis_without_one_of_its_own_is_that_of_the_values():
    axes = {"x_axis": Axis(label="K"), "y_axis": Axis(label="bound, nats")}
    line = Curve(section="bounds", panel="", x=[10.0, 20.0, 50.0], y=[-9.0, -7.0, -6.0], **axes)
    (figure,) = parsed(charts("bounds", {"second": [line]}, MODELS))
    ((points,),) = Chart(figure).lines("c1")
    np.testing.assert_allclose(points, [(10, -9), (20, -7), (50, -6)], atol=0.02)


@pytest.mark.parametrize("diagonal", [True, False])
def test_the_diagonal_joins_equal_values(diagonal):
    (figure,) = parsed(charts("roc", {"first": [replace(LINE, diagonal=diagonal)]}, MODELS))
    lines = Chart(figure).lines("chance")
    assert len(lines) == diagonal
    if diagonal:
        np.testing.assert_allclose(lines[0][0], [(0, 0), (1, 1)], atol=1e-3)


def test_k_has_a_logarithmic_axis_and_intervals_have_two_ends():
    ks, value = [1.0, 2.0, 4.0, 8.0, 64.0], [-70.0, -68.0, -67.0, -66.5, -66.0]
    low, high = [v - 1 for v in value], [v + 0.5 for v in value]
    axes = {"x_axis": Axis(label="K", scale="log2"), "y_axis": Axis(label="bound, nats")}
    line = Curve(section="bounds", panel="", x=ks, y=value, low=low, high=high, sizes=[1.0] * 5, **axes)
    (figure,) = parsed(charts("bounds", {"first": [line]}, MODELS))
    chart = Chart(figure, log2=True)
    assert chart.across == ks
    whiskers, (points,) = chart.lines("c0")
    wanted = [[(math.log2(k), a), (math.log2(k), b)] for k, a, b in zip(ks, low, high, strict=True)]
    np.testing.assert_allclose(whiskers, wanted, atol=0.02)
    left, right = chart.x(0), chart.x(chart.width)
    assert -1 < left < 0 < 6 < right < 7  # the axis is as wide as the values
    np.testing.assert_allclose(points, [(math.log2(k), v) for k, v in zip(ks, value, strict=True)], atol=0.02)
    np.testing.assert_allclose(chart.circles(), points, atol=0.02)


def test_each_panel_has_a_chart_with_its_own_lines_and_legend():
    both, alone = replace(LINE, legend="91 %"), replace(LINE, panel="letters", y=[0.0, 0.1, 0.2, 0.3], legend="20 %")
    other = replace(LINE, y=[0.2, 0.3, 0.4, 0.5], legend="45 %")
    hidden = replace(LINE, section="classifiers", panel="calibration")
    noise, letters = parsed(charts("roc", {"first": [both, hidden], "second": [other, alone]}, MODELS))
    assert [text_of(figure.find("figcaption/b")) for figure in (noise, letters)] == ["noise", "letters"]
    assert legend_of(noise) == ["first 91 %", "second 45 %"]
    assert legend_of(letters) == ["second 20 %"]
    ((first,),), ((second,),) = (Chart(noise).lines(color) for color in ("c0", "c1"))
    np.testing.assert_allclose([y for _, y in first], both.y, atol=1e-3)
    np.testing.assert_allclose([y for _, y in second], other.y, atol=1e-3)
    assert Chart(letters).lines("c0") == []
    (((points,),),) = (Chart(letters).lines("c1"),)
    np.testing.assert_allclose([y for _, y in points], alone.y, atol=1e-3)


@pytest.mark.parametrize("n", [2, 21])
def test_shares_of_a_confusion_matrix_are_of_its_rows(n):
    """By color in a table of few classes, by brightness in an image of many."""
    counts = np.zeros((n, n))
    counts[:2, :2] = MATRIX.values
    names = [str(i) for i in range(n)]
    matrix = replace(MATRIX, rows=names, columns=names, values=counts.tolist())
    drawn = charts("classifiers", {"first": [matrix]}, MODELS)
    (figure,) = parsed(drawn)
    wanted = np.sqrt([[0.9, 0.1], [1.0, 0.0]])
    if n == 2:
        rows = list(figure.iter("tr"))[1:]
        shown = [[int(cell.get("style")[4:-1]) / 100 for cell in row.findall("td")] for row in rows]
        assert [text_of(cell) for cell in figure.iter("td")] == ["", "9", "1", "4", "·"]
    else:
        shown = pixels(figure)[:2, :2] / 255.0
    np.testing.assert_allclose(shown, wanted, atol=0.006)


def pixels(figure: Element) -> np.ndarray[Any, Any]:
    import base64
    import io

    from PIL import Image

    image = next(figure.iter("img"))
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(image.get("src").partition(",")[2]))), dtype=float)


def test_training_losses_are_at_their_steps():
    records = [{"step": s, "loss": v, "seconds": 10.0 * s} for s, v in ((1, 8.0), (2, 5.0), (4, 3.0), (6, 2.0))]
    records.append({"step": 5, "validation/loss": 4.0})
    (figure,) = parsed(curves({"first": [{"seed": 0, "records": records}]}, MODELS))
    chart = Chart(figure)
    ((points,),), _ = chart.lines("c0"), chart.lines("held")
    np.testing.assert_allclose(points, [(1, 8), (2, 5), (4, 3), (6, 2)], atol=0.03)
    np.testing.assert_allclose(chart.circles(), [(5, 4)], atol=0.03)  # a single value is drawn as a mark
    assert legend_of(figure) == ["loss", "validation loss"]


def test_training_time_is_that_of_the_longest_seed():
    seeds = [
        {
            "seed": seed,
            "records": [{"step": step, "loss": 1.0 / step, "seconds": last * step / 9} for step in (1, 8, 9)],
        }
        for seed, last in enumerate((18.0, 45.0, 27.0))
    ]
    (figure,) = parsed(curves({"first": seeds}, MODELS))
    assert text_of(figure.find("figcaption/small")) == "3 seeds, 45 s"


def test_each_model_has_a_chart_with_the_legend_of_its_own_players():
    game = [{"step": step, "critic/loss": -step, "generator/loss": 2.0 * step} for step in (1, 2, 3)]
    plain = [{"step": step, "loss": 5.0 - step} for step in (1, 2, 3)]
    known = {"first": [{"seed": 0, "records": plain}], "second": [{"seed": 0, "records": game}]}
    first, second = parsed(curves(known, MODELS))
    assert [text_of(figure.find("figcaption/b")) for figure in (first, second)] == ["first", "second"]
    assert legend_of(first) == ["loss"]
    assert legend_of(second) == ["critic loss", "generator loss"]
    (critic,), (generator,) = Chart(second).lines("c1")
    np.testing.assert_allclose(critic, [(1, -1), (2, -2), (3, -3)], atol=0.05)
    np.testing.assert_allclose(generator, [(1, 2), (2, 4), (3, 6)], atol=0.05)


def test_diagnostics_are_at_their_steps():
    """Of the second field of each chart there is no value at the last step."""
    records = [
        {"step": step, "batch/W1": distance, "batch/coverage": share, "critic/gradient/0": 10.0**-step}
        | (
            {"batch/gap": distance / 2, "batch/spread": 2 * share, "critic/gradient/2": 100.0**-step}
            if step < 4
            else {}
        )
        for step, distance, share in ((1, 8.0, 0.1), (2, 5.0, 0.3), (4, 3.0, 0.4))
    ]
    figures = parsed(diagnostics({"first": [{"seed": 0, "records": records}]}, MODELS))
    expected = [([8, 5, 3], [4, 2.5]), ([0.1, 0.3, 0.4], [0.2, 0.6]), ([-1, -2, -4], [-2, -4])]
    assert [legend_of(figure) for figure in figures] == [["W1", "gap"], ["coverage", "spread"], ["0", "2"]]
    for figure, values in zip(figures, expected, strict=True):
        for (points,), ys in zip(Chart(figure).lines("c0"), values, strict=True):
            np.testing.assert_allclose(points, list(zip((1, 2, 4), ys, strict=False)), atol=0.03)


def test_intervals_of_the_forest_plot_have_both_ends_at_their_values():
    rows = {"first": (2.0, 1.0, 2.5), "second": (4.0, 3.5, 6.0)}
    cells = {
        name: {"estimate": {"value": v, "low": a, "high": b, "text": "", "kind": "exact"}, "best": False,
               "separated": None}
        for name, (v, a, b) in rows.items()
    }  # fmt: skip
    measure = {"name": "m", "unit": "", "kind": "exact", "better": "lower", "note": None, "cells": cells}
    (figure,) = parsed(forest({"measures": [measure]}, MODELS))
    chart = Chart(figure)
    for color, (_, low, high) in zip(("c0", "c1"), rows.values(), strict=True):
        ((line, *caps),) = chart.lines(color)
        np.testing.assert_allclose([x for x, _ in line], [low, high], atol=0.02)
        np.testing.assert_allclose([[x for x, _ in cap] for cap in caps], [[low] * 2, [high] * 2], atol=0.02)
        assert all(cap[0][1] < line[0][1] == line[1][1] < cap[1][1] for cap in caps)
    (circle,), (square,) = chart.circles(), chart.polygons()
    np.testing.assert_allclose([circle[0], square[0]], [2.0, 4.0], atol=0.02)
    assert circle[1] < square[1]  # the first model is above the second


def test_points_of_the_plane_are_at_their_coordinates():
    samples = np.array([[0.0, 10.0], [1.0, 12.0], [3.0, 11.0]])
    pairs = np.array([[[0.0, 10.0], [1.0, 11.0]], [[2.0, 12.0], [3.0, 10.5]]])
    drawn = {"first": [Scatter("samples", samples), Scatter("nearest", pairs, "pairs")]}
    for section, wanted in (("samples", samples), ("nearest", pairs[:, 0])):
        (figure,) = parsed(pictures(section, drawn, DATA, MODELS))
        chart = Chart(figure)
        (dots,) = chart.lines("dots")
        np.testing.assert_allclose([dot[0] for dot in dots], wanted, atol=0.02)
    np.testing.assert_allclose(chart.lines("line")[0], pairs, atol=0.02)


def test_image_grids_of_models_and_sections_are_apart():
    black, white = np.zeros((16, 1, 4, 4)), np.full((16, 1, 4, 4), 255)
    pairs = np.stack([white, black], axis=1)
    drawn = {"first": [ImageGrid("samples", black), ImageGrid("nearest", pairs, "pairs")],
             "second": [ImageGrid("samples", white)]}  # fmt: skip
    first, second = parsed(pictures("samples", drawn, DATA, MODELS))
    assert [text_of(figure.find("figcaption")) for figure in (first, second)] == ["first", "second"]
    for figure, value in ((first, 0), (second, 255)):
        page = pixels(figure)
        assert set(page[..., 0][page[..., 1] > 0]) == {value}
    (nearest,) = parsed(pictures("nearest", drawn, DATA, MODELS))
    page = pixels(nearest)
    assert (page[0, 0, 0], page[5, 0, 0]) == (255, 0)  # a sample above its nearest training image
