"""The report page: one file with everything in it, that asks nothing of the network and runs no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thalweg.evaluation.estimates.figures import Figure
from thalweg.report.charts import charts, curves
from thalweg.report.diagnostics import watched
from thalweg.report.forest import forest
from thalweg.report.markup import Markup, rich, tag
from thalweg.report.origin import head, origin
from thalweg.report.pictures import pictures
from thalweg.report.results import meanings, table
from thalweg.report.svg import styles
from thalweg.report.words import failed, summary

__all__ = ["html"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
LEADS = {
    "numbers": "",
    "forest": "Each number as a point in its 95 % interval. An arrow points to where the quantity itself lies, where "
    "the number only bounds it. A number far from all others is written at the edge. Each panel has its own axis.",
    "samples": "As they came, none picked. The real examples are the goal.",
    "reconstructions": "Each example above what the model makes of it: encoded and decoded.",
    "interpolations": "Paths between the codes of two examples, or two draws from the prior, decoded.",
    "nearest": "Each sample above the training image nearest to it. Where the two are alike, the model may be copying; "
    "real examples, where shown, say how alike is to be expected.",
    "curves": "The loss of each player over its steps; validation dotted. Losses of different models are not on one "
    "scale: the table is.",
    "watched": "What a critic makes of a batch and as many samples, beside the exact distance between the two, which "
    "is above 0 even of one law; which share of the batch samples cover (7/8 where the laws are alike), and how far "
    "samples lie apart over how far examples do (near 0: collapse); and the gradients of the critic's layers, the "
    "first dark, the last pale.",
    "bounds": "The mean log of the mean of K importance weights: a lower bound on the log-likelihood, tighter as K "
    "grows. A curve that still rises has not arrived.",
    "roc": "Of examples of another data set, told apart by the anomaly score: the share found, against the share of "
    "false alarms. The dotted diagonal is guessing.",
    "classifiers": "How often each class was taken for each other one; and how often answers of each confidence are "
    "right, larger marks for more examples: on the dotted diagonal a classifier is as sure as it should be.",
    "meanings": "",
    "origin": "",
}


PLANE = {  # of data with two columns
    "reconstructions": "From each example (dot) a line to what the model makes of it: encoded and decoded.",
    "interpolations": "Paths between the codes of two examples, decoded; the dot is the first.",
    "nearest": "From each sample (dot) a line to the training example nearest to it. Where all lines are much shorter "
    "than those of real examples, the model may be copying.",
}


def html(
    report: Mapping[str, Any],
    figures: Mapping[str, Sequence[Figure]],
    curves: Mapping[str, Sequence[Mapping[str, Any]]],
) -> str:
    """Return the page of a report (what `report.json` holds) as one self-contained HTML document.

    `figures[model]` are what its measures have to show, each in the section that it names; those of "real" are
    held-out examples. `curves[model]` are the lines of `metrics.jsonl` of each seed. A section without content is left
    out.

    Raises ValueError for what is no report of this version.
    """
    if (report.get("schema"), report.get("version")) != ("thalweg-report", 2):
        raise ValueError(f"report: got {report.get('schema')!r} {report.get('version')!r}, wanted thalweg-report 2")
    body = [section for section in _sections(report, figures, curves) if section[2]]
    links = tag("ul", (tag("li", tag("a", title, href=f"#{anchor}")) for anchor, title, _ in body))
    page = rich(
        head(report),
        _failures(report),
        tag("section", tag("h2", "At a glance"), summary(report), id="glance", class_="prose"),
        tag("nav", links, aria_label="Contents"),
        (_section(*section, LEADS | (PLANE if report["data"]["kind"] == "vector" else {})) for section in body),
    )
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    above = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="generator", content=f"thalweg {report['versions'].get('thalweg', '')}"),
        tag("link", rel="icon", href="data:,"),
        tag("title", report["title"]),
        tag("style", Markup(style)),
    ]
    return "<!doctype html>\n" + tag("html", tag("head", above), tag("body", tag("main", page)), lang="en") + "\n"


def _sections(
    report: Mapping[str, Any], drawn: Mapping[str, Sequence[Figure]], known: Any
) -> list[tuple[str, str, Markup]]:
    looks, data = styles(report), report["data"]

    def shown(section: str) -> Markup:
        return pictures(section, drawn, data, looks)

    return [
        ("numbers", "The numbers", table(report, looks)),
        ("forest", "Intervals side by side", forest(report, looks)),
        ("samples", "Samples", shown("samples")),
        ("reconstructions", "Reconstructions", shown("reconstructions")),
        ("interpolations", "Latent interpolations", shown("interpolations")),
        (
            "nearest",
            "Nearest training images" if data["kind"] == "image" else "Nearest training examples",
            shown("nearest"),
        ),
        ("curves", "Training curves", curves(known, looks)),
        ("watched", "While games were played", watched(known, looks)),
        ("bounds", "The bound as K grows", charts("bounds", drawn, looks)),
        ("roc", "Anomalies", charts("roc", drawn, looks)),
        ("classifiers", "Classifiers", charts("classifiers", drawn, looks)),
        ("meanings", "What each number means", meanings(report)),
        ("origin", "How it was made", origin(report)),
    ]


def _section(anchor: str, title: str, content: Markup, leads: Mapping[str, str]) -> Markup:
    lead = tag("p", leads[anchor], class_="lead") if leads[anchor] else None
    return tag("section", tag("h2", title), lead, content, id=anchor)


def _failures(report: Mapping[str, Any]) -> Markup:
    lines = failed(report)
    if not lines:
        return Markup()
    listed = tag("ul", (tag("li", line) for line in lines))
    return tag("aside", tag("h2", "Failures and warnings"), listed, id="failures", class_="prose")
