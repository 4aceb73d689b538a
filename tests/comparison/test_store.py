"""Stored measures have checksums: a damaged file is reported and computed again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thalweg.comparison.store import _checksum, finite, load_findings, not_finite, save_findings
from thalweg.evaluation import Findings
from thalweg.evaluation.estimates.figures import Axis, Curve, ImageGrid
from thalweg.evaluation.estimates.intervals import mean_of


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    findings = Findings()
    findings.add(mean_of("error", [1.0, 2.0, 3.0], unit="", better="lower"))
    findings.tables["t"] = {"x": [1.0, float("nan")], "name": "a"}
    axes = {"x_axis": Axis(label="K", range=(0.0, 1.0)), "y_axis": Axis(label="bound")}
    findings.figures = [
        ImageGrid("samples", np.arange(4, dtype=np.uint8).reshape(1, 1, 2, 2), panel="first", caption="a → b"),
        Curve(section="bounds", panel="", x=[1.0], y=[2.0], high=[3.0], **axes),
    ]
    save_findings(findings, tmp_path / "m", "key")
    return tmp_path / "m"


def test_an_undamaged_file_is_read_back(kept: Path) -> None:
    findings = load_findings(kept, "key", pytest.fail)
    assert findings is not None
    assert findings["error"].value == 2.0
    assert findings.tables["t"]["x"] == [1.0, None]
    grid = findings.figure("samples")
    assert (grid.values.shape, grid.layout, grid.panel, grid.caption) == ((1, 1, 2, 2), "grid", "first", "a → b")
    curve = findings.figure("bounds")
    assert (curve.x, curve.y, curve.low, curve.high, curve.x_axis.range) == ([1.0], [2.0], None, [3.0], (0.0, 1.0))


@pytest.mark.parametrize("suffix", [".json", ".npz"])
@pytest.mark.parametrize("place", [0.0, 0.2, 0.4, 0.6, 0.8, 0.999])
@pytest.mark.parametrize("damage", ["flip", "cut", "extra"])
def test_damage_is_reported_or_changes_no_value(kept: Path, suffix: str, place: float, damage: str) -> None:
    path = kept.with_name(kept.name + suffix)
    data = bytearray(path.read_bytes())
    at = int(place * (len(data) - 1))
    if damage == "flip":
        data[at] ^= 1
    path.write_bytes(bytes(data[:at]) if damage == "cut" else bytes(data) + (b"1" if damage == "extra" else b""))
    messages: list[str] = []
    findings = load_findings(kept, "key", messages.append)
    if findings is None:
        assert len(messages) == 1
        assert path.name in messages[0]
    else:  # a byte between the numbers, of no meaning
        assert suffix == ".json"
        assert findings["error"].value == 2.0


@pytest.mark.parametrize("content", ["", "[]", "null", "1", '{"key": "key"}', '"text"', "\x00"])
def test_foreign_files_are_reported(kept: Path, content: str) -> None:
    kept.with_name("m.json").write_text(content)
    messages: list[str] = []
    assert load_findings(kept, "key", messages.append) is None
    assert "m.json is damaged" in messages[0]


def test_swapped_values_are_detected(kept: Path) -> None:
    path = kept.with_name("m.json")
    document = json.loads(path.read_text())
    document["estimates"][0]["value"] = 1.0
    path.write_text(json.dumps(document))
    messages: list[str] = []
    assert load_findings(kept, "key", messages.append) is None
    assert messages


OTHER_TYPES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "estimates are no list": lambda d: d.update(estimates={}),
    "an estimate is null": lambda d: d.update(estimates=[None]),
    "an estimate without a name": lambda d: d["estimates"][0].pop("name"),
    "a value is text": lambda d: d["estimates"][0].update(value="abc"),
    "a value is null": lambda d: d["estimates"][0].update(value=None),
    "a value outside its interval": lambda d: d["estimates"][0].update(value=99.0),
    "a missing measure is text": lambda d: d.update(missing=["x"]),
    "a missing measure has another field": lambda d: d.update(missing=[{"name": "x", "why": "y"}]),
    "missing measures are no list": lambda d: d.update(missing={}),
    "tables are a list": lambda d: d.update(tables=[]),
    "no key": lambda d: d.pop("key"),
    "no arrays": lambda d: d.pop("arrays"),
}


@pytest.mark.parametrize("case", OTHER_TYPES)
def test_wrong_types_with_a_correct_checksum_are_reported(kept: Path, case: str) -> None:
    """As another version of the program may have written them."""
    path = kept.with_name("m.json")
    document = json.loads(path.read_text())
    del document["checksum"]
    OTHER_TYPES[case](document)
    path.write_text(json.dumps(document | {"checksum": _checksum(document)}))
    messages: list[str] = []
    assert load_findings(kept, "key", messages.append) is None
    assert messages == [f"{path} is damaged: its measures are computed again"]


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_flipped_bit_is_detected_or_changes_nothing(kept: Path, suffix: str) -> None:
    path = kept.with_name(kept.name + suffix)
    data, whole = path.read_bytes(), load_findings(kept, "key")
    assert whole is not None
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        messages: list[str] = []
        findings = load_findings(kept, "key", messages.append)
        assert (findings is None) == bool(messages), at
        assert findings is None or (findings.estimates, findings.tables) == (whole.estimates, whole.tables), at


def test_a_file_with_another_key_is_not_reported_as_damaged(kept: Path) -> None:
    assert load_findings(kept, "other", pytest.fail) is None


def test_numbers_that_json_does_not_have() -> None:
    document = {"a": {"b": [1.0, float("inf")]}, "c": float("nan"), "d": "inf"}
    assert finite(document) == {"a": {"b": [1.0, None]}, "c": None, "d": "inf"}
    assert not_finite(document) == ["a, b, 1: inf", "c: nan"]
