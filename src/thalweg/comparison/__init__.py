"""Comparison: models of different families, trained under one budget and evaluated by the same measures."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thalweg.comparison.plan import Candidate, Measuring, Plan
    from thalweg.comparison.side_by_side import compare, evaluate_run

__all__ = ["Candidate", "Measuring", "Plan", "compare", "evaluate_run"]

# Imported on first use: a plan is made without importing torch.
_WHERE = {
    "Candidate": "plan",
    "Measuring": "plan",
    "Plan": "plan",
    "compare": "side_by_side",
    "evaluate_run": "side_by_side",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
