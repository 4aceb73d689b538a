"""The diagnosis of over- and underfitting, on polynomials whose degree is too small, right, and too large."""

import numpy as np
import pytest

from thalweg.demos.fitting import diagnose


@pytest.mark.system("S35")
@pytest.mark.parametrize(
    ("degree", "examples", "wanted"), [(1, 1000, "underfits"), (3, 1000, "fits"), (12, 14, "overfits")]
)
def test_polynomials_of_three_degrees(degree, examples, wanted):
    """A cubic with noise of variance 0.01. The line has a small gap and underfits (E-79)."""
    random = np.random.default_rng(0)
    x, x_test = random.uniform(-1, 1, examples), random.uniform(-1, 1, 10_000)
    y, y_test = (4 * a**3 - 3 * a + 0.1 * random.normal(size=len(a)) for a in (x, x_test))
    polynomial = np.polynomial.Polynomial.fit(x, y, degree)
    train, test = (float(np.mean((polynomial(a) - b) ** 2)) for a, b in ((x, y), (x_test, y_test)))
    assert diagnose(train, test, wanted=0.02, gap=0.05) == wanted


@pytest.mark.system("S35")
@pytest.mark.parametrize(
    ("train", "test", "wanted"),
    [(0.1, 0.1, "fits"), (1.0, 1.0, "underfits"), (0.1, 1.0, "overfits"), (1.0, 2.0, "underfits and overfits")],
)
def test_a_small_gap_is_not_underfitting_without_a_large_training_loss(train, test, wanted):
    assert diagnose(train, test, wanted=0.2, gap=0.1) == wanted


def test_refusals():
    with pytest.raises(ValueError, match="gap: got -1"):
        diagnose(0.0, 0.0, wanted=0.0, gap=-1)
