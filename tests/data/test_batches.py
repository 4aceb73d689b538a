"""Batches are the same whether resident or loaded by threads, in one process or several, in any order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from thalweg.data import Batches, Split
from thalweg.data.indices import SCHEMES, indices

pytestmark = pytest.mark.system("S4")

N = 23
X = np.arange(N * 12, dtype=np.uint8).reshape(N, 1, 3, 4)
Y = np.arange(N, dtype=np.int64)


def equal(a, b) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", [4, 7, 23])
def test_batches_are_the_examples_at_the_indices(scheme, size):
    batches = Batches(Split(X, Y), size, scheme, seed=3)
    for step in (0, 1, 5, 6, 40, 2, 0):  # any order
        x, y = batches.get(step)
        where = indices(scheme, 3, step, N, N if scheme == "full" else size)
        assert x.dtype == torch.uint8
        np.testing.assert_array_equal(x.numpy(), X[where])
        np.testing.assert_array_equal(y.numpy(), where)


@pytest.mark.parametrize("size", [50, 70])
def test_a_batch_may_be_larger_than_the_set(size):
    _, y = Batches((X, Y), size, "shuffled").get(1)
    stream = np.concatenate([indices("shuffled", 0, k, N, N) for k in range(10)])
    np.testing.assert_array_equal(y.numpy(), stream[size : 2 * size])


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("threads", [1, 3])
def test_gathering_ahead_changes_nothing(scheme, threads, tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    resident = Batches((X, Y), 5, scheme, seed=1)
    with Batches((mapped, Y), 5, scheme, seed=1, resident="no", threads=threads) as ahead:
        assert resident.resident
        assert not ahead.resident
        for step in (*range(30), 7, 8, 9, 100, 101, 0):  # on, back, and far ahead
            assert equal(resident.get(step), ahead.get(step))


def test_memory_map_that_fits_is_made_resident_without_a_warning(tmp_path):
    np.save(tmp_path / "x.npy", X)
    batches = Batches((np.load(tmp_path / "x.npy", mmap_mode="r"), None), 5)
    assert batches.resident
    assert batches.get(0)[1] is None


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_rows_of_the_processes_make_the_joint_batch(scheme):
    x, y = np.arange(24.0), np.arange(24)
    joint = Batches((x, y), 6, scheme, seed=2)
    parts = [Batches((x, y), 6, scheme, seed=2, rank=rank, world=3) for rank in range(3)]
    for step in (0, 3, 4, 70):
        rows = [part.get(step) for part in parts]
        assert equal(joint.get(step), [torch.cat(values) for values in zip(*rows, strict=True)])
    assert parts[1].epoch(4) == joint.epoch(4)


def test_straddling_rows_of_several_processes():
    joint = Batches((X, Y), 10, seed=9)
    parts = [Batches((X, Y), 10, seed=9, rank=rank, world=2) for rank in range(2)]
    for step in range(12):
        rows = torch.cat([part.get(step)[1] for part in parts])
        assert torch.equal(joint.get(step)[1], rows)


def test_epochs_count_passes_over_the_set():
    assert Batches((X, Y), 23, "shuffled").epoch(3) == 3.0
    assert Batches((X, Y), 5, "with-replacement").epoch(46) == 10.0
    assert Batches((X, Y), 5, "full").epoch(2) == 2.0


def test_tensors_are_taken_as_they_are():
    x = torch.arange(8)
    batches = Batches((x, None), 4, "cyclic")
    assert batches.get(1)[0].tolist() == [4, 5, 6, 7]
    assert batches.x is x


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scheme": "shufled"}, "scheme: got 'shufled', wanted one of .* (did you mean 'shuffled'?)"),
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"batch_size": 24, "scheme": "without-replacement"}, "batch_size: got 24, wanted at most 23"),
        ({"batch_size": 5, "world": 2}, "batch_size: got 5, wanted a multiple of the 2 processes"),
        ({"resident": "maybe"}, "resident: got 'maybe'"),
        ({"threads": 0}, "threads: got 0"),
    ],
)
def test_refusals(arguments, message):
    import re

    pattern = re.escape(message).replace(r"\.\*", ".*")
    with pytest.raises(ValueError, match=pattern):
        Batches((X, Y), **{"batch_size": 4, **arguments})


def test_every_epoch_of_gathered_batches_is_a_permutation(tmp_path):
    with Batches((Y, Y), 4, seed=5, resident="no") as batches:
        stream = itertools.chain.from_iterable(batches.get(step)[1].tolist() for step in range(23))
        drawn = list(stream)
    for epoch in range(4):
        assert sorted(drawn[epoch * N : (epoch + 1) * N]) == list(range(N))


@pytest.mark.parametrize("resident", ["yes", "no"])
@pytest.mark.parametrize("columns", [1, 3, 7])
def test_batches_are_aligned_alike_in_every_process(resident, columns):
    # The last bits of a product may depend on the alignment of its operands: numpy's memory has 16 bytes, torch's 64.
    x = np.arange(50 * columns, dtype=np.float32).reshape(50, columns)
    with Batches((x, np.arange(50)), 5, resident=resident) as batches:
        for step in range(20):
            assert all(t.data_ptr() % 64 == 0 for t in batches.get(step))
