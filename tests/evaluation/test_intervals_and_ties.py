"""Intervals with all their sources of error, differences with the right ends, ties at the floor of real data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from thalweg.evaluation import Findings, difference, over_seeds
from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.intervals import mean_of, rate
from thalweg.evaluation.examples import Examples
from thalweg.evaluation.measures.copying import _copied, _spread, closeness
from thalweg.evaluation.measures.parzen import parzen_measures
from thalweg.evaluation.reference import Reference, raw_features
from thalweg.report.rows import _p_value, holm, rows


def estimate(name: str, value: float, low: float, high: float, **rest: Any) -> Estimate:
    fields: dict[str, Any] = {"unit": "%", "kind": "estimate", "varies": "samples", "n": 100, "better": "lower"}
    return Estimate(name=name, value=value, low=low, high=high, **{**fields, **rest})


def test_each_end_of_a_difference_has_the_half_width_toward_it() -> None:
    a, b = estimate("x", 10.0, 9.0, 14.0), estimate("x", 0.0, -1.0, 5.0)
    apart = difference(a, b)
    assert apart.low == pytest.approx(10 - math.hypot(10 - 9, 5 - 0))
    assert apart.high == pytest.approx(10 + math.hypot(14 - 10, 0 - -1))
    assert difference(b, a).low == pytest.approx(-apart.high)


def test_seeds_of_two_models_are_not_pairs() -> None:
    """Seed 0 of one model has nothing in common with seed 0 of another: what happens to agree must not cancel."""
    one, two = (over_seeds([rate("accuracy", hits + more, 1000) for hits in (800, 850, 900)]) for more in (0, 10))
    apart = difference(two, one)
    assert apart.value == pytest.approx(1.0)
    assert apart.high - apart.low > 20
    assert "independent" in apart.method["interval"]


def test_examples_are_pairs() -> None:
    x = np.random.default_rng(0).normal(size=50)
    one, two = (mean_of("error", x + more, unit="", better="lower") for more in (0.0, 1.0))
    assert difference(two, one).high - difference(two, one).low == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("ties", [False, True])
def test_the_spread_is_that_of_mann_and_whitney(ties: bool) -> None:
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(1)
    a, b = rng.normal(size=40), rng.normal(size=70) + 0.3
    if ties:
        a, b = a.round(), b.round()
    result = mannwhitneyu(a, b, method="asymptotic", use_continuity=False, alternative="less")
    z = closeness(a, b)
    from scipy.special import ndtr

    assert float(ndtr(z)) == pytest.approx(result.pvalue, rel=1e-9)
    assert _spread(a, b) == pytest.approx(
        math.sqrt((len(a) + len(b) + 1) / (12 * len(a) * len(b))), rel=0.1 if ties else 1e-12
    )


def copied(ours: np.ndarray, held_out: np.ndarray) -> Estimate:
    return _copied(ours, held_out, {"n": len(ours), "varies": "samples", "protocol": {}})


@pytest.mark.parametrize(("n", "copies"), [(180, 0.0), (500, 0.0), (500, 0.05), (2000, 0.0), (2000, 0.05)])
def test_the_interval_of_copied_samples_covers_the_long_run(n: int, copies: float) -> None:
    """In 400 repeats neither too rarely nor too often. Wilson's, of samples alone, covers 83 to 90 % at 0 copies."""
    rng, hits, repeats = np.random.default_rng(0), 0, 400
    truth = 100 * (copies + (1 - copies) * 0.01)
    for _ in range(repeats):
        held_out, ours = rng.exponential(size=n), rng.exponential(size=n)
        ours = np.where(rng.random(n) < copies, 1e-9 * rng.random(n), ours)
        result = copied(ours, held_out)
        hits += result.low <= truth <= result.high
    assert 0.93 <= hits / repeats <= 0.985


@pytest.mark.parametrize(("n", "m", "copies"), [(180, 180, 0.0), (300, 900, 0.1), (400, 250, 0.3)])
def test_the_interval_of_copied_samples_is_the_bootstraps(n: int, m: int, copies: float) -> None:
    """The ends are computed; drawing resamples of the distance, and shares given it, comes to the same."""
    rng = np.random.default_rng(3)
    held_out, ours = rng.exponential(size=m), rng.exponential(size=n)
    ours[: int(copies * n)] = 0.0
    rank = math.ceil(0.01 * m)
    limits = np.sort(rng.choice(held_out, (4000, m)), axis=1)[:, rank - 1]
    hits = (ours <= limits[:, None]).sum(axis=1)
    wanted = np.quantile(rng.beta(hits + 0.5, n - hits + 0.5), [0.025, 0.975])
    result = copied(ours, held_out)
    assert [result.low, result.high] == pytest.approx(100 * wanted, rel=0.06, abs=0.1)


