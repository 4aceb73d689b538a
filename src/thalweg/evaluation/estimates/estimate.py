"""A value with its interval, its unit, what varies in it, and whether it is exact or a bound."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from thalweg.evaluation.estimates.student import student

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Estimate", "comparable", "difference", "differences", "equal"]

Kind = Literal["exact", "lower bound", "upper bound", "estimate"]
SIGNS = {"lower bound": "≥ ", "upper bound": "≤ "}


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A measured `value` with a 95 % interval [`low`, `high`] over what `varies`.

    `kind` relates the value to the quantity named: the quantity itself ("exact"), a bound on it, or a biased or sampled
    "estimate" of it. `protocol` holds what must agree if two values share a column; `method` is how this value was
    computed, which may differ. The length of an interval is independent of `kind`: a bound may be known precisely.

    >>> print(Estimate(name="log-likelihood", value=-86.7612, low=-87.0012, high=-86.5212, unit="nats",
    ...                kind="lower bound", varies="test examples", n=10000, better="higher"))
    ≥ -86.76 ± 0.24 nats
    """

    name: str
    value: float
    low: float
    high: float
    unit: str
    kind: Kind
    varies: str
    n: int
    better: Literal["higher", "lower"] | None  # None: the value describes the model, and is neither good nor bad
    protocol: Mapping[str, Any] = field(default_factory=dict)
    method: Mapping[str, Any] = field(default_factory=dict)
    # what the interval was computed from: one value per example or block; they pair the estimates of two models
    parts: np.ndarray[Any, Any] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise ValueError(
                f"{self.name}: got {self.value} with the interval [{self.low}, {self.high}], wanted it inside"
            )

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{SIGNS.get(self.kind, '')}{self.interval()}{unit}"

    def interval(self) -> str:
        """Return `value ± half-width`, or `value [low, high]` if the interval is asymmetric, with two digits of the
        width.

        >>> from thalweg.evaluation.estimates.intervals import rate
        >>> rate("accuracy", 991, 1000).interval()
        '99.10 [98.30, 99.53]'
        """
        width, ends = (self.high - self.low) / 2, (self.value, self.low, self.high)
        if all(0 <= end < 1e15 and end == round(end) for end in ends) and self.kind == "exact":  # a count
            return f"{self.value:,.0f}" + (f" [{self.low:,.0f}, {self.high:,.0f}]" if width else "")
        if width == 0 or not math.isfinite(width):
            known = f"{self.value:.6g}"
            return (
                known if width == 0 or not math.isfinite(self.value) else f"{known} [{self.low:.6g}, {self.high:.6g}]"
            )
        power = math.floor(math.log10(max(abs(self.value), width)))
        power = 0 if -4 <= power < 9 else power
        places = max(0, 1 - math.floor(math.log10(width)) + power)

        def text(number: float) -> str:
            return f"{number / 10.0**power:.{places}f}" + (f"e{power}" if power else "")

        if abs(self.high + self.low - 2 * self.value) > 0.1 * width:
            return f"{text(self.value)} [{text(self.low)}, {text(self.high)}]"
        return f"{text(self.value)} ± {text(width)}"

    def beats(self, other: Estimate) -> bool:
        """Return whether this value is better than `other` beyond the interval of their `difference`.

        >>> from thalweg.evaluation.estimates.intervals import rate
        >>> rate("accuracy", 99, 100).beats(rate("accuracy", 60, 100))
        True
        """
        apart = difference(self, other)
        return apart.low > 0 if self.better == "higher" else apart.high < 0

    def to_json(self) -> dict[str, Any]:
        """Return the fields as what `json.dumps` takes; infinities are the strings "inf" and "-inf"."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "parts"}
        for name in ("value", "low", "high"):
            if not math.isfinite(fields[name]):
                fields[name] = str(fields[name])
        return {**fields, "protocol": dict(self.protocol), "method": dict(self.method)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], parts: np.ndarray[Any, Any] | None = None) -> Estimate:
        """Return the estimate that `to_json` described."""
        numbers = {name: float(fields[name]) for name in ("value", "low", "high")}
        known = {f.name: fields[f.name] for f in dataclasses.fields(cls) if f.name in fields}
        return cls(**{**known, **numbers, "parts": parts})


def difference(a: Estimate, b: Estimate) -> Estimate:
    """Return a − b with its interval: Student's of paired differences if both have the same parts, else of independent
    samples.

    Parts are paired by example or by block, so what the two models share cancels. Without parts, or if the parts of
    neither vary, the ends are (a − b) ∓ √(l² + u²), with the half-widths towards each other: the method of variance
    estimates recovery. Values that differ by rounding alone have the difference 0.

    Raises ValueError if their protocols differ, with the fields.

    Reference: *Construction of confidence limits about effect measures: a general approach*, G. Y. Zou, A. Donner,
    2008.

    >>> from thalweg.evaluation.estimates.intervals import mean_of
    >>> one, two = (mean_of("error", x, unit="", better="lower") for x in ([1.0, 5.0], [1.5, 5.5]))
    >>> print(one)
    3 ± 25
    >>> print(difference(one, two))
    -0.5
    """
    comparable([a, b])
    value = 0.0 if equal(a.value, b.value) else a.value - b.value
    paired = a.parts is not None and b.parts is not None and len(a.parts) == len(b.parts)
    paired = paired and (_vary(a) or _vary(b))  # else Student's interval would be empty, which their own are not
    freedom: dict[str, int] = {}
    if not (math.isfinite(a.value) and math.isfinite(b.value)):
        low, high, how = value, value, "none, of an infinite value"
    elif paired and a.varies != "training seeds":
        half = student(a.parts - b.parts)  # type: ignore[operator]
        low, high, how = value - half, value + half, "Student, of paired differences"
        freedom = {"degrees of freedom": len(a.parts) - 1}  # type: ignore[arg-type]
    else:
        low = value - math.hypot(a.value - a.low, b.high - b.value)
        high = value + math.hypot(a.high - a.value, b.value - b.low)
        how = "of two independent samples"
    return dataclasses.replace(
        a,
        name=f"difference of {a.name}",
        value=value,
        low=low,
        high=high,
        kind="estimate",
        parts=None,
        method={"interval": how, **freedom},
    )


def equal(a: float, b: float) -> bool:
    """Return whether two values differ by no more than the rounding of a sum in float64; two infinities are equal.

    >>> equal(100.0, 99.99999999999999), equal(1.0, 1.000001)
    (True, False)
    """
    return a == b or math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-300)


def _vary(estimate: Estimate) -> bool:
    """Return whether the parts of an estimate vary by more than rounding."""
    assert estimate.parts is not None
    low, high = float(estimate.parts.min()), float(estimate.parts.max())
    return not math.isclose(low, high, rel_tol=1e-9, abs_tol=1e-300)


def differences(a: Estimate, b: Estimate) -> list[str]:
    """Return the names of the fields, also of the protocol, in which two estimates differ, so that they cannot share a
    column.

    >>> from thalweg.evaluation.estimates.intervals import rate
    >>> differences(rate("accuracy", 1, 2, protocol={"split": "test"}), rate("accuracy", 1, 2))
    ['split']
    """
    own = [name for name in ("name", "unit", "kind", "better", "varies") if getattr(a, name) != getattr(b, name)]
    fields = dict.fromkeys([*a.protocol, *b.protocol])
    return own + [name for name in fields if a.protocol.get(name) != b.protocol.get(name)]


def comparable(estimates: list[Estimate]) -> list[Estimate]:
    """Return the estimates if they may share a column; otherwise raise ValueError with what differs.

    >>> from thalweg.evaluation.estimates.intervals import rate
    >>> comparable([rate("accuracy", 1, 2, protocol={"split": "test"}), rate("accuracy", 1, 2)])
    Traceback (most recent call last):
    ValueError: accuracy: got two protocols, wanted one: split is 'test' and None
    """
    for other in estimates[1:]:
        first = estimates[0]
        text = [f"{name} is {_field(first, name)!r} and {_field(other, name)!r}" for name in differences(first, other)]
        if text:
            raise ValueError(f"{first.name}: got two protocols, wanted one: {', '.join(text)}")
    return estimates


def _field(estimate: Estimate, name: str) -> Any:
    return (
        getattr(estimate, name) if name in ("name", "unit", "kind", "better", "varies") else estimate.protocol.get(name)
    )
