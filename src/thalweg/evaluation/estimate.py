"""A number with its interval, its unit, what varies in it, and whether it is exact or a bound."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Estimate", "comparable", "differences", "mean_of", "rate"]

Kind = Literal["exact", "lower bound", "upper bound", "estimate"]
SIGNS = {"lower bound": "≥ ", "upper bound": "≤ "}
Z95 = 1.959963984540054  # the 97.5 % point of the standard normal law


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A measured number: `value` with a 95 % interval [`low`, `high`] over what `varies` in it.

    `kind` says what the value is to the quantity named: the quantity itself ("exact"), a bound on it, or a biased or
    sampled "estimate" of it. `protocol` is what must agree for two numbers to share a column; `method` is how this
    one was reached, which may differ. Lengths of intervals say nothing of `kind`: a bound may be known precisely.

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
    better: Literal["higher", "lower"]
    protocol: Mapping[str, Any] = field(default_factory=dict)
    method: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise ValueError(
                f"{self.name}: got {self.value} with the interval [{self.low}, {self.high}], wanted it inside"
            )

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{SIGNS.get(self.kind, '')}{self.interval()}{unit}"

    def interval(self) -> str:
        """Return `value ± half-width`, or `value [low, high]` where it is lopsided, to two digits of the width.

        >>> rate("accuracy", 991, 1000).interval()
        '99.10 [98.30, 99.53]'
        """
        width = (self.high - self.low) / 2
        if width == 0 or not math.isfinite(width):
            known = f"{self.value:.6g}"
            return (
                known if width == 0 or not math.isfinite(self.value) else f"{known} [{self.low:.6g}, {self.high:.6g}]"
            )
        power = math.floor(math.log10(max(abs(self.value), width)))
        power = 0 if -4 <= power < 9 else power
        places = max(0, 1 - math.floor(math.log10(width)) + power)

        def told(number: float) -> str:
            return f"{number / 10.0**power:.{places}f}" + (f"e{power}" if power else "")

        if abs(self.high + self.low - 2 * self.value) > 0.1 * width:
            return f"{told(self.value)} [{told(self.low)}, {told(self.high)}]"
        return f"{told(self.value)} ± {told(width)}"

    def beats(self, other: Estimate) -> bool:
        """Whether this number is better than `other` beyond both intervals. Two protocols are refused.

        >>> rate("accuracy", 99, 100).beats(rate("accuracy", 60, 100))
        True
        """
        comparable([self, other])
        return self.low > other.high if self.better == "higher" else self.high < other.low

    def to_json(self) -> dict[str, Any]:
        """Return the fields as what `json.dumps` takes; infinities are the strings "inf" and "-inf"."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for name in ("value", "low", "high"):
            if not math.isfinite(fields[name]):
                fields[name] = str(fields[name])
        return {**fields, "protocol": dict(self.protocol), "method": dict(self.method)}


def rate(
    name: str, hits: int, n: int, *, varies: str = "test examples", better: str = "higher", **rest: Any
) -> Estimate:
    """Return the rate `hits`/`n` in %, with Wilson's interval: right for rates near 0 and 100 % too.

    The centre is (p + z²/2n) / (1 + z²/n) and the half-width z √(p(1−p)/n + z²/4n²) / (1 + z²/n).

    Raises ValueError unless 0 ≤ hits ≤ n and n ≥ 1.

    Reference: Probable inference, the law of succession, and statistical inference, E. B. Wilson, 1927.

    >>> print(rate("accuracy", 9, 10))
    90 [60, 98] %
    """
    if not (n >= 1 and 0 <= hits <= n):
        raise ValueError(f"{name}: got {hits} hits of {n}, wanted 0 ≤ hits ≤ n and n ≥ 1")
    p, shrink = hits / n, 1 + Z95**2 / n
    centre = (p + Z95**2 / (2 * n)) / shrink
    half = Z95 * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2)) / shrink
    low, high = min(centre - half, p), max(centre + half, p)  # at p = 0 and 1 they meet but for rounding
    fields: dict[str, Any] = {"unit": "%", "kind": "exact", "varies": varies, "n": n, "better": better, **rest}
    return Estimate(name=name, value=100 * p, low=100 * max(low, 0.0), high=100 * min(high, 1.0), **fields)


def mean_of(
    name: str,
    values: ArrayLike,
    *,
    unit: str,
    better: str,
    kind: str = "exact",
    varies: str = "test examples",
    **rest: Any,
) -> Estimate:
    """Return the mean of `values` (n,), with Student's interval: mean ± t₀.₉₇₅(n−1) s / √n. Sums are in float64.

    One value gives an infinite interval, an infinite value an infinite mean. A NaN is never dropped from the mean:
    it raises FloatingPointError.

    >>> print(mean_of("error", [1.0, 2.0, 3.0], unit="", better="lower"))
    2.0 ± 2.5
    """
    import numpy as np
    from scipy.special import stdtrit

    array = np.asarray(values, dtype=np.float64).reshape(-1)
    n = len(array)
    if n == 0:
        raise ValueError(f"{name}: got no values, wanted at least one")
    infinite = np.unique(array[~np.isfinite(array)])
    if len(infinite) > 1 or np.isnan(infinite).any():
        raise FloatingPointError(f"{name}: {int((~np.isfinite(array)).sum())} of {n} values are not finite")
    if len(infinite):
        value = low = high = float(infinite[0])
    else:
        value = float(array.mean())
        half = float(stdtrit(n - 1, 0.975) * array.std(ddof=1) / math.sqrt(n)) if n > 1 else math.inf
        low, high = value - half, value + half
    fields: dict[str, Any] = {"unit": unit, "kind": kind, "varies": varies, "n": n, "better": better, **rest}
    return Estimate(name=name, value=value, low=low, high=high, **fields)


def differences(a: Estimate, b: Estimate) -> list[str]:
    """Name what keeps two estimates out of one column: fields that say what is measured, and protocol fields.

    >>> differences(rate("accuracy", 1, 2, protocol={"split": "test"}), rate("accuracy", 1, 2))
    ['split']
    """
    own = [name for name in ("name", "unit", "kind", "better", "varies") if getattr(a, name) != getattr(b, name)]
    fields = dict.fromkeys([*a.protocol, *b.protocol])
    return own + [name for name in fields if a.protocol.get(name) != b.protocol.get(name)]


def comparable(estimates: list[Estimate]) -> list[Estimate]:
    """Return the estimates if they may share a column; else raise ValueError naming what differs.

    >>> comparable([rate("accuracy", 1, 2, protocol={"split": "test"}), rate("accuracy", 1, 2)])
    Traceback (most recent call last):
    ValueError: accuracy: got two protocols, wanted one: split is 'test' and None
    """
    for other in estimates[1:]:
        first = estimates[0]
        told = [f"{name} is {_field(first, name)!r} and {_field(other, name)!r}" for name in differences(first, other)]
        if told:
            raise ValueError(f"{first.name}: got two protocols, wanted one: {', '.join(told)}")
    return estimates


def _field(estimate: Estimate, name: str) -> Any:
    return (
        getattr(estimate, name) if name in ("name", "unit", "kind", "better", "varies") else estimate.protocol.get(name)
    )
