"""Optimizers on problems with known answers: rates, stability, stationary variance, and a counter-example to Adam."""

import math

import numpy as np
import pytest
import torch

from thalweg.config import OptimizerConfig
from thalweg.objectives.classification import cross_entropy
from thalweg.training.optimizers import make_optimizer

MU, L = 1.0, 100.0


def contraction(lr, momentum=0.0, nesterov=False):
    """The factor per step of gradient descent on the quadratic with curvatures 1 and 100, after many steps."""
    x = torch.ones(2, dtype=torch.float64, requires_grad=True)
    h = torch.tensor([MU, L], dtype=torch.float64)
    name = "momentum" if momentum else "sgd"
    config = OptimizerConfig(name=name, lr=lr, **({"momentum": momentum, "nesterov": nesterov} if momentum else {}))
    optimizer, norms = make_optimizer(config, [x]), []
    for _ in range(600):
        x.grad = h * x.detach()
        optimizer.step()
        norms.append(float(x.detach().norm()))
    return (norms[-1] / norms[199]) ** (1 / 400)


@pytest.mark.system("S40")
@pytest.mark.parametrize(
    ("settings", "rate"),
    [
        ((2 / (MU + L),), (L / MU - 1) / (L / MU + 1)),
        ((0.0330579, 0.669421), 9 / 11),  # (√κ − 1)/(√κ + 1)
        ((1 / L, 9 / 11, True), 0.9),  # 1 − 1/√κ
    ],
    ids=["gradient descent", "heavy ball", "nesterov"],
)
def test_rates_on_a_quadratic(settings, rate):
    assert contraction(*settings) == pytest.approx(rate, rel=0.012)  # double roots converge with a factor k


@pytest.mark.system("S40")
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("nesterov", [False, True])
def test_the_largest_stable_rate(beta, nesterov):
    """α L = 2(1 + β), and 2(1 + β)/(1 + 2β) of torch's Nesterov form."""
    if nesterov and not beta:
        pytest.skip("is gradient descent")
    edge = 2 * (1 + beta) / ((1 + 2 * beta) if nesterov else 1)
    for factor, shrinks in ((0.995, True), (1.005, False)):
        x = torch.ones(1, dtype=torch.float64, requires_grad=True)
        name = "momentum" if beta else "sgd"
        config = OptimizerConfig(name=name, lr=edge * factor, momentum=beta, nesterov=nesterov)
        optimizer = make_optimizer(config, [x])
        for _ in range(4000):
            x.grad = x.detach().clone()
            optimizer.step()
        assert (abs(float(x.detach())) < 1) is shrinks, factor


@pytest.mark.system("S40")
@pytest.mark.parametrize(
    ("nesterov", "expected"),
    [
        (False, [0.9, 0.72, 0.486, 0.2268, -0.02916]),
        (True, [0.81, 0.5751, 0.327321, 0.09388791, -0.10458168]),
    ],
)
def test_the_first_steps_on_a_parabola(nesterov, expected):
    x = torch.ones(1, dtype=torch.float64, requires_grad=True)
    optimizer, values = make_optimizer(OptimizerConfig(name="momentum", lr=0.1, nesterov=nesterov), [x]), []
    for _ in range(5):
        x.grad = x.detach().clone()
        optimizer.step()
        values.append(float(x.detach()))
    assert values == pytest.approx(expected, abs=1e-8)


@pytest.mark.system("S40")
@pytest.mark.parametrize(
    ("lr", "beta", "h", "variance"),
    [(0.1, 0.0, 2.0, 0.0277778), (0.1, 0.9, 2.0, 0.2638889), (0.4, 0.5, 2.0, 0.2727273)],
)
def test_the_stationary_variance_of_sgd(lr, beta, h, variance):
    """α σ²(1 + β)/(h(1 − β)(2(1 + β) − αh)) for gradients hx + noise of variance σ² = 1."""
    closed = lr * (1 + beta) / (h * (1 - beta) * (2 * (1 + beta) - lr * h))
    assert closed == pytest.approx(variance, rel=1e-6)
    x = torch.zeros(20_000, dtype=torch.float64, requires_grad=True)
    source = torch.Generator().manual_seed(0)
    name = "momentum" if beta else "sgd"
    optimizer = make_optimizer(OptimizerConfig(name=name, lr=lr, momentum=beta), [x])
    for _ in range(200):
        x.grad = h * x.detach() + torch.randn(20_000, dtype=torch.float64, generator=source)
        optimizer.step()
    assert float(x.detach().var()) == pytest.approx(closed, rel=0.05)


