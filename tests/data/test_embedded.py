"""Data without files: digits, glyphs, toy densities."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from thalweg.config import DataConfig
from thalweg.data import fetch, info, load, names
from thalweg.data.embedded import CHARACTERS, glyphs
from thalweg.data.moves import affine

pytestmark = pytest.mark.system("S34")

TOYS = [row["name"] for row in names() if row["kind"] == "vector"]


def test_digits_are_scikit_learns_scans_each_once():
    from sklearn.datasets import load_digits

    data = load(DataConfig(source="digits"))
    x = np.concatenate([data.split(part).x for part in ("train", "validation", "test")])
    y = np.concatenate([data.split(part).y for part in ("train", "validation", "test")])
    both = np.concatenate([x.reshape(-1, 64), y[:, None]], 1)
    published = np.concatenate([load_digits().data, load_digits().target[:, None]], 1)
    np.testing.assert_array_equal(both[np.lexsort(both.T)], published[np.lexsort(published.T)])
    assert (data.spec.levels, data.spec.shape, data.spec.classes) == (17, (1, 8, 8), tuple("0123456789"))
    assert data.spec.mean == pytest.approx((data.train.x.mean(),))
    assert data.spec.std == pytest.approx((data.train.x.std(),))


def test_the_split_is_a_function_of_the_seed():
    first, again, other = (load(DataConfig(source="digits", seed=seed)) for seed in (0, 0, 1))
    assert first.spec == again.spec
    assert first.spec.fingerprint != other.spec.fingerprint
    np.testing.assert_array_equal(first.test.y, again.test.y)


def test_shares_and_examples():
    data = load(DataConfig(source="digits", examples=100, validation=0.0, test=0.25))
    assert [len(data.split(part)) for part in ("train", "validation", "test")] == [75, 0, 25]
    everything = load(DataConfig(source="digits", validation=0.0, test=0.0))
    assert len(everything.train) == 1797


@pytest.fixture(scope="module")
def drawn():
    return glyphs(DataConfig(source="glyphs", examples=400)).train


def test_glyphs_are_a_function_of_the_seed(drawn):
    again = glyphs(DataConfig(source="glyphs", examples=400)).train
    np.testing.assert_array_equal(drawn.x, again.x)
    assert (drawn.x != glyphs(DataConfig(source="glyphs", examples=400, seed=1)).train.x).any()


def test_glyphs_are_not_cut_off_nor_faint(drawn):
    assert (drawn.x.reshape(400, -1).max(1) > 120).all()
    edges = np.concatenate([drawn.x[:, 0, 0], drawn.x[:, 0, -1], drawn.x[:, 0, :, 0], drawn.x[:, 0, :, -1]], 1)
    assert (edges.max(1) > 60).mean() < 0.05


def test_the_inverse_of_the_recorded_map_aligns_glyphs_of_one_character_and_font():
    """With the inverse of each recorded map, all examples of one character in one font coincide."""
    split = glyphs(DataConfig(source="glyphs", examples=6000, image_size=48)).train
    rows = np.flatnonzero((split.factors["character"] == CHARACTERS.index("R")) & (split.factors["font"] == 0))
    assert len(rows) >= 4
    x = torch.from_numpy(split.x[rows]).float()
    f = {name: torch.from_numpy(values[rows]).float() for name, values in split.factors.items()}
    zero, one = torch.zeros(len(rows)), torch.ones(len(rows))
    still = {"rotation": zero, "scale": one, "shear": zero, "x_shift": zero, "y_shift": zero}
    x = affine(x, **{**still, "x_shift": -f["x_shift"], "y_shift": -f["y_shift"]})
    x = affine(x, **{**still, "rotation": -f["rotation"], "scale": 1 / f["scale"]})
    x = affine(x, **{**still, "shear": -f["shear"]})
    flat = x.flatten(1)
    raw = torch.from_numpy(split.x[rows]).float().flatten(1)
    assert torch.corrcoef(flat).min() > 0.9
    assert torch.corrcoef(raw).min() < 0.7  # before the inverse map they differ


def test_factors_go_with_the_examples_through_the_split(drawn):
    data = load(DataConfig(source="glyphs", examples=400, image_size=16))
    assert data.spec.shape == (1, 16, 16)
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(data.split(part).y, data.split(part).factors["character"])
    assert set(data.train.factors) == {"character", "font", "rotation", "scale", "shear", "x_shift", "y_shift"}
    assert [len(data.split(part)) for part in ("train", "validation", "test")] == [320, 40, 40]


@pytest.mark.parametrize("name", TOYS)
def test_toy_densities_come_with_their_distribution(name):
    data = load(DataConfig(source=name, examples=1000))
    assert [len(data.split(part)) for part in ("train", "validation", "test")] == [800, 100, 100]
    assert data.train.x.dtype == np.float64
    assert data.spec.shape == (data.density.dim,)
    assert torch.isfinite(data.density.log_prob(torch.from_numpy(data.test.x))).all()
    assert np.isin(data.train.x[:, 0], data.test.x[:, 0]).sum() < 5  # some float32 numbers coincide by chance


def test_info_is_json_and_counts_everything():
    text = json.loads(json.dumps(info(DataConfig(source="digits"))))
    assert sum(sum(counts.values()) for counts in text["class_counts"].values()) == 1797
    assert (text["kind"], text["shape"], text["levels"], text["exact_density"]) == ("image", [1, 8, 8], 17, False)
    assert "UCI" in text["license"]
    toy = info(DataConfig(source="moons", examples=100))
    assert toy["exact_density"]
    assert toy["class_counts"] is None


def test_names_say_what_each_is():
    rows = names()
    assert len(rows) == len({row["name"] for row in rows}) == 14
    assert all(row["description"] and row["license"] for row in rows)
    assert fetch("digits") == []


def test_importing_the_room_costs_neither_torch_nor_pillow():
    code = "import sys, thalweg.data; assert not {'torch', 'PIL', 'sklearn', 'pyarrow', 'pooch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
