"""The report page: one self-contained file without network access and scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.evaluation.estimates.figures import Figure
from thalweg.report.charts import charts, curves
from thalweg.report.diagnostics import diagnostics
from thalweg.report.forest import forest
from thalweg.report.inside import looks_at
from thalweg.report.learning import learning
from thalweg.report.markup import Markup, rich, tag
from thalweg.report.mistakes import captioned
from thalweg.report.origin import head, origin
from thalweg.report.page import page
from thalweg.report.pictures import pictures
from thalweg.report.results import meanings, table
from thalweg.report.svg import styles
from thalweg.report.tradeoffs import tradeoff_charts
from thalweg.report.words import failed, summary

__all__ = ["html"]

LEADS = {
    "numbers": "",
    "forest": "Each value as a point in its 95 % interval. If the value is only a bound, an arrow points to the side "
    "of the bounded quantity. A value far from all others is written at the edge. Each panel has its own axis.",
    "learning-curve": "The primary measure of each model over the number of training examples, on the same test "
    "examples. The smaller subsets are contained in the larger ones. Whiskers are 95 % intervals; lines connect the "
    "points, and no function is fitted to them.",
    "samples": "Samples in the order in which they were drawn, without selection, beside real examples.",
    "reconstructions": "Each example above its reconstruction: encoded and decoded by the model.",
    "interpolations": "Decoded interpolations between the latent codes of two examples, or between two draws of the "
    "prior.",
    "nearest": "Each sample above its nearest training image. If the two are alike, the model may have memorized the "
    "image; real examples, if shown, are the standard of comparison.",
    "curves": "The loss of each player over the steps; validation losses are dotted. Losses of different models are "
    "not comparable: use the table.",
    "diagnostics": "The critic's estimate of the distance between a batch and as many samples, beside the exact "
    "distance, which is above 0 even for equal distributions; the share of the batch that the samples cover (7/8 for "
    "equal distributions) and the spread of the samples relative to that of the examples (near 0: mode collapse); and "
    "the gradient norms of the critic's layers, from the first (dark) to the last (pale).",
    "bounds": "The mean log of the average of K importance weights: a lower bound on the log-likelihood that becomes "
    "tighter as K grows. If the curve still rises, more samples would give a higher bound.",
    "roc": "Detection of examples of another data set by their anomaly score: the true positive rate over the false "
    "positive rate. The legend gives the area under the curve; the dotted diagonal is chance level.",
    "classifiers": "The counts of labels and predicted classes; and the accuracy of predictions over their confidence, "
    "with larger marks for more examples: on the dotted diagonal, a classifier is calibrated.",
    "robustness": "The accuracy on images with noise, shift or blur over the severity; severity 0 is the accuracy on "
    "the same images without change.",
    "mistakes": "Misclassified examples of the split, with the highest probabilities of the predicted class, and the "
    "most frequent pairs of the label and another class, with the first examples of each: label → predicted class.",
    "inside": "The first test images, the same for every model. Saliency: how much the score of the predicted class "
    "changes with each pixel, brighter for more. Occlusion: how much a gray square at that place lowers this score, "
    "brighter for more; where it is dark, the square raises the score, and gray is no change. Nearest training "
    "images: those, of at most 2,000, with the most similar activations of the last hidden layer.",
    "tradeoffs": "The accuracy with its interval against the cost, on a logarithmic axis. The dotted line connects the "
    "Pareto-optimal models: no other model is at least as accurate at no larger cost, and better in one of them.",
    "meanings": "",
    "origin": "",
}


PLANE = {  # for data with two columns
    "reconstructions": "A line from each example (dot) to its reconstruction.",
    "interpolations": "Decoded interpolations between the latent codes of two examples; the dot is the first.",
    "nearest": "A line from each sample (dot) to its nearest training example. If all lines are much shorter than "
    "those of real examples, the model may have memorized the training data.",
}


def html(
    report: Mapping[str, Any],
    figures: Mapping[str, Sequence[Figure]],
    curves: Mapping[str, Sequence[Mapping[str, Any]]],
) -> str:
    """Return the page of a report, with the content of `report.json`, as one self-contained HTML document.

    `figures[model]` are those of its measures, each with the section it belongs to; those of "real" are held-out
    examples. `curves[model]` are the lines of `metrics.jsonl` of each seed. A section without content is omitted.

    Raises ValueError for a document that is not a report of this version.
    """
    if (report.get("schema"), report.get("version")) != ("thalweg-report", 2):
        raise ValueError(f"report: got {report.get('schema')!r} {report.get('version')!r}, wanted thalweg-report 2")
    body = [section for section in _sections(report, figures, curves) if section[2]]
    links = tag("ul", (tag("li", tag("a", title, href=f"#{anchor}")) for anchor, title, _ in body))
    content = rich(
        head(report),
        _failures(report),
        tag("section", tag("h2", "Summary"), summary(report), id="summary", class_="prose"),
        tag("nav", links, aria_label="Contents"),
        (_section(*section, LEADS | (PLANE if report["data"]["kind"] == "vector" else {})) for section in body),
    )
    return page(report["title"], content, report["versions"].get("thalweg", ""))


def _sections(
    report: Mapping[str, Any], drawn: Mapping[str, Sequence[Figure]], known: Any
) -> list[tuple[str, str, Markup]]:
    looks, data = styles(report), report["data"]

    def shown(section: str) -> Markup:
        return pictures(section, drawn, data, looks)

    return [
        ("numbers", "All measures", table(report, looks)),
        ("forest", "Intervals", forest(report, looks)),
        ("learning-curve", "Learning curve", learning(report, drawn, looks)),
        ("samples", "Samples", shown("samples")),
        ("reconstructions", "Reconstructions", shown("reconstructions")),
        ("interpolations", "Latent interpolations", shown("interpolations")),
        (
            "nearest",
            "Nearest training images" if data["kind"] == "image" else "Nearest training examples",
            shown("nearest"),
        ),
        ("curves", "Training curves", curves(known, looks)),
        ("diagnostics", "Diagnostics of GAN training", diagnostics(known, looks)),
        ("bounds", "Importance-weighted bounds", charts("bounds", drawn, looks)),
        ("roc", "Anomaly detection", charts("roc", drawn, looks)),
        ("classifiers", "Classifiers", charts("classifiers", drawn, looks)),
        ("robustness", "Robustness of classifiers", charts("robustness", drawn, looks)),
        ("mistakes", "Mistakes of classifiers", captioned("mistakes", drawn, data, looks)),
        ("inside", "What it looks at", looks_at(report, drawn, looks)),
        ("tradeoffs", "Accuracy against cost", tradeoff_charts(report["tradeoffs"], looks)),
        ("meanings", "What each measure means", meanings(report)),
        ("origin", "How to reproduce this report", origin(report)),
    ]


def _section(anchor: str, title: str, content: Markup, leads: Mapping[str, str]) -> Markup:
    lead = tag("p", leads[anchor], class_="lead") if leads[anchor] else None
    return tag("section", tag("h2", title), lead, content, id=anchor)


def _failures(report: Mapping[str, Any]) -> Markup:
    lines = failed(report)
    if not lines:
        return Markup()
    listed = tag("ul", (tag("li", line) for line in lines))
    return tag("aside", tag("h2", "Failures, warnings and notes"), listed, id="failures", class_="prose")
