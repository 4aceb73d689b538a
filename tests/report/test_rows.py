"""The table: which values share a row, which is best, and which are not separated from the best."""

import json

import numpy as np
import pytest

from thalweg.comparison.store import load_findings, save_findings
from thalweg.evaluation import Estimate, Findings, Missing, jackknifed, mean_of, rate
from thalweg.evaluation.estimates.figures import ImageGrid
from thalweg.evaluation.measures.cost import known_value
from thalweg.report.rows import averaged, rows

RANDOM = np.random.default_rng(0)
EASY = RANDOM.normal(3.0, 1.0, 200)  # what all models find hard in the same examples


def bits(values, **rest):
    fields = {"unit": "bits/dim", "better": "lower", "kind": "upper bound", "protocol": {"data": "d"}, **rest}
    return mean_of("bits/dim", values, **fields)


def by_name(findings, baselines=()):
    return {(row["name"], row["kind"]): row for row in rows(findings, baselines)}


def test_the_best_is_marked_and_pairs_are_separated_by_their_differences():
    noise = RANDOM.normal(0.0, 0.01, 200)
    findings = {
        "a": Findings([bits(EASY)]),
        "b": Findings([bits(EASY + 0.02 + noise)]),  # far less apart than either's interval, on the same examples
        "c": Findings([bits(EASY + 2 * noise - noise.mean())]),
        "real": Findings([bits(EASY - 9)]),
    }
    row = by_name(findings, ["real"])["bits/dim", "upper bound"]
    cells = row["cells"]
    best = min(("a", "b", "c"), key=lambda m: cells[m]["estimate"]["value"])
    assert cells[best]["best"]
    assert sum(cell["best"] for cell in cells.values()) == 1
    assert cells["b"]["separated"] is True
    assert {cells["a"]["separated"], cells["c"]["separated"]} == {None, False}
    assert (cells["real"]["best"], cells["real"]["separated"]) == (False, None)


def test_rows_differ_in_protocol_and_the_note_names_the_fields_without_kind_and_unit():
    findings = {
        "bound": Findings([bits(EASY)]),
        "exact": Findings([bits(EASY, kind="exact")]),
        "other data": Findings([bits(EASY, protocol={"data": "e"})]),
    }
    result = rows(findings)
    assert len(result) == 3
    assert [sum("estimate" in cell for cell in row["cells"].values()) for row in result] == [1, 1, 1]
    assert [row["note"] for row in result] == ["data: d", "data: d", "data: e"]
    assert [row["kind"] for row in result] == ["upper bound", "exact", "upper bound"]
    assert result[0]["cells"]["exact"] == {"reason": "the value is in another row with the name of this measure"}


def test_rows_that_differ_in_kind_and_unit_alone_have_no_note():
    findings = {"a": Findings([bits(EASY)]), "b": Findings([bits(EASY, kind="exact", unit="nats")])}
    assert [row["note"] for row in rows(findings)] == [None, None]


def test_a_cell_without_a_value_has_a_reason():
    findings = {
        "a": Findings([bits(EASY), rate("accuracy", 9, 10)]),
        "broken": Findings([], [Missing("likelihood", "no memory", "likelihood")]),
        "gan": Findings(),
    }
    cells = by_name(findings)["bits/dim", "upper bound"]["cells"]
    assert cells["broken"] == {"reason": "no memory"}
    assert cells["gan"] == {"reason": "needs log_prob or elbo"}
    assert by_name(findings)["accuracy", "exact"]["cells"]["gan"] == {"reason": "needs logits, and labels"}


def test_over_seeds_the_interval_is_over_trainings():
    seeds = [
        Findings([bits(EASY + shift), known_value("parameters", 7)], tables={"t": i})
        for i, shift in enumerate((0, 0.1, 0.2))
    ]
    one = averaged(seeds)
    assert one["bits/dim"].value == pytest.approx(EASY.mean() + 0.1)
    assert one["bits/dim"].varies == "training seeds"
    assert one["bits/dim"].n == 3
    half = 4.302652729749464 * 0.1 / np.sqrt(3)  # t of two degrees of freedom
    assert one["bits/dim"].high - one["bits/dim"].value == pytest.approx(half)
    assert (one["parameters"].low, one["parameters"].high) == (7, 7)
    assert one.tables == {"t": 0}
    # a model of one training joins the row, but is not compared: the intervals are of two kinds
    cells = by_name({"three": one, "one": Findings([bits(EASY - 1)])})["bits/dim", "upper bound"]["cells"]
    assert cells["one"]["best"]
    assert cells["three"]["separated"] is None


