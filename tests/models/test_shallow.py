"""Linear classifiers against scikit-learn's optima, closed forms and facts about their losses; initializations."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression as Known
from torch import nn

from catalogue import DIGITS, PLANE, Member
from thalweg.batch import Batch
from thalweg.models.shallow.logistic_regression import LogisticRegression
from thalweg.models.shallow.perceptron import Perceptron
from thalweg.models.shallow.softmax_regression import SoftmaxRegression
from thalweg.models.shallow.svm import SVM
from thalweg.nn.initialize import INITIALIZATIONS, fans, initialize, layer_statistics
from thalweg.objectives import classification
from thalweg.objectives.classification import cross_entropy, hinge, logistic, margins, signs, zero_one
from thalweg.objectives.discrete import discrete_cross_entropy, entropy
from thalweg.objectives.f_divergence import f_divergence
from thalweg.problems.linear import LinearClassification

discrete_kl = f_divergence("kl").discrete


def two_digits():
    """Scans of 3 and 8 as images, with labels 0 and 1."""
    x, y = load_digits(return_X_y=True)
    kept = (y == 3) | (y == 8)
    return torch.from_numpy(x[kept].reshape(-1, 1, 8, 8)), torch.from_numpy((y[kept] == 8).astype(int))


def clouds(classes=3, n=150, d=4, seed=0):
    """Overlapping Gaussian classes as vectors."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = random.normal(size=(n, d)) + 1.5 * random.normal(size=(classes, d))[y]
    return torch.from_numpy(x), torch.from_numpy(y)


def optimum(model, x, y, loss, l2):
    """Minimize the mean training loss of all data at once, in float64."""
    model.double()
    problem = LinearClassification(model, loss, l2=l2)
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=2000, tolerance_grad=1e-10, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def objective():
        optimizer.zero_grad()
        logits = model(x)
        values = margins(logits, y) if loss else None
        value = loss(values).mean() if loss else nn.functional.cross_entropy(logits, y)
        value = value + l2 / 2 * model.linear.weight.square().sum()
        value.backward()
        return value.detach()

    optimizer.step(objective)
    mean = problem.loss("model", Batch(x, y)).values.mean()
    torch.testing.assert_close(mean.double(), objective(), rtol=1e-5, atol=1e-6)  # the same objective
    return model


@pytest.mark.system("S8")
@pytest.mark.parametrize("data", ["digits", "vectors"])
def test_logistic_regression_is_the_optimum_of_scikit_learn(data):
    l2 = 0.01
    if data == "digits":
        x, y = two_digits()
        model, z = LogisticRegression((1, 8, 8), levels=17), x.flatten(1) / 16
    else:
        x, y = clouds(classes=2)
        z = (x - 0.3) / 1.2
        model = LogisticRegression((4,), mean=(0.3,) * 4, std=(1.2,) * 4)
    optimum(model, x, y, logistic, l2)
    known = Known(C=1 / (l2 * len(x)), tol=1e-12, max_iter=10_000).fit(z.numpy(), y.numpy())
    np.testing.assert_allclose(model.linear.weight.detach().numpy(), known.coef_, atol=1e-4)
    np.testing.assert_allclose(model.linear.bias.detach().numpy(), known.intercept_, atol=1e-4)
    np.testing.assert_allclose(model.logits(x).softmax(1).detach().numpy(), known.predict_proba(z.numpy()), atol=1e-5)


@pytest.mark.system("S9")
def test_softmax_regression_is_the_optimum_of_scikit_learn():
    (x, y), l2 = clouds(), 0.02
    model = optimum(SoftmaxRegression((4,), 3, mean=(0.0,) * 4, std=(1.0,) * 4), x, y, None, l2)
    known = Known(C=1 / (l2 * len(x)), tol=1e-12, max_iter=10_000).fit(x.numpy(), y.numpy())
    np.testing.assert_allclose(model.linear.weight.detach().numpy(), known.coef_, atol=1e-4)


