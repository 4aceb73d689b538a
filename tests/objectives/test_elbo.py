"""The estimators of the gradients of the ELBO and of the K-draw bound: their exact means and variances by quadrature.

The model is z ~ N(0, 1), x|z ~ N(a·z, 1), q = N(m, s²). All nodes of a Gauss-Hermite rule are one batch, so the mean of
an estimator is a weighted sum of its values at the nodes: the test has no sampling noise.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from thalweg.models.vaes.iwae import IWAE
from thalweg.models.vaes.observations import Gaussian
from thalweg.models.vaes.vae import VAE
from thalweg.models.vaes.variational import VariationalModel
from thalweg.objectives.elbo import importance_bound, score_function

X = 1.0


class Table(nn.Module):
    """q(z|x) of example i is N(m_i, s_i²): one row per node, so that the gradient of each node is separate."""

    def __init__(self, mean: float, log_sigma: float, rows: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.tensor([[mean, log_sigma]], dtype=torch.float64).repeat(rows, 1))

    def forward(self, y: Tensor) -> Tensor:
        return self.rows


class Scale(nn.Module):
    """z ↦ a·z."""

    def __init__(self, a: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a, dtype=torch.float64))

    def forward(self, z: Tensor) -> Tensor:
        return self.a * z


class Rule(NamedTuple):
    eps: Tensor  # (nodes, K, 1)
    share: Tensor  # (nodes,)


def rule(draws: int, nodes: int) -> Rule:
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    grid = torch.tensor(list(itertools.product(points, repeat=draws)))
    share = torch.tensor(list(itertools.product(weights / weights.sum(), repeat=draws))).prod(1)
    return Rule(grid[:, :, None], share)


class Found(NamedTuple):
    bound: Tensor
    mean: Tensor  # of the estimator of d/d(m, log s)
    variance: Tensor
    decoder: Tensor  # mean of the estimator of d/da


def at_nodes(kind: type, gradient: str, draws: int, m: float, s: float, a: float = 1.0, nodes: int = 40) -> Found:
    """Exact means and variances of the estimator, from its values at the nodes of the rule."""
    eps, share = rule(draws, nodes)
    likelihood = Gaussian((0.0,), (1.0,), (1,), sigma=1.0, learn_sigma=False)
    options = {"draws": draws} if kind is IWAE else {}
    table, scale = Table(m, math.log(s), len(eps)), Scale(a)
    model: VariationalModel = kind(table, scale, likelihood, 1, gradient=gradient, **options)
    model.heads = lambda y: table(y).chunk(2, dim=1)  # in float64
    likelihood.split = lambda parameters: (parameters, torch.zeros((), dtype=torch.float64))
    if gradient == "reparameterized" and kind is VAE:
        eps = eps[:, 0]
    values = model(torch.full((len(eps), 1), X, dtype=torch.float64), eps).values
    rows, decoder = torch.autograd.grad(values.sum(), [table.rows, scale.a], retain_graph=True)
    (weighted,) = torch.autograd.grad((share * values).sum(), scale.a)
    assert decoder.isfinite()
    mean = share @ rows
    return Found((share * values).sum().detach(), mean, share @ (rows - mean) ** 2, weighted)


def truth(m: float, s: float, a: float = 1.0) -> tuple[float, Tensor, float]:
    """The ELBO and its gradients, in closed form."""
    elbo = -0.5 * math.log(2 * math.pi) - 0.5 * ((X - a * m) ** 2 + (a * s) ** 2)
    elbo -= 0.5 * (s**2 + m**2 - 1) - math.log(s)
    slope = torch.tensor([a * (X - a * m) - m, 1 - (1 + a**2) * s**2], dtype=torch.float64)
    return elbo, slope, (X - a * m) * m - a * s**2


@pytest.mark.system("S81")
@pytest.mark.parametrize(("m", "s", "a"), [(0.0, 1.0, 1.0), (0.7, 0.4, 1.3), (-1.0, 1.5, 0.5)])
def test_both_gradients_of_the_elbo_are_unbiased_and_reparameterized_has_less_variance(m: float, s: float, a: float):
    elbo, slope, decoder = truth(m, s, a)
    variances = []
    for gradient, draws in (("reparameterized", 1), ("score-function", 2)):
        result = at_nodes(VAE, gradient, draws, m, s, a, nodes=12)  # of polynomials: exact
        assert result.bound.item() == pytest.approx(elbo, abs=1e-9)
        torch.testing.assert_close(result.mean, slope, rtol=0, atol=1e-9)
        assert result.decoder.item() == pytest.approx(decoder, abs=1e-9)
        variances.append(result.variance)
    assert (variances[0] < variances[1]).all()


def bound_by_quadrature(m: float, s: float, a: float, draws: int, nodes: int = 60) -> tuple[float, Tensor, float]:
    """E log (1/K) Σ w_k and its gradients, differentiating the quadrature itself, with torch.distributions."""
    eps, share = rule(draws, nodes)
    phi = torch.tensor([m, math.log(s)], dtype=torch.float64, requires_grad=True)
    slope = torch.tensor(a, dtype=torch.float64, requires_grad=True)
    q = Normal(phi[0], phi[1].exp())
    z = phi[0] + phi[1].exp() * eps[:, :, 0]
    log_w = Normal(slope * z, 1.0).log_prob(torch.tensor(X)) + Normal(0.0, 1.0).log_prob(z) - q.log_prob(z)
    bound = (share * (log_w.exp().mean(1)).log()).sum()
    gradients = torch.autograd.grad(bound, [phi, slope])
    return bound.item(), gradients[0], gradients[1].item()


@pytest.mark.system("S82")
@pytest.mark.parametrize(("m", "s", "a"), [(0.0, 1.0, 1.0), (0.7, 0.5, 1.3)])
@pytest.mark.parametrize("draws", [1, 2])
def test_both_gradients_of_the_importance_bound_are_unbiased(m: float, s: float, a: float, draws: int):
    bound, slope, decoder = bound_by_quadrature(m, s, a, draws)
    plain = at_nodes(IWAE, "reparameterized", draws, m, s, a)
    doubly = at_nodes(IWAE, "doubly-reparameterized", draws, m, s, a)
    for result in (plain, doubly):
        assert result.bound.item() == pytest.approx(bound, abs=1e-6)
        torch.testing.assert_close(result.mean, slope, rtol=0, atol=2e-5)
        assert result.decoder.item() == pytest.approx(decoder, abs=1e-5)
    assert not torch.allclose(plain.variance, doubly.variance)
    if draws == 1:
        elbo, slope, decoder = truth(m, s, a)
        assert bound == pytest.approx(elbo, abs=1e-9)


@pytest.mark.system("S82")
def test_under_the_true_posterior_the_doubly_reparameterized_gradient_is_zero_draw_by_draw():
    """All weights are p(x), so the gradient is zero, and so is every estimate."""
    s = math.sqrt(0.5)
    doubly = at_nodes(IWAE, "doubly-reparameterized", 2, 0.5, s)
    plain = at_nodes(IWAE, "reparameterized", 2, 0.5, s)
    assert doubly.bound.item() == pytest.approx(-1.5155121, abs=1e-6)
    assert doubly.variance.max().item() < 1e-12
    assert plain.variance.min().item() > 0.1


@pytest.mark.system("S82")
def test_importance_bound_is_the_logarithm_of_the_mean_without_overflow():
    log_weights = torch.tensor([[-1000.0, -1001.0, -1000.5]])
    wanted = -1000 + math.log((1 + math.exp(-1) + math.exp(-0.5)) / 3)
    assert importance_bound(log_weights).item() == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("values", [[3.0, 1.0], [2.0, -1.0, 5.0], [1.0, 1.0, 1.0, 4.0]])
def test_the_baseline_of_each_sample_is_the_mean_of_the_others(values):
    """The gradient in log q(z_k) is (f_k − b_k)/K, in f_k 1/K."""
    f = torch.tensor([values], dtype=torch.float64, requires_grad=True)
    log_q = torch.zeros_like(f).requires_grad_()
    result = score_function(f, log_q)
    of_f, of_log_q = torch.autograd.grad(result.sum(), (f, log_q))
    wanted = [(v - np.mean(values[:k] + values[k + 1 :])) / len(values) for k, v in enumerate(values)]
    assert result.item() == pytest.approx(np.mean(values))
    assert of_log_q[0].tolist() == pytest.approx(wanted)
    assert of_f[0].tolist() == pytest.approx([1 / len(values)] * len(values))
