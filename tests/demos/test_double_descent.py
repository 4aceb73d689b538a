"""Double descent: the peak at the threshold, its absence with a ridge, and the exact risk of Gaussian features."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge

from thalweg.demos.double_descent import gaussian_risk, mlp_threshold, mlp_widths, random_features


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    return x[order] / 16, y[order]


@pytest.mark.system("S36")
def test_random_features_peak_where_they_are_as_many_as_the_examples(digits):
    x, y = digits
    n = 200
    curve = random_features(
        x[:n], y[:n], x[n:1000], y[n:1000], widths=[n // 5, n, 2 * n, 8 * n], ridges=(0.0, 0.01), seeds=3
    )
    mse = np.median(curve.mse, axis=2)
    assert mse[1, 0] > 10 * mse[2, 0]  # N = n against N = 2n
    assert curve.error[3, 0].mean() < curve.error[0, 0].mean()  # the second descent goes below the first
    assert np.median(curve.norm[1, 0]) > 5 * np.median(curve.norm[3, 0])
    assert (np.diff(mse[:, 1]) < 0).all()  # with a ridge there is no peak


@pytest.mark.system("S36")
@pytest.mark.parametrize(("p", "risk"), [(5, 1.4051), (20, 2.3605), (80, 1.9218), (200, 1.1129)])
def test_the_risk_of_gaussian_features_is_that_of_simulations(p, risk):
    n, d, sigma, runs = 40, 200, 0.5, 400
    assert gaussian_risk(p, n=n, d=d, sigma=sigma) == pytest.approx(risk, abs=5e-5)
    random = np.random.default_rng(p)
    risks = []
    for _ in range(runs):
        beta = random.normal(size=d)
        beta /= np.linalg.norm(beta)
        x = random.normal(size=(n, d))
        fitted = np.linalg.lstsq(x[:, :p], x @ beta + sigma * random.normal(size=n), rcond=None)[0]
        risks.append(np.square(fitted - beta[:p]).sum() + np.square(beta[p:]).sum() + sigma**2)
    error = np.std(risks) / math.sqrt(runs)
    assert abs(np.mean(risks) - gaussian_risk(p, n=n, d=d, sigma=sigma)) < 4 * error
    assert [math.isinf(gaussian_risk(n + i, n=n, d=d, sigma=sigma)) for i in range(-2, 3)] == [
        False,
        *[True] * 3,
        False,
    ]


@pytest.mark.system("S36")
@pytest.mark.parametrize(("width", "ridge"), [(20, 0.0), (20, 0.3), (200, 0.3), (200, 0.0)])
def test_the_solution_is_that_of_scikit_learn_and_of_the_pseudoinverse(digits, width, ridge):
    x, y, x_test, y_test = digits[0][:120], digits[1][:120], digits[0][120:400], digits[1][120:400]
    curve = random_features(x, y, x_test, y_test, widths=[width], ridges=[ridge], seeds=1)
    w = np.random.default_rng(0).normal(size=(64, width)) / 8
    features, test = (np.maximum(a @ w, 0) / width**0.5 for a in (x, x_test))
    if ridge:
        a = Ridge(ridge, fit_intercept=False, solver="cholesky").fit(features, np.eye(10)[y]).coef_.T
    else:
        a = np.linalg.pinv(features) @ np.eye(10)[y]
    predicted = test @ a
    assert curve.mse.item() == pytest.approx(np.square(predicted - np.eye(10)[y_test]).sum(1).mean(), rel=1e-6)
    assert curve.norm.item() == pytest.approx(np.linalg.norm(a), rel=1e-6)
    assert curve.error.item() == pytest.approx((predicted.argmax(1) != y_test).mean())


@pytest.mark.system("S36")
@pytest.mark.oracle("O20")
def test_the_threshold_of_a_hidden_layer():
    h = mlp_threshold(4000, 784, 10)
    assert h == pytest.approx(50.3, abs=0.05)
    assert (784 + 1) * h + (h + 1) * 10 == pytest.approx(4000 * 10)


@pytest.mark.system("S36")
def test_a_wide_layer_is_better_than_one_at_the_threshold(digits):
    x, y = (torch.from_numpy(a) for a in digits)
    x, n = x.float(), 100
    noisy = y[:n].clone()
    noisy[: n // 5] = torch.randint(10, (n // 5,), generator=torch.Generator().manual_seed(0))
    h = round(mlp_threshold(n, 64, 10))
    curve = mlp_widths(x[:n], noisy, x[n:], y[n:], widths=[h, 20 * h], steps=(800,), lr=0.01, seeds=2)
    assert curve.mse[1].mean() < 0.7 * curve.mse[0].mean()
    assert curve.error[1].mean() < curve.error[0].mean()
