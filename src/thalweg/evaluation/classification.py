"""Measures of classifiers: what `logits(x)` (B, K) is worth against labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.evaluation.estimate import Estimate
from thalweg.evaluation.examples import Examples
from thalweg.evaluation.findings import Findings
from thalweg.evaluation.intervals import mean_of, rate
from thalweg.evaluation.reference import Reference

__all__ = ["classification", "classification_measures"]


def classification_measures(model: Any, reference: Reference) -> Findings:
    """Return what `classification` gives of a model with `logits`, where the examples have labels."""
    found, classes = Findings(), reference.spec.classes
    if hasattr(model, "logits") and reference.test.y is not None:
        found.add(classification(model.logits, reference.test, classes and len(classes)))
    return found


def classification(
    logits: Callable[[Tensor], Tensor], examples: Examples, classes: int | None = None
) -> list[Estimate]:
    """Return the accuracy in %, with Wilson's interval, and the mean negative log-probability of the label, in nats.

    `classes` is how many logits are wanted an example. A tie of logits goes to the first class.

    Raises ValueError where the examples have no labels, or a label has no logit.

    >>> x = np.eye(3, dtype=np.float32)
    >>> [str(e) for e in classification(lambda x: 100 * x, Examples(x, np.array([0, 1, 2])))]
    ['100 [44, 100] %', '0 nats']
    """
    if examples.y is None:
        raise ValueError("logits: got examples without labels, wanted labels to judge a classifier by")
    y = np.asarray(examples.y, dtype=np.int64)
    hits, loss = 0, np.empty(len(y))
    for rows, x in examples.batches():
        with examples.noise("logits", rows):
            out = logits(x).double()
        wanted = torch.from_numpy(y[rows]).to(out.device)
        known = classes or out.shape[-1]
        if out.shape != (len(x), known) or int(wanted.max()) >= known:
            raise ValueError(
                f"logits: got shape {tuple(out.shape)} for labels up to {int(y.max())}, wanted ({len(x)}, {known})"
            )
        hits += int((out.argmax(dim=1) == wanted).sum())
        loss[rows] = torch.nn.functional.cross_entropy(out, wanted, reduction="none").cpu().numpy()
    protocol = dict(examples.protocol or {})
    return [
        rate("accuracy", hits, len(y), varies=examples.varies, protocol=protocol),
        mean_of("label loss", loss, unit="nats", better="lower", varies=examples.varies, protocol=protocol),
    ]
