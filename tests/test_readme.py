"""The numbers of README.md are those of the stored results, and the lists of the documentation are complete."""

import json
import re
from pathlib import Path

import pytest

from thalweg.recipes import recipe_names

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")
# the cell of the table → where its estimate stands in the stored file
RESULTS = {
    "lenet5-shifted-mnist": ("estimate",),
    "cifar10": ("airbench, 20 minutes", "views", "six"),
    "vae-binarized-mnist": ("estimate",),
    "glow-mnist": ("estimate",),
    "densities": ("cells", "nsf moons", "estimate"),
    "modes": ("gan eight-gaussians", "good"),
    "adversarial-fashion-mnist": ("measures", 0, "cells", "dcgan", "estimate"),
}
SPEED = {
    "engine-softmax-regression": "thalweg / bare loop",
    "vae": "thalweg / pythae, equal",
    "flows-real-nvp-63": "thalweg / zuko",
    "dcgan": "thalweg / torchgan",
    "transport-sinkhorn": "thalweg / geomloss",
    "transport-w1-1000-in-2d": "thalweg / POT",
}


def rows(heading: str) -> dict[str, list[str]]:
    """Return the rows of the first table after a heading, by the stored result in their last cell."""
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
    return {line[-1].strip(" `"): [cell.strip() for cell in line] for line in lines}


def stored(kind: str, name: str) -> dict:
    return json.loads((ROOT / "benchmarks" / kind / "results" / f"{name}.json").read_text())


def rounds_to(printed: str, value: float) -> bool:
    """Whether a printed number is the value, rounded to the digits that are printed."""
    digits = len(printed.partition(".")[2])
    return abs(float(printed.replace(",", "")) - value) <= 0.5000001 * 10.0**-digits


def test_a_printed_number_agrees_only_with_the_values_that_round_to_it() -> None:
    assert rounds_to("-89.88", -89.8759)
    assert not rounds_to("-89.88", -89.8859)
    assert not rounds_to("89.88", -89.8759)


def test_readme_shows_exactly_these_stored_results() -> None:
    assert list(rows("Models and results")) == list(RESULTS)
    assert list(rows("Speed")) == list(SPEED)
    assert len(README.splitlines()) <= 120


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_the_stored_estimates(name: str) -> None:
    row = rows("Models and results")[name]
    output = stored("quality", name)
    for key in RESULTS[name]:
        output = output[key]
    assert row[2] == output["name"]
    printed = NUMBER.findall(row[3])
    half = (output["high"] - output["low"]) / 2
    wanted = [output["value"], half] if "±" in row[3] else [output["value"], output["low"], output["high"]]
    assert len(printed) == len(wanted)
    assert all(rounds_to(p, w) for p, w in zip(printed, wanted, strict=True)), (row[3], wanted)
    assert row[3].startswith("≥") == (output["kind"] == "lower bound")
    assert row[3].startswith("≤") == (output["kind"] == "upper bound")
    assert row[3].endswith(output["unit"])


@pytest.mark.parametrize("name", SPEED)
def test_ratios_are_the_stored_ones(name: str) -> None:
    output = stored("speed", name)
    ratio = output["ratios"][SPEED[name]]
    printed = NUMBER.findall(rows("Speed")[name][1])
    assert len(printed) == 3
    assert all(rounds_to(p, ratio[key]) for p, key in zip(printed, ("median", "min", "max"), strict=True))
    assert f"an {output['machine']['processor']} processor" in README
    assert output["machine"]["cores"] == 2
    assert output["rounds"] == 7


def test_readme_counts_the_recipes() -> None:
    assert f"There are {len(recipe_names())} recipes" in README


def test_every_recipe_has_a_page_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    missing = [name for name in recipe_names() if f"models/{name}\n" not in index]
    assert not missing