@pytest.mark.system("S42")
@pytest.mark.parametrize(("name", "limit"), [("adam", 1.0), ("amsgrad", -1.0)])
def test_adam_goes_to_the_worst_point_and_amsgrad_to_the_best(name, limit):
    """f_t(x) = 10x if t mod 3 = 1 else −x on [−1, 1]: the sum of three is 8x, smallest at −1 (Reddi et al. 2018)."""
    c = 10.0
    x = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    config = OptimizerConfig(name=name, lr=0.1, beta1=0.0, beta2=1 / (1 + c**2), eps=1e-16)
    optimizer, reached = make_optimizer(config, [x]), None
    for t in range(1, 1001):
        x.grad = torch.tensor([c if t % 3 == 1 else -1.0], dtype=torch.float64)
        optimizer.param_groups[0]["lr"] = 0.1 / math.sqrt(t)
        optimizer.step()
        with torch.no_grad():
            x.clamp_(-1, 1)
        if reached is None and abs(float(x.detach()) - limit) < 0.01:
            reached = t
    assert float(x.detach()) == pytest.approx(limit, abs=0.02)
    if name == "amsgrad":
        assert abs(reached - 766) <= 3


@pytest.mark.system("S37")
def test_smoothed_labels_leave_a_loss_and_a_finite_gap_of_logits():
    """With s = .2 and K = 10 the least loss is .8668939, at a gap log(.82/.02) of the logits."""
    gap = math.log(0.82 / 0.02)
    assert gap == pytest.approx(3.7135721, abs=1e-7)
    logits = torch.zeros(1, 10, dtype=torch.float64)
    logits[0, 3] = gap
    least = float(cross_entropy(logits, torch.tensor([3]), label_smoothing=0.2))
    assert least == pytest.approx(0.8668939, abs=1e-6)
    for change in (-0.1, 0.1):
        other = logits.clone()
        other[0, 3] += change
        assert float(cross_entropy(other, torch.tensor([3]), label_smoothing=0.2)) > least


@pytest.mark.system("S38")
@pytest.mark.oracle("O61")
def test_dropout_is_an_ensemble_of_all_masks():
    """Of a linear network the mean over all masks, weighted by their probability, is the output without dropout."""
    p, k = 0.3, 6
    source = torch.Generator().manual_seed(0)
    first, second = (torch.randn(s, dtype=torch.float64, generator=source) for s in ((k, 4), (2, k)))
    x = torch.randn(3, 4, dtype=torch.float64, generator=source)
    mean = torch.zeros(3, 2, dtype=torch.float64)
    for bits in range(2**k):
        mask = torch.tensor([bits >> i & 1 for i in range(k)], dtype=torch.float64)
        weight = torch.where(mask > 0, 1 - p, p).prod()
        mean += weight * ((x @ first.T) * mask / (1 - p)) @ second.T
    network = torch.nn.Sequential(torch.nn.Dropout(p)).eval()
    torch.testing.assert_close(mean, network(x @ first.T) @ second.T)


@pytest.mark.system("S38")
@pytest.mark.oracle("O61")
@pytest.mark.parametrize(
    ("activation", "commutes"),
    [(torch.relu, True), (torch.nn.functional.leaky_relu, True), (torch.tanh, False), (torch.sigmoid, False)],
)
def test_dropout_commutes_with_homogeneous_activations_only(activation, commutes):
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0))

    def dropped(values):
        torch.manual_seed(0)
        return torch.nn.functional.dropout(values, 0.5)

    assert torch.allclose(activation(dropped(x)), dropped(activation(x))) is commutes


@pytest.mark.system("S38")
def test_dropout_of_a_linear_model_is_a_quadratic_penalty():
    """E‖y − (x∘mask)w/(1−p)‖² = ‖y − xw‖² + p/(1 − p) Σ_j w_j² Σ_i x_ij²."""
    random, p = np.random.default_rng(0), 0.4
    x, w, y = random.normal(size=(5, 4)), random.normal(size=4), random.normal(size=5)
    expected = 0.0
    for i in range(5):  # masks are drawn independently for each example
        for bits in range(2**4):
            mask = np.array([bits >> j & 1 for j in range(4)])
            weight = np.where(mask, 1 - p, p).prod()
            expected += weight * (y[i] - (x[i] * mask / (1 - p)) @ w) ** 2
    closed = ((y - x @ w) ** 2).sum() + p / (1 - p) * (w**2 * (x**2).sum(0)).sum()
    assert expected == pytest.approx(closed, rel=1e-12)