def test_a_measure_that_one_training_lacks_is_that_of_the_first():
    """A mean over fewer seeds than trainings would have the name of all of them."""
    one = averaged([Findings([bits(EASY)]), Findings([bits(EASY + 1)]), Findings([])])["bits/dim"]
    assert one.value == pytest.approx(EASY.mean())
    assert one.varies == bits(EASY).varies


def test_a_rate_over_seeds_stays_one():
    one = averaged([Findings([rate("accuracy", hits, 100)]) for hits in (90, 100)])["accuracy"]
    assert (one.value, one.high) == (95, 100)
    assert 0 <= one.low < 50


def test_costs_are_not_ranked():
    findings = {"a": Findings([known_value("parameters", 7)]), "b": Findings([known_value("parameters", 9)])}
    row = by_name(findings)["parameters", "exact"]
    assert row["better"] is None
    assert not any(cell["best"] for cell in row["cells"].values())


def test_every_cell_is_json_with_an_interval():
    infinite = bits(np.full(4, np.inf))
    row = by_name({"a": Findings([infinite]), "b": Findings([bits(EASY)])})["bits/dim", "upper bound"]
    text = json.loads(json.dumps(row, allow_nan=False))["cells"]["a"]["estimate"]
    assert (text["value"], text["low"], text["high"]) == ("inf", "inf", "inf")
    for cell in row["cells"].values():
        assert {"value", "low", "high", "unit", "kind", "text"} <= cell["estimate"].keys()


def test_findings_are_read_back_from_files(tmp_path):
    estimates = [
        bits(EASY),
        jackknifed("MMD²", -0.1, [-0.2, 0.0, 0.1], n=9, better="lower"),
        known_value("parameters", 3),
    ]
    picture = RANDOM.integers(0, 255, (4, 1, 8, 8)).astype(np.uint8)
    findings = Findings(
        estimates,
        [Missing("AIS", "too slow", "likelihood")],
        {"ROC": {"noise": [0.5]}},
        [ImageGrid("samples", picture)],
    )
    save_findings(findings, tmp_path / "deep" / "vae-0", "key")
    read = load_findings(tmp_path / "deep" / "vae-0", "key")
    assert read.estimates == findings.estimates
    assert all(np.array_equal(a.parts, b.parts) for a, b in zip(read, findings, strict=True) if a.parts is not None)
    assert (read.missing, read.tables) == (findings.missing, findings.tables)
    assert np.array_equal(read.figure("samples").values, picture)
    assert load_findings(tmp_path / "deep" / "vae-0", "another key") is None
    (tmp_path / "deep" / "vae-0.npz").write_bytes(b"cut")
    assert load_findings(tmp_path / "deep" / "vae-0", "key") is None


def test_a_difference_of_blocks_is_paired_too():
    blocks = RANDOM.normal(0, 1, 10)
    a, b = (jackknifed("MMD²", 1.0 + s, blocks + s, n=9, better="lower") for s in (0.0, 0.1))
    assert b.low < a.value < b.high
    assert not b.beats(a)
    assert a.beats(b)


def test_an_estimate_alone_is_neither_best_nor_separated():
    row = by_name({"a": Findings([bits(EASY)])})["bits/dim", "upper bound"]
    assert row["cells"]["a"]["best"] is False
    assert isinstance(Estimate.from_json(row["cells"]["a"]["estimate"]), Estimate)


def test_equal_values_have_no_best_and_a_tie_has_two():
    alike = {"a": Findings([rate("accuracy", 9, 10)]), "b": Findings([rate("accuracy", 9, 10)])}
    cells = by_name(alike)["accuracy", "exact"]["cells"]
    assert [(c["best"], c["separated"]) for c in cells.values()] == [(False, None), (False, None)]
    cells = by_name(alike | {"c": Findings([rate("accuracy", 1, 10)])})["accuracy", "exact"]["cells"]
    assert [(c["best"], c["separated"]) for c in cells.values()] == [(True, None), (True, None), (False, True)]
