"""The learning curve of a comparison: the primary measure of each model over the number of training examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.comparison.plan import Plan
from thalweg.data import Dataset
from thalweg.data.subsets import with_share
from thalweg.evaluation import Estimate, Findings
from thalweg.evaluation.estimates.figures import Axis, Curve

__all__ = ["PRIMARY", "learning_curve"]

PRIMARY = ("accuracy", "bits/dim", "log-likelihood", "squared error", "Fréchet distance")  # the first that a model has


def learning_curve(
    plan: Plan,
    dataset: Dataset,
    findings_of: Mapping[float, Mapping[str, Findings]],
    described: Mapping[float, Sequence[Mapping[str, Any]]],
) -> dict[str, Any]:
    """Return the field `learning_curve` of report.json, and add the curve of each model to the figures of share 1.

    `findings_of[share][model]` are measured on the same examples for every share; `described[share]` are the models
    with their trainings. No function is fitted to the points.
    """
    models = []
    for model in plan.models:
        known = {share: findings_of[share].get(model.name, Findings()) for share in plan.shares}
        names = {estimate.name for findings in known.values() for estimate in findings}
        measure = next((name for name in PRIMARY if name in names), None)
        points = []
        for share, findings in known.items():
            estimate = next((e for e in findings if e.name == measure), None)
            seeds = next(m["seeds"] for m in described[share] if m["name"] == model.name)
            shown = None if estimate is None else estimate.to_json() | {"text": str(estimate)}
            n = len(with_share(dataset, share, 0).train)
            points.append({"share": share, "examples": n, "estimate": shown, "seeds": seeds})
        if measure is not None:
            estimates = [next((e for e in findings if e.name == measure), None) for findings in known.values()]
            pairs = [(p["examples"], e) for p, e in zip(points, estimates, strict=True) if e is not None]
            findings_of[1.0].get(model.name, Findings()).figures.append(_curve(measure, pairs))
        models.append({"name": model.name, "measure": measure, "points": points})
    return {"fixed": plan.fixed, "shares": list(plan.shares), "models": models}


def _curve(measure: str, pairs: Sequence[tuple[int, Estimate]]) -> Curve:
    """Return the estimates over the number of training examples; infinite ends of intervals are not drawn."""
    estimates = [e for _, e in pairs]
    first = estimates[0]
    unit = f", {first.unit}" if first.unit and not measure.endswith(first.unit) else ""
    bounded = all(abs(e.low) < float("inf") and abs(e.high) < float("inf") for e in estimates)
    return Curve(
        section="learning-curve",
        panel=measure,
        x_axis=Axis(label="training examples", scale="log2"),
        y_axis=Axis(label=f"{measure}{unit}"),
        x=[float(n) for n, _ in pairs],
        y=[e.value for e in estimates],
        low=[e.low for e in estimates] if bounded else None,
        high=[e.high for e in estimates] if bounded else None,
        sizes=[1.0] * len(pairs),
        legend=f"({first.kind})" if "bound" in first.kind else "",
    )