@pytest.mark.system("S6")
def test_the_svm_is_the_optimum_of_a_quadratic_program():
    """min ξ̄ + (λ/2)‖a‖² with ξ_i ≥ 0 and ξ_i ≥ 1 − y_i(aᵀx_i + b); the bias has no penalty."""
    (x, y), l2 = clouds(classes=2, n=40, d=2), 0.1
    s, n = signs(y).numpy().astype(float), len(y)

    def objective(v):
        return v[3:].mean() + l2 / 2 * (v[:2] @ v[:2])

    def slope(v):
        return np.concatenate([l2 * v[:2], [0.0], np.full(n, 1 / n)])

    rows = np.hstack([s[:, None] * x.numpy(), s[:, None], np.eye(n)])
    bounds = [(None, None)] * 3 + [(0, None)] * n
    limit = {"type": "ineq", "fun": lambda v: rows @ v - 1, "jac": lambda v: rows}
    known = minimize(objective, np.ones(n + 3), jac=slope, bounds=bounds, constraints=[limit], method="SLSQP",
                     options={"maxiter": 500, "ftol": 1e-14})  # fmt: skip
    model = SVM((2,), 2, mean=(0.0,) * 2, std=(1.0,) * 2)
    with torch.no_grad():
        model.linear.weight.copy_(torch.from_numpy(known.x[:2]))
        model.linear.bias.copy_(torch.from_numpy(known.x[2:3]))
    problem = LinearClassification(model, hinge, l2=l2)
    best = float(problem.loss("model", Batch(x, y)).values.mean().detach())
    assert best == pytest.approx(known.fun, abs=1e-5)
    for seed in range(50):  # no point nearby is better
        with torch.no_grad():
            for p in model.parameters():
                p += 0.01 * torch.randn(p.shape, generator=torch.Generator().manual_seed(seed))
        assert float(problem.loss("model", Batch(x, y)).values.mean().detach()) > best - 1e-6
        with torch.no_grad():
            model.linear.weight.copy_(torch.from_numpy(known.x[:2]))
            model.linear.bias.copy_(torch.from_numpy(known.x[2:3]))


@pytest.mark.system("S6", "S8")
@pytest.mark.oracle("O2")
def test_losses_of_margins():
    m = torch.tensor([-1.0, 0.0, 1.0, 2.0], dtype=torch.float64)
    assert hinge(m).tolist() == [2, 1, 0, 0]
    assert logistic(m).tolist() == pytest.approx([1.3132617, math.log(2), 0.3132617, 0.1269280], abs=1e-7)
    assert zero_one(m).tolist() == [1, 1, 0, 0]
    assert bool((hinge(m) >= zero_one(m)).all())
    assert bool((logistic(m) / math.log(2) >= zero_one(m)).all())
    assert float(logistic(torch.tensor([-1000.0]))) == 1000.0


@pytest.mark.system("S8")
def test_the_margin_form_is_the_divergence_from_the_label():
    """log(1 + e^{−yz}) = KL(one-hot label ‖ model) = the cross-entropy of the logits (−z/2, z/2)."""
    x = torch.randn(20, 1)
    y = torch.arange(20) % 2
    logits = torch.cat([-x / 2, x / 2], 1)
    one_hot, p = nn.functional.one_hot(y, 2).float(), logits.softmax(1)
    torch.testing.assert_close(discrete_kl(one_hot, p), logistic(signs(y) * x[:, 0]))
    torch.testing.assert_close(cross_entropy(logits, y), logistic(margins(logits, y)))
    torch.testing.assert_close(signs(y), signs(2 * y - 1))


