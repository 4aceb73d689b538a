"""Areas under the ROC and precision-recall curves: how well scores rank anomalous examples above normal ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.intervals import rate
from thalweg.evaluation.estimates.student import student
from thalweg.randomness import fold

__all__ = ["aupr", "auroc", "roc"]

Array = np.ndarray[Any, Any]
BLOCKS, POINTS = 10, 100
VARIES = "test examples and anomalies"


def auroc(name: str, normal: Array, anomalous: Array, **rest: Any) -> Estimate:
    """Return P(anomalous > normal) + ½ P(equal) in % for equally many scores of both, with DeLong's interval on the
    logit.

    The `parts` are the structural components V_i = mean over the other class of 1[anomalous > normal] + ½ 1[equal],
    scaled about their mean so that Student's variance of all 2n of them is DeLong's, (s²_anomalous + s²_normal)/n. So
    the parts of two scores of the same examples have DeLong's covariance.

    Reference: *Comparing the areas under two or more correlated receiver operating characteristic curves*, E. R.
    DeLong, D. M. DeLong, D. L. Clarke-Pearson, 1988. *Fast implementation of DeLong's algorithm*, X. Sun, W. Xu, 2014.

    >>> print(auroc("AUROC", np.array([0.0, 1.0, 2.0, 3.0]), np.array([2.5, 3.5, 4.5, 5.5])))
    94 [30, 100] %
    """
    from scipy.stats import rankdata
    from sklearn.metrics import roc_auc_score

    n = _as_many(normal, anomalous, 2)
    both = rankdata(np.concatenate([normal, anomalous]))  # midranks, which infinite scores have as well
    area = float(roc_auc_score(np.repeat([0, 1], n), both))
    worth = np.concatenate([1 - (both[:n] - rankdata(normal)) / n, (both[n:] - rankdata(anomalous)) / n])
    parts = area + (worth - area) * math.sqrt((4 * n - 2) / (n - 1))
    return _bounded(name, area, parts, n, "DeLong", kind="exact", **rest)


def aupr(name: str, normal: Array, anomalous: Array, *, seed: int = 0, **rest: Any) -> Estimate:
    """Return the average precision in % for anomalous and equally many normal scores, with a jackknife interval.

    Blocks contain random examples of both classes. 50 % is chance level.

    >>> print(aupr("AUPR", np.zeros(20), np.ones(20)))
    100.0 [83.9, 100.0] %
    """
    from scipy.stats import rankdata
    from sklearn.metrics import average_precision_score

    n = _as_many(normal, anomalous, 2 * BLOCKS)
    values, truth = rankdata(np.concatenate([normal, anomalous])), np.repeat([0, 1], n)
    draws = [np.random.default_rng(fold(seed, "blocks", name)) for name in ("normal", "strange")]
    turn = np.concatenate([draw.permutation(n) for draw in draws]) % BLOCKS
    precision = [float(average_precision_score(truth[turn != b], values[turn != b])) for b in range(-1, BLOCKS)]
    parts = BLOCKS * precision[0] - (BLOCKS - 1) * np.array(precision[1:])
    return _bounded(name, precision[0], parts, n, f"delete-a-block jackknife, {BLOCKS} blocks", kind="estimate", **rest)


def _as_many(normal: Array, anomalous: Array, least: int) -> int:
    n = len(normal)
    if n != len(anomalous) or n < least:
        raise ValueError(
            f"scores: got {n} normal and {len(anomalous)} anomalous, wanted as many of each, at least {least}"
        )
    return n


def _bounded(name: str, value: float, parts: Array, n: int, how: str, *, varies: str = VARIES, **rest: Any) -> Estimate:
    """Return a value in [0, 1] in %, with Student's interval of its parts on the logit scale, which stays within 0 and
    100 %.

    If the parts do not vary, as when every pair is ordered correctly, it is Wilson's interval of a share of n.
    """
    from scipy.special import expit, logit

    if np.ptp(parts) > 1e-9:
        half = student(parts) / (value * (1 - value))
        low, high, how = 100 * expit(logit(value) - half), 100 * expit(logit(value) + half), f"{how}, on the logit"
    else:
        wilson = rate(name, round(value * n), n)
        low, high, how = wilson.low, wilson.high, "Wilson, of parts that do not vary"
    ends: dict[str, Any] = {
        "low": min(float(low), 100 * value),
        "value": 100 * value,
        "high": max(float(high), 100 * value),
    }
    fields: dict[str, Any] = {"unit": "%", "better": "higher", "n": 2 * n, "varies": varies, **rest}
    fields["method"] = {"interval": how, **fields.get("method", {})}
    return Estimate(name=name, parts=100 * parts, **ends, **fields)


def roc(normal: Array, anomalous: Array) -> tuple[list[float], list[float]]:
    """Return false and true positive rates, as fractions, at up to 100 points of the ROC curve, from (0, 0) to (1, 1).

    >>> roc(np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    ([0.0, 0.0, 0.5, 1.0], [0.0, 0.5, 1.0, 1.0])
    """
    from scipy.stats import rankdata
    from sklearn.metrics import roc_curve

    truth = np.repeat([0, 1], [len(normal), len(anomalous)])
    false, true, _ = roc_curve(truth, rankdata(np.concatenate([normal, anomalous])))
    kept = np.unique(np.linspace(0, len(false) - 1, POINTS).round().astype(int))
    return false[kept].tolist(), true[kept].tolist()
