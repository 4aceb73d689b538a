"""The rows of a comparison: one per measure and protocol, with a cell per model, the best value, and what differs from
it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from thalweg.evaluation import Estimate, Findings, difference, differences, over_seeds
from thalweg.evaluation.estimates.estimate import equal
from thalweg.evaluation.groups import GROUPS, group_of

__all__ = ["averaged", "holm", "rows"]

LEVEL = 0.05  # level of Holm's test over the models of a row


def averaged(seeds: Sequence[Findings]) -> Findings:
    """Return the findings of several trainings of one model as one: estimates over seeds, figures of the first."""
    if len(seeds) == 1:
        return seeds[0]
    findings_of = Findings([], list(seeds[0].missing), dict(seeds[0].tables), list(seeds[0].figures))
    for estimate in seeds[0].estimates:
        same = [e for e in (_same(estimate, other) for other in seeds) if e is not None]
        if estimate.varies == "nothing" and len({e.value for e in same}) == 1:
            findings_of.add(estimate)
        elif len(same) == len(seeds):
            findings_of.add(over_seeds(same))
        else:
            findings_of.add(estimate)
    return findings_of


def _same(estimate: Estimate, findings_of: Findings) -> Estimate | None:
    return next((e for e in findings_of.estimates if not differences(e, estimate)), None)


def rows(findings_of: Mapping[str, Findings], baselines: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the rows of report.json's `measures` from the findings of each model, by name.

    Estimates share a row if their name, unit, kind and every field of the protocol are equal. If a measure has several
    rows, the note of each says in which fields of the protocol it differs. The best value is chosen among models, not
    baselines; another model is separated from it if the interval of their difference does not contain 0.
    """
    result: list[dict[str, Any]] = []
    for name in _names(findings_of):
        groups: list[dict[str, Estimate]] = []
        for model, findings in findings_of.items():
            for estimate in findings.estimates:
                if estimate.name == name:
                    row = next((row for row in groups if _may_join(estimate, next(iter(row.values())))), None)
                    if row is None:
                        groups.append({model: estimate})
                    else:
                        row[model] = estimate
        result += [_row(name, row, groups, findings_of, baselines) for row in groups]
    return result


def _may_join(a: Estimate, b: Estimate) -> bool:
    # `varies` may differ: a baseline has no training seeds, and each cell states its own
    return not [d for d in differences(a, b) if d != "varies"]


def _names(findings_of: Mapping[str, Findings]) -> list[str]:
    names = dict.fromkeys(e.name for findings in findings_of.values() for e in findings.estimates)
    order = [group.name for group in GROUPS]
    return sorted(names, key=lambda name: order.index(group_of(name).name))  # stable within a group


def _row(
    name: str,
    row: Mapping[str, Estimate],
    groups: Sequence[Mapping[str, Estimate]],
    findings_of: Mapping[str, Findings],
    baselines: Sequence[str],
) -> dict[str, Any]:
    first, group = next(iter(row.values())), group_of(name)
    rivals = {m: e for m, e in row.items() if m not in baselines} if group.section != "cost" and first.better else {}
    limit = _limit(name, row)
    rivals = {m: e if limit is None else _limited(e, limit) for m, e in rivals.items()}
    values = [e.value for e in rivals.values()]
    if all(equal(value, values[0]) for value in values) or first.varies == "simulated examples":
        rivals = {}  # a single model, or equal values, or different examples: there is no best value
    best = _best(rivals)
    adjusted = holm({m: _p_value(e, rivals[best]) for m, e in rivals.items() if m != best}) if best else {}
    cells: dict[str, Any] = {}
    for model, findings in findings_of.items():
        if model in row:
            flag = row[model].method.get("flag")
            content = {"estimate": row[model].to_json() | {"text": str(row[model])}, "flag": flag}
            first_of = best is not None and model in rivals and equal(rivals[model].value, rivals[best].value)
            ranked = best is not None and model in rivals and not first_of
            separated = _separated(rivals[model], rivals[best]) if ranked and best else None
            p = adjusted.get(model) if ranked and separated is not None else None
            cells[model] = content | {"best": first_of, "separated": separated}
            cells[model]["separated_holm"] = None if p is None else p < LEVEL
        else:
            elsewhere = any(model in other for other in groups)
            cells[model] = {
                "reason": "the value is in another row with the name of this measure"
                if elsewhere
                else _reason(name, group, findings)
            }
    return {
        "name": name,
        "group": group.section,
        "unit": first.unit,
        "kind": first.kind,
        "better": None if group.section == "cost" or first.varies == "simulated examples" else first.better,
        "varies": first.varies,
        "meaning": group.meanings[name.partition(":")[0]],
        "protocol": dict(first.protocol),
        "note": _note(first, [next(iter(other.values())) for other in groups if other is not row]),
        "cells": cells,
    }


