"""Weights of ensembles against scipy's constrained minima and the closed form of independent members."""

import numpy as np
import pytest
from scipy.optimize import minimize

from thalweg.inference.ensembles import fit_mixture_weights, fit_regression_weights


def best(loss, k):
    """Minimize a loss over the simplex by scipy."""
    total = {"type": "eq", "fun": lambda w: w.sum() - 1}
    return minimize(loss, np.full(k, 1 / k), bounds=[(0, 1)] * k, constraints=[total], options={"ftol": 1e-14})


def members(seed=0, n=300, k=4):
    random = np.random.default_rng(seed)
    return random.beta([1.0, 2.0, 4.0, 0.5][:k], 1.0, size=(n, k))


@pytest.mark.system("S47")
@pytest.mark.parametrize("seed", range(3))
def test_mixture_weights_are_the_minimum_over_the_simplex(seed):
    p = members(seed)

    def loss(w):
        return -np.log(p @ w).mean()

    weights, known = fit_mixture_weights(p), best(loss, 4)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    assert loss(weights) == pytest.approx(known.fun, abs=1e-7)
    assert all(loss(weights) <= loss(w) + 1e-12 for w in [*np.eye(4), np.full(4, 0.25)])


@pytest.mark.system("S47")
@pytest.mark.parametrize("seed", range(3))
def test_regression_weights_are_the_minimum_over_the_simplex(seed):
    random = np.random.default_rng(seed)
    y = random.normal(size=200)
    f = y[:, None] + random.normal(size=(200, 4)) @ random.normal(size=(4, 4)) + [0, 0, 0.5, 3]

    def loss(w):
        return np.square(f @ w - y).mean()

    weights, known = fit_regression_weights(f, y), best(loss, 4)
    assert loss(weights) == pytest.approx(known.fun, rel=1e-6)
    assert all(loss(weights) <= loss(w) * (1 + 1e-9) for w in np.eye(4))


@pytest.mark.system("S47")
@pytest.mark.oracle("O57")
def test_independent_members_with_errors_1_and_4():
    """The weights .8 and .2 give the error .8; a one-hot weight gives that of its member, and bad weights are worse."""
    random = np.random.default_rng(0)
    y = random.normal(size=200_000)
    f = y[:, None] + random.normal(size=(len(y), 2)) * [1.0, 2.0]
    weights = fit_regression_weights(f, y)
    assert weights == pytest.approx([0.8, 0.2], abs=0.01)
    errors = {w: np.square(f @ w - y).mean() for w in ((0.8, 0.2), (1.0, 0.0), (0.0, 1.0), (0.3, 0.7))}
    assert list(errors.values()) == pytest.approx([0.8, 1.0, 4.0, 0.09 + 0.49 * 4], rel=0.02)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fit_mixture_weights(np.array([[0.5, 1.5]])), "wanted .* values in"),
        (lambda: fit_mixture_weights(np.zeros((3, 2))), "probability 0 under all members"),
        (lambda: fit_regression_weights(np.zeros((3, 2)), np.zeros(2)), r"got shapes \(3, 2\) and \(2,\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
