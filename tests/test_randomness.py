"""Seeds that are functions of names."""

import torch

from thalweg.randomness import fold, generator


def test_fold_is_a_fixed_function():
    # A change of these numbers would change every run that was ever recorded.
    assert fold(0) == fold(0)
    assert fold(0, "noise", 3) == 6347807290990278987


def test_paths_do_not_collide():
    paths = [(), ("a",), ("b",), ("a", "b"), ("ab",), ("a", 1), ("a", "1"), (1, "a"), ("a", "", "b")]
    assert len({fold(seed, *path) for path in paths for seed in (0, 1)}) == 2 * len(paths)
    assert all(0 <= fold(s, "x") < 2**63 for s in range(1000))


def test_bits_are_even():
    bits = sum(bin(fold(s, "bits")).count("1") for s in range(2000))
    assert abs(bits / (2000 * 63) - 0.5) < 0.01


def test_generators_draw_the_same_for_the_same_path():
    first, again, other = (torch.randn(5, generator=generator(1, *p)) for p in (("z", 0), ("z", 0), ("z", 1)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
