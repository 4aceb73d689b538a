"""Sampling schemes: exact enumeration of their distributions, and the order as a function of (seed, step)."""

from __future__ import annotations

import itertools
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from thalweg.data.indices import BLOCK, SCHEMES, indices, page

pytestmark = pytest.mark.system("S4")

VALUES = [Fraction(3), Fraction(-1), Fraction(4), Fraction(10)]  # of a population of 4
MEAN = Fraction(4)


class Scripted:
    """Replaces a generator: returns one prescribed outcome of each draw."""

    def __init__(self, outcome: tuple[int, ...]) -> None:
        self.outcome = np.array(outcome)

    def integers(self, n: int, size: int) -> np.ndarray:
        return np.resize(self.outcome, size)

    def choice(self, n: int, size: int, replace: bool) -> np.ndarray:
        assert not replace
        return self.outcome[:size]  # the first B of a permutation

    def permutation(self, n: int) -> np.ndarray:
        return self.outcome


def batch_mean(where: np.ndarray) -> Fraction:
    return sum((VALUES[i] for i in where), Fraction(0)) / len(where)


@pytest.mark.oracle("O8")
@pytest.mark.parametrize(
    ("scheme", "outcomes"),
    [
        ("with-replacement", list(itertools.product(range(4), repeat=2))),
        ("without-replacement", list(itertools.permutations(range(4)))),
        ("shuffled", list(itertools.permutations(range(4)))),
    ],
)
def test_over_all_equally_likely_draws_the_batch_mean_is_the_population_mean(scheme, outcomes):
    assert len(outcomes) == {"with-replacement": 4**2}.get(scheme, 24)
    pages = [page(scheme, Scripted(outcome), 4, 2) for outcome in outcomes]
    for k in range(2):  # the first batch of a page, and the second
        means = [batch_mean(p[2 * k : 2 * k + 2]) for p in pages]
        assert sum(means, Fraction(0)) / len(means) == MEAN


@pytest.mark.oracle("O8")
def test_full_batch_mean_is_the_population_mean():
    assert batch_mean(indices("full", 0, 5, n=4, batch_size=4)) == MEAN


@pytest.mark.oracle("O8")
def test_given_the_first_batch_the_second_is_biased_when_shuffled_and_not_when_drawn_anew():
    permutations = [np.array(p) for p in itertools.permutations(range(4)) if set(p[:2]) == {0, 1}]
    means = [batch_mean(page("shuffled", Scripted(tuple(p)), 4, 2)[2:4]) for p in permutations]
    assert sum(means, Fraction(0)) / len(means) == Fraction(7) != MEAN


@pytest.mark.oracle("O8")
@pytest.mark.parametrize("scheme", ["cyclic", "shuffled"])
@pytest.mark.parametrize("size", [1, 3, 4, 7, 10, 16])
def test_every_index_comes_once_in_n_draws(scheme, size):
    n = 10
    stream = np.concatenate([indices(scheme, 7, k, n, size) for k in range(4 * n)])
    for epoch in range(len(stream) // n):
        assert sorted(stream[epoch * n : (epoch + 1) * n]) == list(range(n))


def test_a_batch_over_the_end_of_an_epoch_holds_the_rest_of_one_and_the_start_of_the_next():
    first, second = (page("shuffled", rng, 10, 10) for rng in _rngs(2))
    expected = np.concatenate([first[8:], second[:2]])
    np.testing.assert_array_equal(indices("shuffled", 3, 2, 10, 4), expected)


def _rngs(count: int) -> list[np.random.Generator]:
    from thalweg.data.indices import randomness

    return [randomness(3, k) for k in range(count)]


def test_shuffled_epochs_differ_from_each_other_and_from_seed_to_seed():
    a, b = (indices("shuffled", 0, k, 100, 100) for k in (0, 1))
    assert (a != b).any()
    assert (a != indices("shuffled", 1, 0, 100, 100)).any()


def test_cyclic_repeats_the_data():
    assert [indices("cyclic", 0, k, 5, 2).tolist() for k in range(4)] == [[0, 1], [2, 3], [4, 0], [1, 2]]


def test_without_replacement_draws_a_fresh_subset_for_every_batch():
    batches = [indices("without-replacement", 0, k, 6, 4) for k in range(2 * BLOCK)]
    assert all(len(set(b)) == 4 for b in batches)
    assert len({tuple(b) for b in batches}) > 100


def test_draws_have_their_stated_distribution():
    pairs = Counter(tuple(indices("without-replacement", 1, k, 3, 2)) for k in range(3000))
    assert set(pairs) == set(itertools.permutations(range(3), 2))
    assert all(abs(count - 500) < 5 * np.sqrt(500) for count in pairs.values())
    singles = Counter(np.concatenate([indices("with-replacement", 1, k, 3, 2) for k in range(1500)]).tolist())
    assert all(abs(count - 1000) < 5 * np.sqrt(1000) for count in singles.values())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_function_of_seed_and_step(scheme):
    size = 10 if scheme == "full" else 4
    forward = [indices(scheme, 5, k, 10, size) for k in range(100)]
    for k in (99, 3, 64, 0, 65):
        np.testing.assert_array_equal(indices(scheme, 5, k, 10, size), forward[k])
        assert forward[k].dtype == np.int64
        assert forward[k].shape == (size,)
