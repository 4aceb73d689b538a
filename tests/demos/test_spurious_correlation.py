"""Flips remove the spurious correlation of class and side."""

import pytest

from thalweg.demos.spurious_correlation import crosses_and_rings, train_linear


@pytest.mark.system("S31")
@pytest.mark.parametrize("flip", [False, True])
def test_flips_remove_the_spurious_correlation_of_class_and_side(flip):
    """Only with flips is the classifier right where crosses are on the right."""
    found = train_linear(flip=flip)
    assert found.train > 0.95
    assert found.same > 0.95
    assert found.opposite > 0.95 if flip else found.opposite < 0.5


def test_sides_of_the_figures():
    """Crosses on the left, rings on the right; with the opposite correlation the other way round."""
    for opposite in (False, True):
        x, y = crosses_and_rings(50, opposite=opposite)
        right = x[:, 0, :, 5:].sum((1, 2)) > x[:, 0, :, :3].sum((1, 2))
        assert (right == (y.bool() ^ opposite)).all()
