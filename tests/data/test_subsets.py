"""Shares of the training examples: nested, stratified, and without effect on the other splits."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from thalweg.config import DataConfig, TrainConfig
from thalweg.data import load
from thalweg.data.subsets import nested_rows, spec_of_training, with_share

SHARES = (0.003, 0.1, 0.25, 0.3, 0.9, 1.0)


@pytest.fixture(scope="module")
def digits():
    return load(DataConfig(source="digits"))


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_a_smaller_share_is_part_of_a_larger_one(labelled, seed):
    y = np.random.default_rng(5).choice(4, 300, p=[0.7, 0.2, 0.09, 0.01]) if labelled else None
    parts = [nested_rows(300, share, seed, y) for share in SHARES]
    for small, large in pairwise(parts):
        assert set(small) <= set(large)
        assert len(small) < len(large)
    assert (parts[-1] == np.arange(300)).all()
    assert all((np.diff(part) > 0).all() for part in parts)


def test_every_class_keeps_its_share_and_at_least_one_example():
    y = np.repeat([0, 1, 2], [200, 50, 3])
    for share in SHARES:
        counts = np.bincount(y[nested_rows(len(y), share, 3, y)], minlength=3)
        assert counts.tolist() == [max(1, round(share * n)) for n in (200, 50, 3)]


def test_seeds_draw_other_examples_of_which_each_is_as_probable():
    drawn = np.array([np.isin(np.arange(40), nested_rows(40, 0.25, seed)) for seed in range(2000)])
    assert (drawn.sum(1) == 10).all()
    assert abs(drawn.mean(0) - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 2000)


@pytest.mark.parametrize("share", [None, 1.0])
def test_all_examples_are_the_data_set_itself(digits, share):
    assert with_share(digits, share, 0) is digits


def test_a_share_changes_the_training_split_only(digits):
    part = with_share(digits, 0.1, 2)
    assert part.share == 0.1
    assert part.spec is digits.spec
    assert part.test is digits.test
    assert part.validation is digits.validation
    rows = nested_rows(len(digits.train), 0.1, 2, digits.train.y)
    assert (part.train.index == digits.train.index[rows]).all()
    assert (part.train.x == digits.train.x[rows]).all()
    assert (part.train.y == digits.train.y[rows]).all()


def test_a_model_of_a_share_sees_the_moments_of_its_own_examples(digits):
    points = load(DataConfig(source="moons", examples=200))
    for data in (digits, points):
        part = with_share(data, 0.2, 0)
        spec = spec_of_training(part)
        axes = (0, *range(2, part.train.x.ndim))
        np.testing.assert_allclose(spec.mean, part.train.x.mean(axes, dtype=np.float64))
        np.testing.assert_allclose(spec.std, part.train.x.std(axes, dtype=np.float64))
        assert replace(spec, mean=data.spec.mean, std=data.spec.std) == data.spec
    constant = replace(points, train=replace(points.train, x=np.full((3, 2), 4.0), y=None, index=None))
    assert spec_of_training(constant).std == (1.0, 1.0)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, float("nan")])
def test_shares_outside_of_0_to_1_are_refused(share):
    with pytest.raises(ValueError, match=r"share: got .*, wanted a number above 0, at most 1"):
        TrainConfig(share=share)
