"""Targets of every kind: their descriptions, splits and batches."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from thalweg.config import DataConfig, from_json, to_json
from thalweg.data import Batches, Spec, Split, Target, class_target
from thalweg.data.assemble import Raw, assemble
from thalweg.data.dataset import same_kind

N = 40
X = np.random.default_rng(0).integers(0, 256, (N, 1, 6, 6), dtype=np.uint8)
TARGETS = {
    "class": (Target(kind="class", names=("a", "b")), np.arange(N) % 2),
    "mask": (Target(kind="mask", names=("a", "b"), shape=(6, 6), ignored=255), (X[:, 0] > 99).astype(np.int64)),
    "tokens": (Target(kind="tokens", names=("x", "y"), shape=(4,), ignored=-1), X[:, 0, 0, :4].astype(np.int64) % 2),
    "image": (Target(kind="image", shape=(1, 6, 6)), X // 2),
    "values": (Target(kind="values", names=("p", "q"), shape=(2,)), X[:, 0, 0, :2] / 7),
}


def assembled(kind: str, **settings):
    target, y = TARGETS[kind]
    raw = Raw(kind="image", levels=256, target=target, train=Split(X, y))
    return assemble("made", raw, DataConfig(source="made", **settings))


@pytest.mark.parametrize("kind", TARGETS)
def test_targets_stay_with_their_examples_through_splits_and_batches(kind):
    target, y = TARGETS[kind]
    data = assembled(kind, seed=3)
    assert data.spec.target == target
    assert data.spec.classes == (("a", "b") if kind == "class" else None)
    for part in (data.train, data.validation, data.test, data.split("all")):
        assert part.y.shape == (len(part), *target.shape)
        assert np.array_equal(part.y, y[part.index])
        assert np.array_equal(part.x, X[part.index])
    for resident in ("yes", "no"):
        with Batches(data.train, 8, seed=1, resident=resident) as batches:
            got_x, got_y = batches.get(3)
        assert got_y.dtype == torch.from_numpy(y).dtype
        for one_x, one_y in zip(got_x, got_y, strict=True):
            (row,) = np.flatnonzero((one_x.numpy() == X).reshape(N, -1).all(1))
            assert np.array_equal(one_y.numpy(), y[row])


@pytest.mark.parametrize("kind", TARGETS)
def test_a_spec_with_its_target_goes_to_json_and_back(kind):
    spec = assembled(kind).spec
    assert from_json(Spec, to_json(spec)) == spec


@pytest.mark.parametrize("kind", ["mask", "tokens", "image", "values"])
def test_targets_of_another_shape_than_stated_are_refused(kind):
    target, y = TARGETS[kind]
    raw = Raw(kind="image", levels=256, target=target, train=Split(X, y[:, :-1]))
    with pytest.raises(ValueError, match=r"made: got targets of shape \(40, .*, wanted \(40, "):
        assemble("made", raw, DataConfig(source="made"))
    with pytest.raises(ValueError, match=f"target: got shape .1, 2, 3, 4. of kind {kind}, wanted"):
        replace(target, shape=(1, 2, 3, 4))


def test_data_with_another_target_are_refused_and_those_without_are_not():
    specs = {kind: assembled(kind).spec for kind in TARGETS}
    for kind, spec in specs.items():
        same_kind(spec, spec)
        same_kind(replace(spec, target=None), spec)
        for other in TARGETS.keys() - {kind}:
            with pytest.raises(ValueError, match="with target"):
                same_kind(specs[other], spec)
    with pytest.raises(ValueError, match="with classes"):
        same_kind(replace(specs["class"], target=class_target(("a", "c"))), specs["class"])
    void = replace(specs["mask"], target=replace(TARGETS["mask"][0], ignored=0))
    with pytest.raises(ValueError, match="with target"):
        same_kind(void, specs["mask"])


def test_data_for_a_model_keep_its_target():
    spec = assembled("mask").spec
    target, y = TARGETS["mask"]
    raw = Raw(kind="image", levels=256, target=target, train=Split(X[:5], y[:5]))
    assert assemble("few", raw, DataConfig(source="few"), spec).spec.target == target
    with pytest.raises(ValueError, match="with target"):
        assemble("few", replace(raw, target=replace(target, ignored=9)), DataConfig(source="few"), spec)


def test_fingerprints_hold_the_target():
    prints = {assembled(kind).spec.fingerprint for kind in TARGETS}
    target, y = TARGETS["mask"]
    raw = Raw(kind="image", levels=256, target=replace(target, ignored=7), train=Split(X, y))
    prints.add(assemble("made", raw, DataConfig(source="made")).spec.fingerprint)
    assert len(prints) == len(TARGETS) + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "label"}, "target: got 'label', wanted one of class, mask, tokens, image, values"),
        ({"kind": "Mask", "shape": (4, 4)}, r"target: got 'Mask', wanted one of .* \(did you mean 'mask'\?\)"),
        ({"kind": "class", "names": "cat"}, "names: got 'cat', one text, wanted a sequence of names"),
        ({"kind": "mask", "shape": (4,)}, r"target: got shape \(4,\) of kind mask, wanted 2 dimensions"),
    ],
)
def test_a_malformed_target_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Target(**arguments)