@pytest.mark.system("S7")
@pytest.mark.oracle("O3")
def test_discrete_divergences():
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.2, 0.6])
    assert float(discrete_kl(p, q)) == pytest.approx(0.3600624, abs=1e-6)
    assert float(discrete_kl(q, p)) == pytest.approx(0.3948162, abs=1e-6)
    torch.testing.assert_close(discrete_kl(p, q), discrete_cross_entropy(p, q) - entropy(p))
    zero = torch.tensor([1.0, 0.0])
    assert float(discrete_kl(zero, zero)) == 0.0  # 0 log(0/0) = 0
    assert float(discrete_kl(zero, torch.tensor([0.5, 0.5]))) == pytest.approx(math.log(2))  # 0 log(0/q) = 0
    assert float(discrete_kl(torch.tensor([0.5, 0.5]), zero)) == math.inf  # p log(p/0) = ∞


@pytest.mark.system("S7")
def test_maximum_likelihood_is_the_smallest_divergence_from_the_empirical_distribution():
    counts = torch.tensor([3.0, 5.0, 2.0])
    empirical = counts / counts.sum()
    models = torch.softmax(torch.randn(200, 3, generator=torch.Generator().manual_seed(0)), 1)
    likelihoods = models.log() @ empirical
    divergences = discrete_kl(empirical.expand(200, 3), models)
    assert likelihoods.argmax() == divergences.argmin()
    torch.testing.assert_close(-likelihoods - entropy(empirical), divergences)


@pytest.mark.system("S6", "S8")
def test_both_losses_ignore_what_is_orthogonal_to_the_weights():
    x, y = clouds(classes=2)
    for kind, loss in ((SVM, hinge), (LogisticRegression, logistic)):
        model = kind((4,), 2, mean=(0.0,) * 4, std=(1.0,) * 4)
        nn.init.normal_(model.linear.weight, generator=torch.Generator().manual_seed(0))
        a = model.linear.weight.detach()[0].double()
        direction = torch.randn(4, dtype=torch.float64)
        direction -= direction @ a / (a @ a) * a
        moved = x + 3 * direction
        torch.testing.assert_close(loss(margins(model(x), y)), loss(margins(model(moved), y)), rtol=1e-4, atol=1e-4)


@pytest.mark.system("S6")
def test_no_hinge_loss_means_no_error():
    x, y = torch.tensor([[3.0, 0.0], [-3.0, 1.0]]), torch.tensor([1, 0])
    model = SVM((2,), 2, mean=(0.0,) * 2, std=(1.0,) * 2)
    with torch.no_grad():
        model.linear.weight.copy_(torch.tensor([[1.0, 0.0]]))
    assert not hinge(margins(model(x), y)).any()
    assert (model.logits(x).argmax(1) == y).all()


@pytest.mark.system("S6")
def test_the_perceptron_is_corrected_by_its_errors_alone():
    """One step of SGD on an example with m ≤ 0 adds y·x to the weights; its updates are at most (R/γ)²."""
    x, y = torch.tensor([[1.0, 2.0], [-2.0, -1.0], [2.0, 0.5], [-1.0, -1.5]]), torch.tensor([1, 0, 1, 0])
    model = Perceptron((2,), 2, mean=(0.0,) * 2, std=(1.0,) * 2)
    optimizer, changes = torch.optim.SGD(model.parameters(), lr=1.0), 0
    for i in list(range(4)) * 10:
        before = model.linear.weight.detach().clone()
        optimizer.zero_grad()
        margin = margins(model(x[i : i + 1]), y[i : i + 1])
        classification.perceptron(margin).sum().backward()
        optimizer.step()
        change = model.linear.weight.detach() - before
        expected = signs(y[i : i + 1]) * x[i] if float(margin.detach()) <= 0 else torch.zeros(2)
        torch.testing.assert_close(change[0], expected)
        changes += bool(change.any())
    assert 0 < changes <= 10
    assert (model.logits(x).argmax(1) == y).all()


def test_logistic_regression_has_two_classes():
    with pytest.raises(ValueError, match="got 3 classes, wanted 2"):
        Member("logistic-regression", DIGITS).run()


