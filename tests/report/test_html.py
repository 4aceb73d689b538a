"""The report page is complete, well-formed, self-contained, and has the values of its report."""

from __future__ import annotations

import base64
import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fake_report
import thalweg.report.html as module
from thalweg.data import Spec
from thalweg.evaluation import Findings, mean_of
from thalweg.evaluation.estimates.figures import Curve, ImageGrid, Matrix, drawable
from thalweg.report.charts import thinned
from thalweg.report.forest import window
from thalweg.report.html import html
from thalweg.report.markup import Markup, rich, tag
from thalweg.report.rows import rows as rows_of
from thalweg.report.words import duration

VOID = {"meta", "link", "img", "br"}
NASTY = """<script>alert(1)</script>"'&<img src=http://x.test/ onerror=alert(1)>"""


class Page(HTMLParser):
    """A parsed page: its elements in order, each with its attributes and all of its text. Bad nesting fails."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[dict[str, Any]] = []
        self.all: list[dict[str, Any]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, name, attrs):
        assert len({key for key, _ in attrs}) == len(attrs), f"twice an attribute: {attrs}"
        element = {"tag": name, "text": "", "up": list(self.open), **dict(attrs)}
        self.all.append(element)
        if name not in VOID:
            self.open.append(element)

    def handle_endtag(self, name):
        assert self.open.pop()["tag"] == name

    def handle_data(self, text):
        for element in self.open:
            element["text"] += text

    def find(self, name: str, class_: str | None = None, under: str | None = None) -> list[dict[str, Any]]:
        return [
            e for e in self.all
            if e["tag"] == name
            and (class_ is None or class_ in e.get("class", "").split())
            and (under is None or any(up.get("id") == under for up in e["up"]))
        ]  # fmt: skip


def page_of(report: dict[str, Any], pictures: Any = None, curves: Any = None) -> Page:
    return Page(html(report, fake_report.figures(report) if pictures is None else pictures, curves or {}))


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return fake_report.report(seeds=2)


@pytest.fixture(scope="module")
def text(report) -> str:
    return html(report, fake_report.pictures(report), fake_report.curves(report))


@pytest.fixture(scope="module")
def page(text) -> Page:
    return Page(text)


def image_of(element: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(element["src"].partition(",")[2]))))


def test_the_page_has_every_section_model_and_measure(report, page):
    sections = [e["id"] for e in page.find("section")]
    assert sections == ["summary", *module.LEADS]
    assert [link["href"] for link in page.find("a") if any(up["tag"] == "nav" for up in link["up"])] == [
        f"#{anchor}" for anchor in module.LEADS
    ]
    header = [e["text"] for e in page.find("th", under="numbers") if e.get("scope") == "col"]
    assert [any(model["name"] in message for message in header[1:]) for model in report["models"]] == [True] * 6
    rows = [e["text"] for e in page.find("th", under="numbers") if e.get("scope") == "row"]
    for name, row, term in zip(
        [m["name"] for m in report["measures"]], rows, page.find("dt", under="meanings"), strict=True
    ):
        assert row.startswith(name)
        assert term["text"].startswith(name)
    assert len(page.find("figure", under="forest")) == len(report["measures"])
    commands = page.find("pre", under="origin")
    assert commands[0]["text"] == report["command"]
    parts = [m["points"][0] for m in report["learning_curve"]["models"]]  # those of share 1 are in `models`
    runs = [s["command"] for m in [*report["models"], *parts] for s in m["seeds"]]
    assert commands[1]["text"].splitlines() == runs
    message = next(e for e in page.find("section") if e["id"] == "origin")["text"]
    assert all(known in message for known in [report["data"]["fingerprint"], *report["versions"].values()])


def test_the_guide_names_the_sections_of_the_page():
    """Every section of pages of images and of vectors is in the guide, and no other."""
    reports = [fake_report.report(["vae", "wgan", "lenet5", "real"]), fake_report.of_plane()]
    for report in reports:
        report["warnings"] = ["a warning"]
    pages = [
        page_of(reports[0], fake_report.pictures(reports[0]), fake_report.curves(reports[0])),
        page_of(reports[1], fake_report.plane(reports[1]), fake_report.curves(reports[1])),
    ]
    titles = {e["text"] for page in pages for e in page.find("h2")}
    guide = (Path(__file__).parents[2] / "docs" / "guide" / "report.md").read_text(encoding="utf-8")
    table = guide.partition("| section | shows |\n|---|---|\n")[2].partition("\n\n")[0]
    named = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()]
    assert sorted(named) == sorted(titles)
    assert set(re.findall(r'the section "([^"]*)"', guide)) <= titles
    assert 'the section "Summary"' in guide


def test_anchors_exist_and_ids_are_unique(page):
    ids = [e["id"] for e in page.all if "id" in e]
    assert len(set(ids)) == len(ids)
    assert {e["href"][1:] for e in page.find("a")} <= set(ids)


def test_the_page_loads_nothing_and_runs_no_script(text, page):
    assert not re.search(r"https?:|//[a-z]", re.sub(r"base64,[^\"]*", "", text))
    assert not {"script", "iframe", "object", "embed", "base", "form"} & {e["tag"] for e in page.all}
    for element in page.all:
        assert not [name for name in element if name.startswith("on") or name in ("srcset", "action", "poster")]
        assert element.get("src", "data:image/png;base64,").startswith("data:image/png;base64,")
        assert element.get("href", "#").startswith(("#", "data:,"))
    style = page.find("style")[0]["text"]
    assert "@import" not in style
    assert "url(" not in style
    policy = next(e["content"] for e in page.find("meta") if e.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert {"viewport", "color-scheme"} <= {e.get("name") for e in page.find("meta")}


def test_names_reasons_and_paths_are_text():
    report = fake_report.report(["vae", "real-nvp", "wgan", "lenet5", "real"], seeds=2)
    report["measures"][3] |= {"name": NASTY, "note": NASTY, "unit": NASTY, "meaning": NASTY, "varies": NASTY}
    report["measures"][0]["cells"]["wgan"]["reason"] = NASTY
    report["measures"][5]["cells"]["wgan"]["flag"] = NASTY
    report["models"][0]["seeds"][1] |= {"state": "failed", "reason": NASTY, "run": NASTY, "command": NASTY}
    report["data"] |= {"name": NASTY, "fingerprint": NASTY}
    report["versions"][NASTY] = NASTY
    report["models"][1]["options"] = {NASTY: NASTY}
    report |= {"title": NASTY, "command": NASTY, "warnings": [NASTY], "made": NASTY}
    pictures, curves = fake_report.pictures(report), fake_report.curves(report)
    pictures["vae"] = [replace(f, panel=NASTY) if isinstance(f, Curve) else f for f in pictures["vae"]]
    next(f for f in pictures["lenet5"] if isinstance(f, Matrix)).columns[3] = NASTY
    curves["vae"][0]["records"][0][f"{NASTY}/loss"] = 1.0
    for known in (pictures, curves):
        known[NASTY] = known.pop("wgan")
    for measure in report["measures"]:
        measure["cells"][NASTY] = measure["cells"].pop("wgan")
    pictures["lenet5"] = [replace(f, caption=NASTY) if isinstance(f, ImageGrid) else f for f in pictures["lenet5"]]
    report["models"][2]["name"] = report["tradeoffs"][0]["points"][2]["model"] = NASTY
    result = html(report, pictures, curves)
    plain = page_of(fake_report.report(["vae", "real-nvp", "wgan", "lenet5", "real"], seeds=2), pictures, curves)
    page = Page(result)
    assert {e["tag"] for e in page.all} <= {e["tag"] for e in plain.all} | {"aside"}
    assert not [e for e in page.all if any(key.startswith("on") for key in e)]
    assert "<script" not in result
    assert NASTY in page.find("title")[0]["text"]
    assert NASTY in page.find("aside")[0]["text"]
    assert sum(NASTY in e["text"] for e in page.find("figure", under="forest")) >= 5
    assert any(NASTY in e.get("alt", "") for e in page.find("img"))


def test_control_characters_are_replaced():
    report = fake_report.report(["vae"])
    report["warnings"] = ["a\x00b\udcffc\x1b[31m"]
    result = html(report, {}, {})
    result.encode("utf-8")
    assert "a\ufffdb\ufffdc\ufffd[31m" in result


def test_failures_and_warnings_come_first(report):
    failed = fake_report.report(seeds=2)
    failed["models"][2]["seeds"][1] |= {"state": "failed", "reason": "critic/loss is not finite at step 812"}
    failed["warnings"] = ["3 of 180 samples were not finite"]
    page = page_of(failed)
    lines = [e["text"] for e in page.find("li", under="failures")]
    assert lines == ["wgan, seed 1 failed: critic/loss is not finite at step 812", "3 of 180 samples were not finite"]
    order = [e["tag"] for e in page.all if e["tag"] in ("aside", "table", "nav")]
    assert order[:2] == ["aside", "nav"]
    assert not page_of(report).find("aside")


def test_the_table_shows_values_marks_and_reasons_of_missing_values(report, page):
    rows = [e for e in page.find("tr", under="numbers") if any(c["up"][-1] is e for c in page.find("td"))]
    by_name = {}
    for row in rows:
        cells = [c for c in page.find("td") if c["up"][-1] is row]
        if len(cells) == len(report["models"]):
            head = next(c for c in page.find("th") if c["up"][-1] is row)
            by_name.setdefault(head["text"].split("\u00a0")[0], cells)
    names = ["vae", "real-nvp", "wgan", "lenet5", "real", "gaussian"]

    def message(measure: str) -> dict[str, str]:
        return {n: " ".join(c["text"].split()) for n, c in zip(names, by_name[measure], strict=True)}

    assert message("recall") == {
        "vae": "≈90.5 ± 5.9", "real-nvp": "★93.9 ± 4.9", "wgan": "≈92.8 ± 6.8", "lenet5": "– 2", "real": "96.1 ± 3.3",
        "gaussian": "7.2 ± 3.7",
    }  # fmt: skip
    assert message("Fréchet distance")["vae"] == "8.61 ± 0.92"  # worse beyond the interval: no mark
    assert message("bits/dim")["vae"] == "★≤ 1.4380 ± 0.0080"
    assert message("MMD²")["wgan"] == "★−0.00020 ± 0.00090"
    assert message("precision")["wgan"].endswith("⚠ copies the training data")
    assert message("training time")["lenet5"] == "12.4"  # no better side: nothing ranks
    assert message("accuracy")["lenet5"] == "98.3 ± 1.7"  # alone: nothing to be best of
    reasons = {e["id"]: e["text"] for e in page.find("li", under="numbers")}
    assert reasons["reason-2"] == "no sample"
    assert len(set(reasons.values())) == len(reasons)
    assert len(page.find("td", "best")) == sum("★" in c["text"] for c in page.find("td")) == 7


def test_kind_and_unit_are_printed_once_per_row():
    bounds = {"unit": "bits/dim", "better": "lower"}
    values = np.array([1.0, 2.0, 3.0])
    findings = {
        "vae": Findings([mean_of("bits/dim", values, kind="upper bound", protocol={"data": "d"}, **bounds)]),
        "real-nvp": Findings([mean_of("bits/dim", values, kind="exact", protocol={"data": "e"}, **bounds)]),
    }
    report = fake_report.report(["vae", "real-nvp"]) | {"measures": rows_of(findings)}
    page = page_of(report)
    heads = [e["text"] for e in page.find("th", under="numbers") if e.get("scope") == "row"]
    assert heads == ["bits/dim\u00a0↓bits/dim, upper bounddata: d", "bits/dim\u00a0↓bits/dim, exactdata: e"]
    captions = [e["text"] for e in page.find("small", under="forest")]
    assert captions == ["bits/dim, upper bound, data: d", "bits/dim, exact, data: e"]


def test_the_summary_in_words(page):
    lines = [e["text"] for e in page.find("li", under="summary")]
    assert lines == [
        "wgan copies the training data, by precision.",
        "vae is best, and separated from the others, in bits/dim (upper bound) and log-likelihood.",
        "wgan is best, and separated from the others, in Fréchet distance and MMD².",
        "Best together, not separated from each other: vae, real-nvp and wgan in precision and recall; vae and "
        "real-nvp in anomaly AUROC: noise.",
    ]
    caveat = page.find("p", under="summary")[0]["text"]
    assert caveat.startswith(
        "Intervals are at 95 % and account for the variation of test examples and samples. They do"
    )


@pytest.mark.parametrize(("together", "words"), [(1, "1 remains"), (2, "2 remain")])
def test_the_summary_counts_what_remains_after_holms_adjustment(together, words):
    report = fake_report.report(["vae", "real-nvp", "wgan"])
    cells = [cell for measure in report["measures"] for cell in measure["cells"].values() if "estimate" in cell]
    separated = [cell for cell in cells if cell["separated"]]
    for i, cell in enumerate(separated):
        cell["separated_holm"] = i < together
    caveat = page_of(report).find("p", under="summary")[0]["text"]
    message = f"Of {len(separated)} separated differences, {words} separated after Holm's adjustment within rows."
    assert len(separated) > 2
    assert caveat.endswith(message)


@pytest.mark.parametrize(
    ("models", "measures", "message"),
    [
        ([], False, "Nothing was measured."),
        (["vae", "wgan"], False, "Nothing was measured."),
        (["vae"], True, "14 measures, none with two models: there is nothing to rank."),
        (["vae", "real", "gaussian"], True, "14 measures, none with two models: there is nothing to rank."),
    ],
)
def test_the_summary_of_a_report_without_comparisons(models, measures, message):
    report = fake_report.report(models)
    if not measures:
        report["measures"] = []
    page = page_of(report, {})
    assert page.find("p", under="summary")[0]["text"] == message
    assert bool(page.find("table", "results")) == measures
    assert "★" not in "".join(e["text"] for e in page.find("table", "results"))


def test_a_model_that_was_not_compared_with_the_best_is_not_called_worse():
    report = fake_report.report(["vae", "real-nvp", "wgan"])
    report["measures"][3]["cells"]["vae"]["separated"] = None
    page = page_of(report)
    assert "?8.61 ± 0.92" in [" ".join(e["text"].split()) for e in page.find("td", under="numbers")]
    lines = [e["text"] for e in page.find("li", under="summary")]
    assert lines[2] == "wgan is best, and separated from the others, in MMD²."
    assert "vae and wgan in Fréchet distance;" in lines[3]


def points(figure: dict[str, Any], page: Page) -> list[dict[str, Any]]:
    return [e for e in page.all if "mark" in e.get("class", "").split() and figure in e["up"]]


def test_positions_of_points_whiskers_and_arrows_of_the_forest_plot(report, page):
    figures = page.find("figure", under="forest")
    inside = {i: [e for e in page.all if figure in e["up"]] for i, figure in enumerate(figures)}
    bits, likelihood, distance = 0, 2, 3
    vae, nvp = (e for e in inside[bits] if e.get("class", "").startswith("mark"))
    assert float(vae["cx"]) < float(nvp["points"].split(",")[0])  # 1.438 < 1.612
    for i, way in ((bits, -1), (likelihood, 1)):  # where the quantity lies: below an upper bound, above a lower one
        arrows = [e["d"] for e in inside[i] if e.get("class") == "line bound"]
        assert len(arrows) == 2
        assert all(way * (float(d.split("L")[1].split()[0]) - float(d[1:].split()[0])) > 0 for d in arrows)
    whisker = next(e["d"] for e in inside[bits] if e.get("class") == "line c0")
    ends = [float(v) for v in re.findall(r"[ML]([\d.]+) ", whisker)][:2]
    assert ends[0] < float(vae["cx"]) < ends[1]
    assert math.isclose(float(vae["cx"]) - ends[0], ends[1] - float(vae["cx"]), abs_tol=0.11)
    assert "211" in [e["text"] for e in inside[distance] if e["tag"] == "text"]  # far beyond: written at the edge
    assert not [e for e in inside[distance] if "bound" in e.get("class", "")]
    label = next(e["aria-label"] for e in inside[bits] if e["tag"] == "svg")
    assert label == "bits/dim: vae ≤ 1.4380 ± 0.0080 bits/dim; real-nvp ≤ 1.612 ± 0.013 bits/dim"


def test_the_window_excludes_values_that_would_compress_the_others():
    near = [(1.0, 0.9, 1.1), (1.3, 1.2, 1.4)]
    low, high = window([*near, (900.0, 890.0, 910.0), (math.inf, math.inf, math.inf)])
    assert 0.7 < low < 0.9
    assert 1.4 < high < 1.6
    assert window(near)[1] < 1.6
    assert window([(1.0, 1.0, 1.0), (5.0, 5.0, 5.0), (9.0, 9.0, 9.0)])[1] > 9  # spread evenly: all stay
    low, high = window([(5.0, -math.inf, math.inf)])
    assert low < 5 < high
    low, high = window([(math.inf, math.inf, math.inf)])
    assert low < high


@pytest.mark.parametrize(
    ("value", "low", "high"), [("-inf", "-inf", "-inf"), ("inf", 3.0, "inf"), (-64.0, "-inf", "inf")]
)
def test_infinite_estimates(value, low, high):
    report = fake_report.report()
    cell = report["measures"][2]["cells"]["vae"]
    cell["estimate"] |= {"value": value, "low": low, "high": high, "text": f"≥ {value} nats"}
    cell |= {"best": False, "separated": True}
    page = page_of(report)
    figure = page.find("figure", under="forest")[2]
    inside = [e for e in page.all if figure in e["up"]]
    numbers = [v for e in inside for key in ("x", "cx", "points", "d", "x1", "x2") if (v := e.get(key))]
    assert not [v for v in numbers if "inf" in v or "nan" in v]
    shown = {"inf": "∞", "-inf": "−∞"}.get(str(value))
    assert shown is None or shown in [e["text"] for e in inside if e["tag"] == "text"]
    assert len(points(figure, page)) == 2


def test_sheets_of_samples_have_one_layout():
    report = fake_report.report()
    pictures = fake_report.pictures(report)
    page = page_of(report, pictures)
    images = page.find("img", under="samples")
    assert [e["alt"] for e in images] == [
        "64 real examples", "64 samples of vae", "64 samples of real-nvp", "64 samples of wgan",
        "64 samples of gaussian",
    ]  # fmt: skip
    assert len({(e["width"], e["height"]) for e in images}) == 1
    sheet = image_of(images[1])
    for i, sample in enumerate(fake_report.shown(pictures["vae"], "samples")):
        top, left = i // 8 * 9, i % 8 * 9
        place = sheet[top : top + 8, left : left + 8]
        np.testing.assert_array_equal(place[..., 0], np.rint(sample[0] * 255.0 / 16))
        assert (place[..., 1] == 255).all()
    assert (sheet[8] == 0).all()  # the gap is see-through
    pairs = image_of(page.find("img", under="nearest")[1])
    first = fake_report.shown(pictures["vae"], "nearest")[0]
    np.testing.assert_array_equal(pairs[:8, :8, 0], np.rint(first[0, 0] * 255.0 / 16))
    np.testing.assert_array_equal(pairs[9:17, :8, 0], np.rint(first[1, 0] * 255.0 / 16))
    steps = image_of(page.find("img", under="interpolations")[0])
    last = fake_report.shown(pictures["vae"], "interpolations")[1, -1, 0]
    np.testing.assert_array_equal(steps[9:17, -8:, 0], np.rint(last * 255 / 16))


def test_color_images_and_broken_pixels():
    report = fake_report.report(["vae"], shape=(3, 12, 20))
    x = np.zeros((5, 3, 12, 20))
    x[0, 0], x[1] = 300.0, np.nan
    page = page_of(report, {"vae": [ImageGrid("samples", x)]})
    sheet = image_of(page.find("img")[0])
    assert sheet.shape[2] == 4
    assert sheet[0, 0].tolist() == [255, 0, 0, 255]
    assert sheet[0, 21].tolist() == [0, 0, 0, 255]


def test_points_of_the_plane_share_their_axes():
    report = fake_report.of_plane()
    pictures = fake_report.plane(report)
    fake_report.shown(pictures["wgan"], "samples")[0] = [50.0, math.nan]
    page = page_of(report, pictures)
    assert not page.find("img")
    assert "Nearest training examples" in [e["text"] for e in page.find("h2")]
    figures = page.find("figure", under="samples")
    assert len(figures) == 4
    labels = [[e["text"] for e in page.find("text") if figure in e["up"]] for figure in figures]
    assert labels[0] == labels[1] == labels[2] == labels[3]
    dots = [e["d"].count("M") for e in page.find("path", "dots", "samples")]
    matches = [re.search(r"(\d+) outside", figure["text"]) for figure in figures]
    outside = [int(match[1]) if match else 0 for match in matches]
    assert [n + out for n, out in zip(dots, outside, strict=True)] == [1500] * 4
    assert outside[3] >= 1


@pytest.mark.parametrize(("kind", "shape"), [("vector", [3]), ("vector", [1]), ("tokens", [64])])
def test_data_that_cannot_be_drawn_have_no_section(kind, shape):
    report = fake_report.report(["vae"])
    report["data"] |= {"kind": kind, "shape": shape, "levels": None, "classes": None}
    spec = Spec(name="none", kind=kind, shape=tuple(shape))
    page = page_of(report, {"vae": drawable("samples", np.zeros((9, *shape)), spec)})
    assert "samples" not in [e["id"] for e in page.find("section")]


def test_curves_are_thinned_out_and_their_axis_ignores_the_start(report):
    records = [{"step": i, "loss": 1e6 if i < 20 else 2.0 + math.sin(i), "seconds": 0.1 * i} for i in range(1, 5001)]
    page = page_of(report, curves={"vae": [{"seed": 0, "records": records}]})
    (figure,) = page.find("figure", under="curves")
    line = next(e["d"] for e in page.find("path", "line", "curves"))
    assert 200 < line.count("M") + line.count("L") <= 300
    ticks = [e["text"] for e in page.find("text", under="curves")]
    assert {"1", "2", "3"} <= set(ticks)
    assert "up to 1,000,000 at the start" in figure["text"]
    lowest = max(float(y) for y in re.findall(r" ([\d.-]+)", line))  # down is more
    assert lowest < 176


def test_players_stages_and_validation_have_names(report, page):
    figures = page.find("figure", under="curves")
    assert [re.split(r"\d", f["text"])[0] for f in figures] == ["vae", "real-nvp", "wgan", "lenet"]
    assert "critic loss" in figures[2]["text"]
    assert "generator loss" in figures[2]["text"]
    assert "validation loss" in figures[0]["text"]
    records = [{"stage": i // 10, "step": i % 10, "loss": 1.0 * i} for i in range(20)]
    staged = page_of(report, curves={"vae": [{"seed": 0, "records": records}]})
    assert ["stage" in f["text"] for f in staged.find("figure", under="curves")] == [True, True]
    broken = [{"step": 1, "loss": math.nan}, {"step": 2, "loss": "inf"}, {"step": 3}]
    none = page_of(report, curves={"vae": [{"seed": 0, "records": broken}], "wgan": []})
    assert "curves" not in [e["id"] for e in none.find("section")]


def test_diagnostics_of_gan_training_are_drawn(report):
    records = [
        {
            "step": i,
            "critic/loss": -1.0,
            "batch/W1": 9 / i,
            "batch/gap": 8 / i,
            "batch/coverage": 0.5,
            "batch/spread": 1.0,
        }
        | {f"critic/gradient/{k}.weight": 10.0**-k * (i > 1) for k in range(0, 6, 2)}
        for i in range(1, 40)
    ]
    page = page_of(report, curves={"wgan": [{"seed": s, "records": records} for s in (0, 1)]})
    figures = page.find("figure", under="diagnostics")
    assert [f["text"][:4] for f in figures] == ["wgan"] * 3
    shown = [("W1", "gap", "distance of a batch"), ("coverage", "spread"), ("0.weight", "4.weight", "log₁₀ ‖gradient‖")]
    for figure, words in zip(figures, shown, strict=True):
        assert all(word in figure["text"] for word in words)
    assert len(page.find("path", "line", "diagnostics")) == 2 * (2 + 2 + 3)
    assert "−4" in [
        e["text"] for e in page.find("text", under="diagnostics")
    ]  # of the last layer, 10⁻⁴; a 0 is left out
    none = page_of(report, curves={"vae": [{"seed": 0, "records": [{"step": 1, "loss": 1.0}]}]})
    assert "diagnostics" not in [e["id"] for e in none.find("section")]


def test_confusion_counts_and_many_classes(report, page):
    counts = np.array(next(f.values for f in fake_report.figures(report)["lenet5"] if isinstance(f, Matrix)))
    cells = [e["text"] for e in page.find("td") if any("matrix" in up.get("class", "").split() for up in e["up"])]
    np.testing.assert_array_equal([int(c.replace("·", "0")) for c in cells if c], counts.ravel())
    many = fake_report.report(["lenet5"])
    rng = np.random.default_rng(0)
    classes = [str(i) for i in range(100)]
    large = Matrix(section="classifiers", panel="confusion matrix", rows=classes, columns=classes,
                   values=rng.integers(0, 9, (100, 100)).tolist(), details=[])  # fmt: skip
    drawn = page_of(many, {"lenet5": [large]})
    assert image_of(drawn.find("img", under="classifiers")[0]).shape == (100, 100)
    assert drawn.find("img")[0]["alt"] == "Confusion matrix of lenet5, 100 classes"


def test_the_size_of_the_page():
    report = fake_report.report(["vae", "real-nvp", "wgan", "gaussian"], shape=(1, 28, 28))
    result = html(report, fake_report.pictures(report), fake_report.curves(report))
    assert len(result.encode()) < 1_500_000


def test_the_same_report_makes_the_same_page(report, text):
    assert html(report, fake_report.pictures(report), fake_report.curves(report)) == text


def test_other_versions_are_refused(report):
    with pytest.raises(ValueError, match="got 'thalweg-report' 1, wanted thalweg-report 2"):
        html(report | {"version": 1}, {}, {})
    with pytest.raises(ValueError, match="got None None"):
        html({}, {}, {})


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2] if len(color) == 7 else 2 * color[i // 2 + 1], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1])
def test_contrast_is_enough_in_both_schemes(scheme):
    style = Path(module.__file__).with_name("report.css").read_text()
    block = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[scheme]
    colors = dict(re.findall(r"--(\w+): (#\w+);", block))

    def contrast(one: str, other: str) -> float:
        dark, light = sorted(luminance(colors[name]) for name in (one, other))
        return (light + 0.05) / (dark + 0.05)

    pairs = [("ink", "paper"), ("soft", "paper"), ("link", "paper"), ("warn", "paper"), ("ink", "faint"),
             ("soft", "faint"), ("ink", "warned"), ("warn", "warned")]  # fmt: skip
    assert min(contrast(a, b) for a, b in pairs) >= 4.5
    assert min(contrast(name, "paper") for name in ("c0", "c1", "c2", "c3", "c4", "c5", "gray")) >= 3


def test_markup_escapes_everything_but_markup():
    assert rich("<b>", Markup("<b>"), ["&", 1, None, 2.5]) == "&lt;b&gt;<b>&amp;12.5"
    assert tag("a", "x", href='"><script>', data_x=None) == '<a href="&quot;&gt;&lt;script&gt;">x</a>'


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [
        (None, "–"), (9.876, "9.88 s"), (99.4, "99 s"), (100, "1.7 min"), (120, "2 min"), (5_999, "100 min"),
        (6_000, "1.7 h"), (7_200, "2 h"),
    ],
)  # fmt: skip
def test_durations_have_a_suitable_unit(seconds, wanted):
    assert duration(seconds) == wanted


@pytest.mark.parametrize("n", [0, 1, 300, 301, 1_000])
def test_a_thinned_curve_keeps_its_last_step(n):
    records = [{"step": step, "loss": 2.0 * step} for step in range(1, n + 1)]
    steps, values = thinned([*records, {"step": n + 1}, {"step": n + 2, "loss": math.nan}], "loss")
    assert len(steps) <= 300
    assert steps[-1:] == [n][:n]
    assert steps == sorted(steps)
    assert values == [2.0 * step for step in steps]
