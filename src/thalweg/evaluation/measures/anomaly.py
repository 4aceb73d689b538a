"""Detection of examples of other data by a model's anomaly score."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from thalweg.abilities import Classifies, Decodes, Encodes, HasElbo, HasLogProb, Scores, names_of
from thalweg.data.dataset import Spec
from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.figures import Axis, Curve
from thalweg.evaluation.estimates.findings import Findings
from thalweg.evaluation.examples import Examples, per_example
from thalweg.evaluation.reference import Reference
from thalweg.evaluation.statistics.ranks import aupr, auroc, roc
from thalweg.randomness import fold

__all__ = ["Score", "anomaly_measures", "score_of", "scores", "simple_anomalies"]

Array = np.ndarray[Any, Any]
MIN_EXAMPLES = 20  # examples of each: with fewer, leaving out a block says little

MEANINGS = {
    "anomaly AUROC": "The probability that an example of other data gets a higher anomaly score than an example of "
    "the model's own data: 100 % is perfect separation, 50 % is chance level, and below 50 % the other data look more "
    "normal than the model's own, which happens to flows and VAEs with simpler images.",
    "anomaly AUPR": "The mean precision of anomaly detection over all thresholds, with as many anomalies as normal "
    "examples: 100 % is perfect, 50 % is chance level. The most anomalous examples have the largest weight.",
}


class Score(NamedTuple):
    """An anomaly score with its name: `of` maps raw examples `(B, *shape)` to scores (B,), higher for more anomalous
    ones.
    """

    of: Callable[[Tensor], Tensor]
    name: str


SCORED_BY = ((Scores,), (HasLogProb,), (HasElbo,), (Encodes, Decodes), (Classifies,))  # abilities, the preferred first


def score_of(model: object, spec: Spec | None) -> Score:
    """Return the anomaly score of a model: the first that its abilities allow.

    `score`; −log p(x) of `log_prob`; −`elbo`; ‖x − decode(encode(x))‖², with columns of vectors in standard deviations;
    minus the largest softmax probability of `logits`.

    Raises ValueError for a model with none of these.

    Reference: *A baseline for detecting misclassified and out-of-distribution examples in neural networks*, D.
    Hendrycks, K. Gimpel, 2017, arXiv:1610.02136.

    >>> class Unsure:
    ...     def logits(self, x):
    ...         return x
    >>> score = score_of(Unsure(), spec=None)
    >>> score.name, score.of(torch.tensor([[0.0, 0.0], [0.0, 50.0]])).tolist()
    ('−largest softmax probability', [-0.5, -1.0])
    """
    if isinstance(model, Scores):
        return Score(model.score, "the model's own score")
    if isinstance(model, HasLogProb):
        log_prob = model.log_prob
        return Score(lambda x: -log_prob(x), "−log_prob")
    if isinstance(model, HasElbo):
        elbo = model.elbo
        return Score(lambda x: -elbo(x), "−elbo")
    if isinstance(model, Encodes) and isinstance(model, Decodes):
        encode, decode = model.encode, model.decode
        std = torch.tensor(spec.std if spec and spec.kind == "vector" and spec.std else 1.0, dtype=torch.float64)

        def squared_error(x: Tensor) -> Tensor:
            apart = (decode(encode(x)).double() - x.double()) / std.to(x.device)
            return apart.square().flatten(1).sum(dim=1)

        return Score(squared_error, "squared reconstruction error")
    if isinstance(model, Classifies):
        logits = model.logits
        return Score(lambda x: -logits(x).double().softmax(dim=1).amax(dim=1), "−largest softmax probability")
    raise ValueError(
        f"score: {type(model).__name__} has no anomaly score, "
        f"wanted {', or '.join(' and '.join(names_of(abilities)) for abilities in SCORED_BY)}"
    )


def scores(score: Score, examples: Examples) -> Array:
    """Return the score of every example, float64 (N,); it may be infinite. Raises FloatingPointError for NaN."""
    values = per_example(examples, "score", score.of)
    broken = int(np.isnan(values).sum())
    if broken:
        raise FloatingPointError(f"score: NaN for {broken} of {len(values)} examples, by {score.name}")
    return values


def anomaly_measures(model: object, reference: Reference) -> Findings:
    """Return AUROC and AUPR in % of the test examples against equally many examples of each data set of anomalies.

    The ROC curves are figures of the section "roc".
    """
    findings = Findings()
    if not reference.anomalies:
        return findings
    score = score_of(model, reference.spec)
    normal = scores(score, reference.test)
    for name, others in reference.anomalies.items():

        def measured(name: str = name, others: Examples = others) -> list[Estimate]:
            a, b = _as_many(normal, others, score, reference, name)
            n, seed = len(a), reference.seed
            protocol = {**reference.test.protocol, "anomalies": name, "n of each": n, "seed": seed}
            shared: dict[str, Any] = {"protocol": protocol, "method": {"score": score.name}}
            curve = auroc(f"anomaly AUROC: {name}", a, b, **shared)
            false, true = roc(a, b)
            axes: dict[str, Any] = {"x_axis": Axis(label="false positive rate", range=(0, 1)),
                    "y_axis": Axis(label="true positive rate", range=(0, 1))}  # fmt: skip
            legend = f"{curve.value:.1f} %"
            findings.figures.append(
                Curve(section="roc", panel=name, x=false, y=true, diagonal=True, legend=legend, **axes)
            )
            return [curve, aupr(f"anomaly AUPR: {name}", a, b, seed=seed, **shared)]

        findings.attempt(f"anomaly AUROC: {name}", measured)
    return findings


def _as_many(normal: Array, others: Examples, score: Score, reference: Reference, name: str) -> tuple[Array, Array]:
    """Return the scores of equally many normal and anomalous examples; of the larger set, a subset is chosen by the
    seed.
    """
    wanted, got = tuple(reference.spec.shape), tuple(np.shape(others.x)[1:])
    if got != wanted:
        raise ValueError(f"anomalies: got '{name}' of shape {got}, wanted {wanted}")
    anomalous = scores(score, others)
    n = min(len(normal), len(anomalous))
    if n < MIN_EXAMPLES:
        raise ValueError(
            f"anomalies: got {len(normal)} test examples and {len(anomalous)} of '{name}', "
            f"wanted at least {MIN_EXAMPLES}"
        )
    seed = fold(reference.seed, "anomalies", name)
    a, b = (x[np.random.default_rng(fold(seed, i)).permutation(len(x))[:n]] for i, x in enumerate((normal, anomalous)))
    return a, b


def simple_anomalies(spec: Spec, x: Array, seed: int) -> dict[str, Array]:
    """Return anomalies made from the data `x` `(n, *shape)` alone, by name, as many as there are examples.

    For images: "noise", uniform levels; "flat", one random level per image, which is simpler than any real image and
    which flows and VAEs find more normal than their own data; "shuffled", the pixels of real images, each in a random
    order. For vectors: "box", uniform in the bounding box; "shuffled", each column permuted by itself, with the right
    marginals and no dependence (omitted for a single column). For tokens: none.

    Reference: *Do deep generative models know what they don't know?*, E. Nalisnick, A. Matsukawa, Y. W. Teh, D. Gorur,
    B. Lakshminarayanan, 2019, arXiv:1810.09136.

    >>> from types import SimpleNamespace
    >>> findings = simple_anomalies(SimpleNamespace(kind="vector"), np.array([[1.0, 5.0], [2.0, 6.0]]), seed=0)
    >>> {name: y.shape for name, y in findings.items()}
    {'box': (2, 2), 'shuffled': (2, 2)}
    """
    x = np.asarray(x)

    def draw(name: str) -> np.random.Generator:
        return np.random.default_rng(fold(seed, "simple anomalies", name))

    if spec.kind == "image":
        level = draw("flat").integers(0, spec.levels, (len(x), 1, 1, 1))
        pixels = x.reshape(*x.shape[:2], -1)
        order = draw("shuffled").permuted(
            np.broadcast_to(np.arange(pixels.shape[2]), (len(x), pixels.shape[2])), axis=1
        )
        return {
            "noise": draw("noise").integers(0, spec.levels, x.shape).astype(x.dtype),
            "flat": np.broadcast_to(level, x.shape).astype(x.dtype),
            "shuffled": np.take_along_axis(pixels, order[:, None], axis=2).reshape(x.shape),
        }
    if spec.kind == "vector":
        box = draw("box").uniform(x.min(axis=0), x.max(axis=0), x.shape).astype(x.dtype)
        return {"box": box} | ({"shuffled": draw("shuffled").permuted(x, axis=0)} if x.shape[1] > 1 else {})
    return {}
