"""The result of an evaluation: estimates, missing measures with their reasons, and figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.figures import Figure

__all__ = ["Findings", "Missing"]


@dataclass(frozen=True)
class Missing:
    """A measure that could not be computed, and why, in one line."""

    name: str
    reason: str
    group: str = ""


@dataclass
class Findings:
    """Estimates, missing measures, `tables` that `json.dumps` takes, and `figures`.

    >>> found = Findings()
    >>> found.attempt("half", lambda: 1 / 0)
    >>> found.missing
    [Missing(name='half', reason='ZeroDivisionError: division by zero', group='')]
    """

    estimates: list[Estimate] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    tables: dict[str, Any] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)

    def __iter__(self) -> Iterator[Estimate]:
        return iter(self.estimates)

    def __getitem__(self, name: str) -> Estimate:
        """Return the estimate of that name."""
        for estimate in self.estimates:
            if estimate.name == name:
                return estimate
        reason = "".join(f" ({m.name}: {m.reason})" for m in self.missing if m.name == name)
        raise KeyError(f"{name}: not measured{reason}; there are {', '.join(e.name for e in self.estimates)}")

    def figure(self, section: str) -> Figure:
        """Return the first figure of a section of the report; raise KeyError if there is none."""
        for figure in self.figures:
            if figure.section == section:
                return figure
        raise KeyError(f"{section}: no figure; there are {', '.join(f.section for f in self.figures) or 'none'}")

    def add(self, more: Findings | Estimate | Iterable[Estimate]) -> None:
        """Add the result of another evaluation, or estimates."""
        if isinstance(more, Findings):
            self.estimates += more.estimates
            self.missing += more.missing
            self.tables |= more.tables
            self.figures += more.figures
        else:
            self.estimates += [more] if isinstance(more, Estimate) else list(more)

    def attempt(self, name: str, measure: Callable[[], Findings | Estimate | Iterable[Estimate]]) -> None:
        """Add what `measure()` returns; if it raises, add the reason as a missing measure called `name`."""
        try:
            self.add(measure())
        except Exception as error:  # a defective model may raise anything
            reason = " ".join(str(error).split()) or "no reason given"
            known = isinstance(error, (ValueError, FloatingPointError))
            self.missing.append(Missing(name, reason if known else f"{type(error).__name__}: {reason}"))