@pytest.mark.parametrize("n", [180, 500, 2000])
def test_copies_of_all_and_of_none_have_short_intervals(n: int) -> None:
    held_out = np.random.default_rng(0).exponential(size=n) + 1.0
    every, none = copied(np.zeros(n), held_out), copied(np.full(n, 99.0), held_out)
    assert (every.value, every.high, none.value, none.low) == (100.0, 100.0, 0.0, 0.0)
    assert every.low == pytest.approx(100 - none.high)
    assert none.high < 260 / n
    assert none.beats(every)


def test_samples_at_the_limiting_distance_are_counted() -> None:
    """Distances of few values, as of binary images: those equal to the limit count in the interval, too."""
    held_out = np.repeat([1.0, 2.0], 100)
    result = copied(np.ones(200), held_out)
    assert (result.value, result.high) == (100.0, 100.0)
    assert result.low > 98


def test_copies_among_held_out_examples_make_the_measure_missing() -> None:
    held_out = np.where(np.arange(200) < 4, 0.0, 1.0)
    with pytest.raises(ValueError, match="equal a training example"):
        _copied(np.ones(200), held_out, {"n": 200, "varies": "samples", "protocol": {}})


class Sampler:
    """A model whose samples are given."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = torch.from_numpy(x)

    def sample(self, n: int, generator: Any = None) -> torch.Tensor:
        return self.x[:n]


def test_the_width_of_kernels_is_chosen_on_validation_examples() -> None:
    from thalweg.data import Spec

    rng = np.random.default_rng(0)
    spec = Spec(name="line", kind="vector", shape=(1,), mean=(0.0,), std=(1.0,))
    samples = np.repeat(np.array([[-5.0], [5.0]]), 200, axis=0)  # two points: the best σ is the spread around them

    def around(sigma: float) -> Examples:
        return Examples(np.where(rng.random((400, 1)) < 0.5, -5, 5) + sigma * rng.normal(size=(400, 1)), None, {})

    reference = Reference(spec=spec, test=around(2.0), validation=around(0.5), features=raw_features(spec), samples=400)
    result = parzen_measures(Sampler(samples), reference)
    assert result["Parzen window"].method["σ"] == pytest.approx(0.5, rel=0.15)


def findings(name: str, value: float, half: float, **rest: Any) -> Findings:
    return Findings([estimate(name, value, value - half, value + half, **rest)])


def test_values_below_that_of_real_data_are_equal() -> None:
    values = {"a": 0.1, "b": 0.6, "c": 5.0, "real": 0.7}
    row = rows({name: findings("copied samples", v, 0.05) for name, v in values.items()}, ["real"])[0]
    assert [name for name, cell in row["cells"].items() if cell["best"]] == ["a", "b"]
    assert row["cells"]["c"]["separated"] is True
    assert row["cells"]["a"]["estimate"]["value"] == 0.1  # shown as measured


def test_values_that_are_all_below_that_of_real_data_have_no_best() -> None:
    values = {"a": 0.1, "b": 0.6, "real": 0.7}
    row = rows({name: findings("copied samples", v, 0.05) for name, v in values.items()}, ["real"])[0]
    assert not any(cell["best"] for cell in row["cells"].values())


def test_accuracies_below_chance_level_are_equal_to_it() -> None:
    values = {"a": 44.0, "b": 49.0, "c": 53.0, "d": 90.0}
    cells = rows({name: findings("C2ST accuracy", v, 2.0) for name, v in values.items()})[0]["cells"]
    assert [name for name, cell in cells.items() if cell["best"]] == ["a", "b"]
    assert (cells["c"]["separated"], cells["d"]["separated"]) == (True, True)
    assert cells["a"]["estimate"]["value"] == 44.0  # shown as measured
    cells = rows({name: findings("C2ST accuracy", v, 2.0) for name, v in {"a": 44.0, "c": 51.0}.items()})[0]["cells"]
    assert cells["c"]["separated"] is False


def test_shares_above_that_of_the_true_distribution_are_equal() -> None:
    values, method = {"a": 100.0, "b": 99.5, "c": 98.0, "d": 90.0}, {"of the truth itself, %": 98.89}
    result = {name: findings("good samples", v, 0.1, better="higher", method=method) for name, v in values.items()}
    cells = rows(result)[0]["cells"]
    assert [name for name, cell in cells.items() if cell["best"]] == ["a", "b"]
    assert (cells["c"]["separated"], cells["d"]["separated"]) == (True, True)


def test_holm_by_hand() -> None:
    """Of 4: 0.01·4, 0.02·3, 0.03·2, 0.5·1, and none below one before it."""
    adjusted = holm({"a": 0.02, "b": 0.5, "c": 0.01, "d": 0.03})
    assert {name: round(p, 12) for name, p in adjusted.items()} == {"c": 0.04, "a": 0.06, "d": 0.06, "b": 0.5}
    assert holm({}) == {}
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}


def test_a_single_difference_may_not_survive_the_number_of_models() -> None:
    """Each of ten is 2.2 standard errors from the best: separated alone (p = 0.028), not among ten."""
    half = 1.959963984540054 / math.sqrt(2)
    result = {"best": findings("recall", 50.0, half, better="higher")}
    result |= {f"m{i}": findings("recall", 50.0 - 2.2 - 0.001 * i, half, better="higher") for i in range(10)}
    cells = rows(result)[0]["cells"]
    assert all(cells[f"m{i}"]["separated"] is True for i in range(10))
    assert not any(cells[f"m{i}"]["separated_holm"] for i in range(10))
    two = rows({name: result[name] for name in ("best", "m0")})[0]["cells"]
    assert two["m0"]["separated_holm"] is True


@pytest.mark.parametrize("blocks", [2, 5, 10, 1000])
def test_the_p_value_of_pairs_is_students(blocks: int) -> None:
    """Holm reads levels far below 5 %, where ten blocks have heavier tails than the normal distribution."""
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(0)
    for shift in (0.0, 0.5, 2.0, 10.0):
        x, y = rng.normal(size=(2, blocks))
        a, b = (mean_of("KID", z, unit="", better="lower") for z in (x + shift, y))
        assert _p_value(a, b) == pytest.approx(ttest_rel(x + shift, y).pvalue, rel=1e-6)


@pytest.mark.parametrize(
    ("apart", "wanted"), [(0.0, 1.0), (1.0, 0.317310507863), (1.959963984540, 0.05), (4.0, 6.334e-5)]
)
def test_the_p_value_of_independent_samples_is_normal(apart: float, wanted: float) -> None:
    half = 1.959963984540054 / math.sqrt(2)
    a, b = (estimate("recall", value, value - half, value + half) for value in (apart, 0.0))
    assert _p_value(a, b) == pytest.approx(wanted, rel=1e-3)
    assert _p_value(b, a) == pytest.approx(wanted, rel=1e-3)


def test_the_p_value_is_of_the_half_width_toward_zero() -> None:
    """0 is 10 away on the side of 10: p = 0.05; the other side, four times as wide, is none of its business."""
    a, b = estimate("x", 10.0, 0.0, 50.0), estimate("x", 0.0, 0.0, 0.0)
    assert _p_value(a, b) == pytest.approx(0.05)
    assert _p_value(b, a) == pytest.approx(0.05)
    mirrored = estimate("x", -10.0, -50.0, 0.0)
    assert _p_value(mirrored, b) == pytest.approx(0.05)


@pytest.mark.parametrize("end", [math.inf, -math.inf])
def test_the_p_value_beside_an_infinite_value(end: float) -> None:
    a, b = estimate("x", end, end, end), estimate("x", 1.0, 0.0, 2.0)
    assert _p_value(a, b) == 0.0
    assert _p_value(a, a) == 1.0
    unknown = estimate("x", 0.0, -math.inf, math.inf)
    assert _p_value(unknown, b) == 1.0


def test_holm_keeps_the_chance_of_any_false_difference() -> None:
    """Ten equal models beside one, of ten blocks each: with the normal distribution in 8 % of repeats."""
    rng, false = np.random.default_rng(0), 0
    for _ in range(400):
        first, *others = (mean_of("KID", x, unit="", better="lower") for x in rng.normal(size=(11, 10)))
        false += min(holm({str(i): _p_value(e, first) for i, e in enumerate(others)}).values()) < 0.05
    assert false / 400 <= 0.06


def test_bounds_of_simulated_data_have_a_note_and_no_best() -> None:
    result = {n: findings("BDMC upper", -80.0 - i, 1.0, varies="simulated examples") for i, n in enumerate("ab")}
    row = rows(result)[0]
    assert "simulated" in row["note"]
    assert not any(cell["best"] for cell in row["cells"].values())