def _limit(name: str, row: Mapping[str, Estimate]) -> float | None:
    """Return the value of the data themselves for measures that cannot be better than that; otherwise None."""
    if name == "copied samples":
        return row["real"].value if "real" in row else None
    if name == "C2ST accuracy":
        return 50.0  # chance level
    if name == "good samples":
        return next(iter(row.values())).method.get("of the truth itself, %")
    return None


def _limited(e: Estimate, limit: float) -> Estimate:
    """Return the estimate as it is compared with others: not better than the limit."""
    bound = min if e.better == "higher" else max
    return replace(e, value=bound(e.value, limit), low=bound(e.low, limit), high=bound(e.high, limit))


def _best(rivals: Mapping[str, Estimate]) -> str | None:
    if not rivals:
        return None
    sign = 1 if next(iter(rivals.values())).better == "higher" else -1
    return max(rivals, key=lambda m: sign * rivals[m].value)


def _separated(a: Estimate, best: Estimate) -> bool | None:
    if differences(a, best):
        return None  # an interval over seeds and one over examples cannot be compared
    apart = difference(a, best)
    return not apart.low <= 0 <= apart.high


def _p_value(a: Estimate, best: Estimate) -> float:
    """Return the two-sided p-value of the difference: below 0.05 if its 95 % interval does not contain 0.

    It is Student's, with the degrees of freedom of paired differences, or that of the normal distribution with the
    interval.
    """
    from scipy.special import stdtr, stdtrit

    if differences(a, best):
        return 1.0
    apart = difference(a, best)
    toward = apart.value - apart.low if apart.value > 0 else apart.high - apart.value
    if not toward > 0:
        return 0.0 if apart.value else 1.0
    freedom = apart.method.get("degrees of freedom", math.inf)
    return float(2 * stdtr(freedom, -abs(apart.value) / toward * stdtrit(freedom, 0.975)))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values adjusted by Holm's method: the i-th smallest of k, times k − i + 1, never below the one before
    it.

    If adjusted values below 0.05 are called differences, the probability of any false one is at most 5 %.

    Reference: *A simple sequentially rejective multiple test procedure*, S. Holm, 1979.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    findings_of: dict[str, float] = {}
    before = 0.0
    for i, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        before = findings_of[name] = min(1.0, max(before, (len(p_values) - i) * p_values[name]))
    return findings_of


def _reason(name: str, group: Any, findings: Findings) -> str:
    for wanted in (name, name.partition(":")[0]):
        for missing in findings.missing:
            if missing.name == wanted:
                return missing.reason
    inside = [m.reason for m in findings.missing if m.group == group.name]
    return inside[0] if inside else f"needs {group.wanted}"


def _note(first: Estimate, others: Sequence[Estimate]) -> str | None:
    """Return in which fields a row differs from others of its name, and whether its examples are simulated.

    Unit and kind are fields of the row, which are shown beside the note; `varies` is a field of each cell.
    """
    shown = ("unit", "kind", "varies")
    fields = dict.fromkeys(d for other in others for d in differences(first, other) if d not in shown)
    content = [f"{f}: {vars(first).get(f, first.protocol.get(f))}" for f in fields]
    if first.varies == "simulated examples":
        content.append("of examples that each model itself simulated, not of the data: do not compare with AIS")
    return ", ".join(content) or None
