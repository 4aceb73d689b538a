"""Estimates with 95 % intervals: rates, means, jackknifed statistics, means over training seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from thalweg.evaluation.estimates.estimate import Estimate, comparable, equal
from thalweg.evaluation.estimates.student import student

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["jackknifed", "mean_of", "over_seeds", "rate"]

Z95 = 1.959963984540054  # the 97.5 % quantile of the standard normal distribution


def rate(
    name: str, hits: int, n: int, *, varies: str = "test examples", better: str = "higher", **rest: Any
) -> Estimate:
    """Return the rate `hits`/`n` in % with Wilson's interval, which is valid near 0 and 100 % as well.

    The center is (p + z²/2n) / (1 + z²/n) and the half-width z √(p(1−p)/n + z²/4n²) / (1 + z²/n).

    Raises ValueError unless 0 ≤ hits ≤ n and n ≥ 1.

    Reference: *Probable inference, the law of succession, and statistical inference*, E. B. Wilson, 1927.

    >>> print(rate("accuracy", 9, 10))
    90 [60, 98] %
    """
    if not (n >= 1 and 0 <= hits <= n):
        raise ValueError(f"{name}: got {hits} hits of {n}, wanted 0 ≤ hits ≤ n and n ≥ 1")
    p, shrink = hits / n, 1 + Z95**2 / n
    centre = (p + Z95**2 / (2 * n)) / shrink
    half = Z95 * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2)) / shrink
    low, high = min(centre - half, p), max(centre + half, p)  # equal at p = 0 and 1 except for rounding
    fields: dict[str, Any] = {"unit": "%", "kind": "exact", "varies": varies, "n": n, "better": better, **rest}
    fields["method"] = {"interval": "Wilson", **fields.get("method", {})}
    return Estimate(name=name, value=100 * p, low=100 * max(low, 0.0), high=100 * min(high, 1.0), **fields)


def mean_of(
    name: str,
    values: ArrayLike,
    *,
    unit: str,
    better: str | None,
    kind: str = "exact",
    varies: str = "test examples",
    **rest: Any,
) -> Estimate:
    """Return the mean of `values` (n,) with Student's interval, mean ± t₀.₉₇₅(n−1) s / √n. Sums are in float64.

    A single value has an infinite interval, and an infinite value an infinite mean. A NaN raises FloatingPointError.

    >>> print(mean_of("error", [1.0, 2.0, 3.0], unit="", better="lower"))
    2.0 ± 2.5
    """
    import numpy as np

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
        value, half = float(array.mean()), student(array)
        low, high = value - half, value + half
    fields: dict[str, Any] = {"unit": unit, "kind": kind, "varies": varies, "n": n, "better": better, **rest}
    fields["method"] = {"interval": "Student", **fields.get("method", {})}
    return Estimate(name=name, value=value, low=low, high=high, parts=array, **fields)


def jackknifed(
    name: str,
    value: float,
    left_out: Sequence[float],
    *,
    n: int,
    better: str | None,
    unit: str = "",
    kind: str = "estimate",
    varies: str = "samples",
    least: float = -math.inf,
    most: float = math.inf,
    **rest: Any,
) -> Estimate:
    """Return `value` ± t₀.₉₇₅(B−1) √((B−1)/B Σ(θ_b − θ̄)²), where θ_b is the value without block b of B, within limits.

    It is for statistics that are not means, such as a distance between two samples, which the repeated examples of a
    bootstrap would bias. The pseudo-values Bθ − (B−1)θ_b are the `parts`: they pair the estimates of two models on the
    same blocks.

    Raises FloatingPointError if a value is not finite.

    Reference: *The jackknife, the bootstrap and other resampling plans*, B. Efron, 1982.

    >>> print(jackknifed("mean", 2.0, [2.5, 2.0, 1.5], n=3, better="lower"))  # of 1, 2, 3: as Student's
    2.0 ± 2.5
    """
    import numpy as np

    others = np.asarray(left_out, dtype=np.float64)
    if not (math.isfinite(value) and np.isfinite(others).all()):
        raise FloatingPointError(f"{name}: got {value}, wanted finite values with and without each block")
    parts = len(others) * value - (len(others) - 1) * others
    half = student(parts)
    fields: dict[str, Any] = {"unit": unit, "kind": kind, "varies": varies, "n": n, "better": better, **rest}
    fields["method"] = {"interval": f"delete-a-block jackknife, {len(others)} blocks", **fields.get("method", {})}
    low, high = min(max(value - half, least), value), max(min(value + half, most), value)
    return Estimate(name=name, value=value, low=low, high=high, parts=parts, **fields)


def over_seeds(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean of one measure over several trainings, with Student's interval over the training seeds.

    If all trainings have the same value, as with a model that does not depend on the seed, it is the estimate of the
    first, with its own interval.

    Raises ValueError if the estimates may not share a column, or if there are fewer than two.

    >>> seeds = [rate("accuracy", hits, 100) for hits in (90, 92, 94)]
    >>> print(over_seeds(seeds), over_seeds(seeds).varies)
    92.0 ± 5.0 % training seeds
    """
    if len(estimates) < 2:
        raise ValueError(f"seeds: got {len(estimates)} trainings, wanted at least 2")
    first = comparable(list(estimates))[0]
    if all(equal(e.value, first.value) for e in estimates):
        # Equal seeds say nothing of the spread over seeds, which Student's interval would take to be 0.
        return replace(first, method={**first.method, "trainings": f"{len(estimates)}, of equal values"})
    mean = mean_of(
        first.name,
        [e.value for e in estimates],
        unit=first.unit,
        better=first.better,
        kind=first.kind,
        varies="training seeds",
        protocol=first.protocol,
        method={**first.method, "interval": f"Student, over {len(estimates)} trainings"},
    )
    if first.unit == "%":  # a rate stays within 0 and 100 %
        return replace(mean, low=max(mean.low, 0.0), high=min(mean.high, 100.0))
    return mean
