"""Keeping the examples of some classes only."""

import numpy as np
import pytest

from thalweg.config import DataConfig, RunConfig, TrainConfig
from thalweg.data import Split, class_target, load
from thalweg.data.assemble import Raw, of_classes
from thalweg.recipes.runs import open_run, train

pytestmark = pytest.mark.system("S34")


def test_the_examples_of_two_classes_are_kept_with_their_row_numbers():
    """The same images as those of all data with these labels, numbered anew in the order of the classes."""
    everything, two = (load(DataConfig(source="digits", classes=c)) for c in (None, "8, 3"))
    assert two.spec.classes == ("3", "8")
    parts = [everything.train, everything.validation, everything.test]
    x, y, index = (np.concatenate([getattr(p, name) for p in parts]) for name in ("x", "y", "index"))
    for part in (two.train, two.validation, two.test):
        where = np.array([np.flatnonzero(index == i)[0] for i in part.index])
        assert np.array_equal(x[where], part.x)
        assert np.array_equal(np.array([3, 8])[part.y], y[where])
    assert len(two.train) + len(two.validation) + len(two.test) == int(np.isin(y, (3, 8)).sum())


def test_reserved_examples_and_groups_follow():
    """Of the last 4 of 10 examples, those of the kept classes are reserved."""
    y = np.array([0, 1, 2, 0, 1, 2, 0, 0, 2, 1])
    train, test = Split(np.arange(10.0)[:, None], y), Split(np.zeros((3, 1)), np.array([2, 1, 0]))
    target = class_target(("a", "b", "c"))
    raw = Raw(kind="vector", train=train, test=test, target=target, reserved=4, groups=np.arange(10))
    kept = of_classes("x", raw, "a,c")
    assert kept.train.x[:, 0].tolist() == kept.groups.tolist() == kept.train.index.tolist() == [0, 2, 3, 5, 6, 7, 8]
    assert kept.train.y.tolist() == [0, 1, 0, 1, 0, 0, 1]
    assert kept.reserved == 3
    assert kept.test.y.tolist() == [1, 0]
    assert kept.classes == ("a", "c")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("3", "classes: got '3', wanted two or more different classes"),
        ("3,3", "wanted two or more different classes"),
        ("3,x", "classes: got 'x', wanted names of classes of 'digits', separated by commas: '0', '1'"),
        ("", "classes: got ''"),
    ],
)
def test_unknown_classes_and_single_ones_are_refused(classes, message):
    """In one line with the names."""
    with pytest.raises(ValueError, match=message):
        load(DataConfig(source="digits", classes=classes))
    with pytest.raises(ValueError, match="classes: got '0,1'"):
        load(DataConfig(source="moons", classes="0,1"))


def test_a_run_is_evaluated_on_its_own_classes(tmp_path):
    """Other data of the run are read with its classes."""
    data = DataConfig(source="digits", classes="3,8")
    folder = train(RunConfig(recipe="logistic-regression", data=data, train=TrainConfig(steps=5)), tmp_path / "run")
    opened = open_run(folder)
    assert opened.data().spec.classes == ("3", "8")
    again = opened.data(DataConfig(source="digits"))
    assert again.spec.classes == ("3", "8")
