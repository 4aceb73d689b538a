"""Measures of classifiers, from `logits(x)` (B, K) and labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.abilities import Classifies
from thalweg.checks import positive
from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.figures import Axis, Curve, Matrix
from thalweg.evaluation.estimates.findings import Findings, Missing
from thalweg.evaluation.estimates.intervals import mean_of, rate
from thalweg.evaluation.examples import Examples
from thalweg.evaluation.measures.mistakes import mistakes
from thalweg.evaluation.reference import Reference
from thalweg.evaluation.statistics.calibration import calibration, calibration_error
from thalweg.evaluation.statistics.temperature import fit_temperature

__all__ = ["Answers", "answers", "classification", "classification_measures", "confusion", "scaled", "top_k"]

Array = np.ndarray[Any, Any]
TOP = 5

MEANINGS = {
    "accuracy": "The share of examples whose most probable class is the label. If classes are rare, see the measures "
    "of each class, too.",
    "top-5 accuracy": "The share of examples whose label is among the five most probable classes; with few classes it "
    "says little.",
    "label loss": "The mean negative log-probability of the label: 0 is perfect, the log of the number of classes is "
    "chance level. A few confident mistakes can dominate it.",
    "calibration error": "The mean difference between confidence and accuracy (ECE): 0 is perfect calibration. It is "
    "biased upwards, more so with fewer examples.",
    "Brier score": "The mean squared difference between the probabilities and the label, Σ_k (p_k − [k = y])²: 0 is "
    "perfect, 2 the worst. Unlike the calibration error, it cannot be lowered by worse predictions.",
    "temperature": "The number that the logits are divided by so that the label loss on validation examples is lowest: "
    "above 1, the classifier is too confident; below 1, too cautious. It changes no prediction.",
    "scaled label loss": "The label loss after temperature scaling, with the temperature fitted on validation "
    "examples.",
    "scaled Brier score": "The Brier score after temperature scaling.",
    "scaled calibration error": "The calibration error after temperature scaling. It may be higher than before, since "
    "the temperature minimizes the label loss.",
}


def classification_measures(model: Classifies, reference: Reference) -> Findings:
    """Return the measures of a classifier, if the examples have labels."""
    if reference.test.y is None:
        return Findings()
    spec, test, held_out = reference.spec, reference.test, reference.validation
    number = len(spec.classes) if spec.classes else None
    got = answers(model.logits, test, number)
    findings = classification(got, test, spec.classes, images=spec.kind == "image")
    if held_out is not None and held_out.y is not None:
        known = held_out
        findings.attempt("temperature", lambda: scaled(answers(model.logits, known, number), known, got, test))
    return findings


def scaled(known: Answers, held_out: Examples, got: Answers, test: Examples) -> Findings:
    """Return the temperature that is fitted on `held_out` examples, and the measures of `test` examples after scaling.

    `known` and `got` are the predictions for both.

    These are the label loss, Brier score and calibration error of softmax(z/T). Where the loss has no minimum on the
    held-out examples, as without any error there, the temperature is missing with the reason and T is 1: a model is not
    left out of the comparison because it is too good.
    """
    findings, value, method = Findings(), 1.0, {"T": "1, since none could be fitted"}
    try:
        temperature = fit_temperature(known.log_prob, known.y)
    except ValueError as error:
        findings.missing.append(Missing("temperature", str(error)))
    else:
        value, method = temperature.value, {}
        findings.add(temperature.estimate(protocol=held_out.protocol))
    got = at_temperature(got, value)
    shared: dict[str, Any] = {"varies": test.varies, "protocol": test.protocol, "method": method}
    findings.add(mean_of("scaled label loss", got.loss, unit="nats", better="lower", **shared))
    findings.add(mean_of("scaled Brier score", got.brier, unit="", better="lower", **shared))

    def error_of() -> Estimate:
        error = calibration_error(
            got.confidence, got.rank < 1, seed=test.seed, varies=test.varies, protocol=test.protocol
        )
        return replace(error, name="scaled calibration error", method={**error.method, **method})

    findings.attempt("scaled calibration error", error_of)
    return findings


def classification(
    got: Answers,
    examples: Examples,
    classes: tuple[str, ...] | None = None,
    *,
    images: bool = False,
) -> Findings:
    """Return accuracy, label loss, Brier score and calibration error of predictions, and the figures they come from.

    Accuracy in % with Wilson's interval, of more than five classes also of the five likeliest; the mean negative
    log-probability of the label in nats; the calibration error in %. Figures are the confusion matrix (counts, true ×
    predicted, with precision, recall and F1 of each class as fractions, None where the denominator is 0) and the
    calibration curve (the bins that hold examples, sized by their number), and of `images` those of mistakes. Tables
    are the most confident mistakes and the most frequent confusions. `classes` are the names of the K logits.

    >>> examples = Examples(np.eye(3, dtype=np.float32), np.array([0, 1, 2]))
    >>> [str(e) for e in classification(answers(lambda x: 100 * x, examples), examples).estimates]
    ['100 [44, 100] %', '0 nats', '0', '0 %']
    """
    names, hits = classes or tuple(map(str, range(got.classes))), got.rank < 1
    shared: dict[str, Any] = {"varies": examples.varies, "protocol": examples.protocol}
    findings = Findings()
    findings.add(top_k(got.rank, 1, **shared))
    if got.classes > TOP:
        findings.add(top_k(got.rank, TOP, **shared))
    findings.add(mean_of("label loss", got.loss, unit="nats", better="lower", **shared))
    findings.add(mean_of("Brier score", got.brier, unit="", better="lower", **shared))
    findings.attempt("calibration error", lambda: calibration_error(got.confidence, hits, seed=examples.seed, **shared))
    bins = calibration(got.confidence, hits)
    counts = confusion(got.y, got.predicted, got.classes)
    findings.figures = [
        Matrix(
            section="classifiers",
            panel="confusion matrix",
            rows=list(names),
            columns=list(names),
            values=counts.tolist(),
            caption="rows: the label; columns: the predicted class",
            details=_per_class(names, counts),
        ),
        Curve(
            section="classifiers",
            panel="calibration",
            x_axis=Axis(label="confidence", range=(0, 1)),
            y_axis=Axis(label="accuracy", range=(0, 1)),
            x=[float(c) for c in bins.confidence],
            y=[float(a) for a in bins.accuracy],
            sizes=[float(n) for n in bins.n],
            diagonal=True,
        ),
    ]
    findings.add(mistakes(got.y, got.predicted, got.confidence, examples, names, images=images))
    return findings


@dataclass(frozen=True)
class Answers:
    """The predictions for N examples with labels `y`, all (N,).

    The `predicted` class and its probability, the `confidence`; the label's `rank`, 0 if it is the most probable class;
    and the `loss`, its negative log-probability in nats. `brier` is the squared distance between the probabilities and
    the label; `log_prob` (N, K) are all log-probabilities, float32. Of equal logits the first class counts.
    """

    y: Array
    predicted: Array
    confidence: Array
    rank: Array
    loss: Array
    brier: Array
    log_prob: Array
    classes: int


def answers(logits: Callable[[Tensor], Tensor], examples: Examples, classes: int | None = None) -> Answers:
    """Return the predictions from the `logits` (B, K); K must be `classes` if that is given.

    Raises ValueError where the examples have no labels, there is one class only, or a label has no logit.

    >>> x = np.array([[2.0, 0.0], [0.0, 3.0]])
    >>> answers(lambda x: x, Examples(x, np.array([0, 0]))).rank
    array([0, 1])
    """
    if examples.y is None:
        raise ValueError("logits: got examples without labels, wanted labels to judge a classifier by")
    y = np.asarray(examples.y, dtype=np.int64)
    predicted, rank = np.empty_like(y), np.empty_like(y)
    confidence, loss, brier, known = np.empty(len(y)), np.empty(len(y)), np.empty(len(y)), 0
    log_probs: list[Array] = []
    for rows, x in examples.batches():
        with examples.noise("logits", rows):
            out = logits(x)
            if not isinstance(out, Tensor):
                raise ValueError(f"logits: got {type(out).__name__}, wanted a tensor (B, K)")
            out = out.double()
        known = classes or out.shape[-1]
        if out.shape != (len(x), known):
            raise ValueError(f"logits: got shape {tuple(out.shape)}, wanted ({len(x)}, {known})")
        if known < 2:
            raise ValueError(f"logits: got {known} class, wanted at least 2")
        if not 0 <= y.min() <= y.max() < known:
            raise ValueError(f"labels: got {y.min()} to {y.max()}, wanted 0 to {known - 1}, one of the {known} logits")
        log_prob = out.log_softmax(dim=1)
        broken = int(log_prob.isnan().any(dim=1).sum())
        if broken:
            raise FloatingPointError(f"logits: NaN for {broken} of {len(x)} examples")
        label = torch.from_numpy(y[rows]).to(out.device)[:, None]
        own = out.gather(1, label)
        before = torch.arange(known, device=out.device) < label
        best = log_prob.max(dim=1)
        predicted[rows] = out.argmax(dim=1).cpu().numpy()
        confidence[rows] = best.values.exp().cpu().numpy()
        rank[rows] = ((out > own) | ((out == own) & before)).sum(dim=1).cpu().numpy()
        loss[rows] = -log_prob.gather(1, label)[:, 0].cpu().numpy()
        p = log_prob.exp()
        brier[rows] = (p.square().sum(dim=1) - 2 * p.gather(1, label)[:, 0] + 1).cpu().numpy()
        log_probs.append(log_prob.float().cpu().numpy())
    return Answers(y, predicted, confidence, rank, loss, brier, np.concatenate(log_probs), known)


def at_temperature(got: Answers, temperature: float) -> Answers:
    """Return the predictions after dividing the logits by a temperature, which changes no class and no rank.

    >>> got = answers(lambda x: x, Examples(np.array([[4.0, 0.0]]), np.array([0])))
    >>> bool(np.isclose(at_temperature(got, 2.0).confidence[0], 1 / (1 + np.exp(-2.0))))
    True
    """
    log_prob = got.log_prob.astype(np.float64) / temperature
    log_prob -= log_prob.max(axis=1, keepdims=True)
    log_prob -= np.log(np.exp(log_prob).sum(axis=1, keepdims=True))
    rows, p = np.arange(len(got.y)), np.exp(log_prob)
    brier = np.square(p).sum(axis=1) - 2 * p[rows, got.y] + 1
    return replace(got, confidence=p.max(axis=1), loss=-log_prob[rows, got.y], brier=brier,
                   log_prob=log_prob.astype(np.float32))  # fmt: skip


def top_k(rank: Array, k: int, **shared: Any) -> Estimate:
    """Return the share of labels with a `rank` below `k`, in %: "accuracy", or "top-k accuracy" for k above 1.

    Its parts are 100 for a correct and 0 for a wrong prediction, which pair two classifiers of the same examples.

    >>> print(top_k(np.array([0, 3, 1, 0]), k=2))
    75 [30, 95] %
    """
    hits = rank < positive("k", k)
    return rate("accuracy" if k == 1 else f"top-{k} accuracy", int(hits.sum()), len(hits), parts=100.0 * hits, **shared)


def confusion(y: Array, predicted: Array, classes: int) -> Array:
    """Return the number of examples of each class (row) that were predicted as each class (column).

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    return np.bincount(y * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _per_class(names: tuple[str, ...], counts: Array) -> list[dict[str, Any]]:
    right, true, taken = np.diagonal(counts), counts.sum(axis=1), counts.sum(axis=0)

    def ratio(a: float, b: float) -> float | None:
        return float(a / b) if b else None

    return [
        {
            "class": name,
            "n": int(true[k]),
            "precision": ratio(right[k], taken[k]),
            "recall": ratio(right[k], true[k]),
            "F1": ratio(2 * right[k], true[k] + taken[k]),
        }
        for k, name in enumerate(names)
    ]