@pytest.mark.system("S11")
@pytest.mark.oracle("O58")
def test_the_default_of_torch_has_a_third_of_the_variance():
    torch.manual_seed(0)
    layer = nn.Linear(500, 4000)
    initialize(layer, "default")
    for values in (layer.weight, layer.bias):
        assert 500 * float(values.detach().var()) == pytest.approx(1 / 3, rel=0.05)


@pytest.mark.system("S11")
@pytest.mark.parametrize("layer", [nn.Linear(40, 90), nn.Conv2d(8, 12, 5), nn.Conv2d(8, 12, 3, groups=4)])
def test_variances_of_the_initializations(layer):
    torch.manual_seed(0)
    n_in, n_out = fans(layer)
    assert n_in == layer.weight[0].numel()
    expected = {"zero": 0, "lecun": 1 / n_in, "xavier": 2 / (n_in + n_out), "he": 2 / n_in, "default": 1 / (3 * n_in)}
    assert set(expected) == set(INITIALIZATIONS)
    for name, variance in expected.items():
        draws = []
        for _ in range(20):
            initialize(layer, name)
            draws.append(layer.weight.detach().flatten().clone())
        assert float(torch.cat(draws).var()) == pytest.approx(variance, rel=0.1), name
    initialize(layer, "he", mode="fan_out")
    assert float(layer.weight.detach().var()) == pytest.approx(2 / n_out, rel=0.25)


@pytest.mark.system("S11")
@pytest.mark.parametrize(("name", "activation"), [("lecun", nn.Tanh), ("he", nn.ReLU)])
def test_an_initialization_keeps_the_variance_through_the_layers(name, activation):
    torch.manual_seed(0)
    network = nn.Sequential(*(m for _ in range(10) for m in (nn.Linear(256, 256), activation())))
    initialize(network, name)
    x = 0.3 * torch.randn(64, 256) if activation is nn.Tanh else torch.randn(64, 256)
    layers = layer_statistics(network, x, lambda y: y.sum())
    first, last = layers[0], layers[-1]
    assert 0.3 < last.output_variance / first.output_variance < 2.0
    assert 0.1 < last.gradient_variance / first.gradient_variance < 5.0
    small = nn.Sequential(*(m for _ in range(10) for m in (nn.Linear(256, 256), activation())))
    initialize(small, "default")
    vanishing = layer_statistics(small, x, lambda y: y.sum())
    assert vanishing[0].gradient_variance / vanishing[-1].gradient_variance < 1e-3


@pytest.mark.system("S11")
@pytest.mark.oracle("O62")
def test_from_zero_only_the_last_bias_moves():
    run = Member("mlp", DIGITS, {"hidden": 8, "init": "zero"}).run()
    (stage,), model = run.stages, run.model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batch = Member("mlp", DIGITS).batch(10)
    for _ in range(20):
        optimizer.zero_grad()
        stage.problem.loss("model", batch).values.mean().backward()
        optimizer.step()
    moved = [name for name, p in model.named_parameters() if p.detach().any()]
    assert moved == [list(dict(model.named_parameters()))[-1]]


@pytest.mark.system("S10")
def test_linear_layers_without_activation_are_one_linear_layer():
    first, second = nn.Linear(5, 7, dtype=torch.float64), nn.Linear(7, 3, dtype=torch.float64)
    x = torch.randn(4, 5, dtype=torch.float64)
    weight, bias = second.weight @ first.weight, second.weight @ first.bias + second.bias
    torch.testing.assert_close(second(first(x)), x @ weight.T + bias)


@pytest.mark.system("S10")
def test_an_mlp_is_its_formula():
    model = Member("mlp", PLANE, {"hidden": 8, "activation": "tanh", "init": "lecun", "depth": 2}).trained()
    x = torch.randn(3, 2).double()
    a = [layer for layer in model.network if isinstance(layer, nn.Linear)]
    z = model.preprocess(x)
    for layer in a[:-1]:
        z = torch.tanh(z @ layer.weight.T + layer.bias)
    torch.testing.assert_close(model.logits(x), z @ a[-1].weight.T + a[-1].bias)
