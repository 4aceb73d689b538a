"""Intervals against published formulas and simulation, and arguments that an estimate refuses."""

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy import stats

from thalweg.evaluation import Estimate, comparable, differences, mean_of, rate
from thalweg.evaluation.estimates.estimate import difference
from thalweg.evaluation.estimates.intervals import over_seeds
from thalweg.evaluation.measures.cost import known_value
from thalweg.evaluation.statistics.ranks import aupr


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (991, 1000), (81, 263), (1, 1)])
def test_wilson_is_scipys(hits, n):
    interval = stats.binomtest(hits, n).proportion_ci(method="wilson")
    findings = rate("accuracy", hits, n)
    assert (findings.low, findings.high) == pytest.approx((100 * interval.low, 100 * interval.high), abs=1e-10)
    assert findings.value == pytest.approx(100 * hits / n)


def test_wilson_by_a_published_value():
    # Newcombe 1998, table I, method 3: 81 of 263 → .2553 to .3662
    findings = rate("p", 81, 263)
    assert (round(findings.low, 2), round(findings.high, 2)) == (25.53, 36.62)


def test_student_is_scipys():
    values = np.random.default_rng(0).normal(3.0, 2.0, 17)
    findings = mean_of("x", values, unit="nats", better="lower")
    wanted = stats.t.interval(0.95, 16, values.mean(), stats.sem(values))
    assert (findings.low, findings.high) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.97])
def test_coverage_of_wilson(p):
    draws = np.random.default_rng(1).binomial(200, p, 3000)
    covered = [findings.low <= 100 * p <= findings.high for findings in (rate("p", int(k), 200) for k in draws)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("n", [3, 30])
def test_coverage_of_student(n):
    random = np.random.default_rng(2)
    findings = [mean_of("x", random.normal(-1.0, 5.0, n), unit="", better="lower") for _ in range(1000)]
    assert np.mean([e.low <= -1.0 <= e.high for e in findings]) == pytest.approx(0.95, abs=0.03)


def test_nan_is_an_error_and_infinity_is_kept():
    with pytest.raises(FloatingPointError, match="x: 1 of 3 values are not finite"):
        mean_of("x", [1.0, math.nan, 2.0], unit="", better="lower")
    with pytest.raises(FloatingPointError):
        mean_of("x", [math.inf, -math.inf], unit="", better="lower")
    findings = mean_of("log-likelihood", [-1.0, -math.inf], unit="nats", better="higher")
    assert findings.value == findings.low == findings.high == -math.inf
    assert json.loads(json.dumps(findings.to_json(), allow_nan=False))["value"] == "-inf"
    with pytest.raises(ValueError, match="at least one"):
        mean_of("x", [], unit="", better="lower")


def test_one_value_has_an_infinite_interval():
    findings = mean_of("x", [4.0], unit="nats", better="lower")
    assert str(findings) == "4 [-inf, inf] nats"


def test_two_protocols_are_refused():
    a = rate("accuracy", 90, 100, protocol={"split": "test", "fingerprint": "a1"})
    b = rate("accuracy", 50, 100, protocol={"split": "test", "fingerprint": "b2"})
    assert differences(a, b) == ["fingerprint"]
    with pytest.raises(ValueError, match="fingerprint is 'a1' and 'b2'"):
        a.beats(b)
    assert a.beats(rate("accuracy", 50, 100, protocol=a.protocol))
    assert not a.beats(rate("accuracy", 88, 100, protocol=a.protocol))


def test_a_bound_and_an_exact_number_share_no_column():
    a = mean_of("bits/dim", [3.0, 3.1], unit="bits/dim", better="lower", kind="exact")
    b = mean_of("bits/dim", [3.0, 3.1], unit="bits/dim", better="lower", kind="upper bound")
    assert differences(a, b) == ["kind"]
    with pytest.raises(ValueError, match="kind is 'exact' and 'upper bound'"):
        comparable([a, b])


def test_method_may_differ():
    a = rate("accuracy", 1, 2, method={"draws": 1})
    b = rate("accuracy", 1, 2, method={"draws": 5})
    assert comparable([a, b]) == [a, b]


def test_lower_is_better_for_losses():
    a, b = (mean_of("loss", [v, v + 0.1], unit="nats", better="lower") for v in (1.0, 10.0))
    assert a.beats(b)
    assert not b.beats(a)


@pytest.mark.parametrize(
    ("low", "value", "high", "kind", "text"),
    [
        (1.0, 1.5, 2.0, "exact", "1.50 ± 0.50 nats"),
        (1.49, 1.5, 1.51, "upper bound", "≤ 1.500 ± 0.010 nats"),
        (-1120.0, -1000.0, -880.0, "lower bound", "≥ -1000 ± 120 nats"),
        (1.0, 1.1, 2.0, "exact", "1.10 [1.00, 2.00] nats"),
        (2.0, 2.0, 2.0, "exact", "2 nats"),
        (5.43e-14, 5.63e-14, 5.83e-14, "exact", "5.63e-14 ± 0.20e-14 nats"),
        (-1e12, 2e12, 5e12, "exact", "2.0e12 ± 3.0e12 nats"),
    ],
)
def test_standard_form(low, value, high, kind, text):
    fields = {"unit": "nats", "varies": "test examples", "n": 9, "better": "lower"}
    assert str(Estimate(name="x", value=value, low=low, high=high, kind=kind, **fields)) == text


def test_a_value_outside_its_interval_is_refused():
    with pytest.raises(ValueError, match="x: got 3"):
        Estimate(name="x", value=3, low=1, high=2, unit="", kind="exact", varies="seeds", n=2, better="lower")
    for hits, n in ((3, 2), (-1, 2), (0, 0)):
        with pytest.raises(ValueError, match="hits"):
            rate("p", hits, n)


def test_differences_by_rounding_are_not_separated():
    scores = np.arange(40.0)
    one = aupr("AUPR", scores, scores + 40)
    other = dataclasses.replace(one, value=99.99999999999999, parts=one.parts - 1e-14)
    apart = difference(one, other)
    assert apart.value == 0.0
    assert apart.low < 0 < apart.high
    assert not one.beats(other)


def test_parts_that_do_not_vary_are_compared_by_the_intervals_of_the_estimates():
    """Of 10 examples each, all and none: their Wilson intervals are apart; 1 of 1 and none of 1 are not."""
    for n, separated in ((10, True), (1, False)):
        all_right, all_wrong = rate("p", n, n), rate("p", 0, n)
        all_right = dataclasses.replace(all_right, parts=np.full(n, 100.0))
        all_wrong = dataclasses.replace(all_wrong, parts=np.zeros(n))
        apart = difference(all_right, all_wrong)
        assert apart.low == pytest.approx(100 - math.hypot(100 - all_right.low, all_wrong.high))
        assert (apart.low > 0) == separated


def test_seeds_with_equal_values_keep_the_interval_over_examples():
    one = mean_of("error", [1.0, 2.0, 3.0], unit="", better="lower")
    both = over_seeds([one, one])
    assert (both.value, both.low, both.high, both.varies) == (one.value, one.low, one.high, "test examples")
    assert both.method["trainings"] == "2, of equal values"
    other = over_seeds([one, dataclasses.replace(one, value=2.5)])
    assert other.varies == "training seeds"


def test_counts_are_written_in_full():
    assert str(known_value("MACs", 555_422_720)) == "555,422,720"
    assert str(known_value("MACs", 3_858_000_001)) == "3,858,000,001"
