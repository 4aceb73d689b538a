"""Temperature scaling against closed forms, scipy's minimum and repeated draws."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.metrics import brier_score_loss

from thalweg.evaluation.examples import Examples
from thalweg.evaluation.measures.classification import answers, scaled
from thalweg.evaluation.statistics.temperature import fit_temperature


def drawn(n, classes=10, seed=0, scale=1.5, sharpness=1.0):
    """Logits c·z of labels that are drawn from softmax(z), for which the temperature is c."""
    random = np.random.default_rng(seed)
    z = scale * random.normal(size=(n, classes))
    p = np.exp(z - z.max(axis=1, keepdims=True))
    y = (p.cumsum(axis=1) / p.sum(axis=1, keepdims=True) > random.random((n, 1))).argmax(axis=1)
    return sharpness * z, y


def loss(z, y, temperature):
    log_prob = torch.from_numpy(z / temperature).log_softmax(dim=1).numpy()
    return -log_prob[np.arange(len(y)), y].mean()


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 2.5, 50.0])
def test_the_temperature_is_the_sharpness_of_the_logits(sharpness):
    z, y = drawn(20_000, sharpness=sharpness)
    result = fit_temperature(z, y)
    assert abs(math.log(result.value / sharpness)) < 3 * result.error
    best = minimize_scalar(lambda t: loss(z, y, math.exp(t)), bounds=(-5, 5), method="bounded", options={"xatol": 1e-9})
    assert result.value == pytest.approx(math.exp(best.x), rel=1e-5)


def test_its_interval_covers_the_truth_as_often_as_it_says():
    results = [fit_temperature(*drawn(300, classes=4, seed=seed, sharpness=2.0)).estimate() for seed in range(300)]
    covered = np.mean([e.low <= 2.0 <= e.high for e in results])
    assert 0.91 < covered < 0.98


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1]])
def test_a_loss_without_minimum_is_refused(labels):
    with pytest.raises(ValueError, match="whose loss has no minimum"):
        fit_temperature(np.array([[2.0, 0.0]] * 3), np.array(labels))


def test_scaling_lowers_the_loss_and_changes_no_prediction():
    z, y = drawn(4_000, sharpness=4.0)
    held_out, test = Examples(z[:2000], y[:2000]), Examples(z[2000:], y[2000:])
    temperature, label_loss, brier, error = scaled(
        answers(torch.as_tensor, held_out), held_out, answers(torch.as_tensor, test), test
    )  # no measure is missing
    assert temperature.value == pytest.approx(4.0, rel=0.1)
    assert temperature.better is None
    assert loss(z[:2000], y[:2000], temperature.value) <= loss(z[:2000], y[:2000], 1.0)
    assert label_loss.value == pytest.approx(loss(z[2000:], y[2000:], temperature.value))
    assert label_loss.value < answers(lambda x: x, test).loss.mean()
    before, after = (answers(lambda x, t=t: x / t, test) for t in (1.0, temperature.value))
    assert (before.predicted == after.predicted).all()
    assert brier.value == pytest.approx(after.brier.mean())
    assert brier.value < before.brier.mean()
    assert error.name == "scaled calibration error"
    assert error.high < 6


def test_the_brier_score_is_that_of_scikit_learn():
    z, y = drawn(500, classes=2)
    p = torch.from_numpy(z).softmax(1).numpy()
    own = answers(lambda x: x, Examples(z, y)).brier.mean()
    assert own == pytest.approx(2 * brier_score_loss(y, p[:, 1]))  # of two classes, scikit-learn counts one


def test_a_classifier_without_errors_on_validation_is_not_left_out():
    """Its temperature has no minimum; its scaled measures are those of T = 1, so that it can be compared."""
    z, y = drawn(2_000)
    perfect, test = Examples(10 * np.eye(10)[y[:300]], y[:300]), Examples(z, y)
    findings = scaled(answers(torch.as_tensor, perfect), perfect, answers(torch.as_tensor, test), test)
    assert [m.name for m in findings.missing] == ["temperature"]
    assert "every label has the largest logit" in findings.missing[0].reason
    assert findings["scaled label loss"].value == pytest.approx(answers(lambda x: x, test).loss.mean())
    assert findings["scaled label loss"].method["T"] == "1, since none could be fitted"
    assert {e.name for e in findings} == {"scaled label loss", "scaled Brier score", "scaled calibration error"}


def test_logits_that_are_not_finite_are_a_reason_without_warning():
    z = np.array([[0.0, -np.inf]] * 4)
    with pytest.raises(ValueError, match="got a class with probability 0"):
        fit_temperature(z, np.array([0, 0, 1, 0]))
