"""The two estimators of the gradient of an expectation, against closed forms."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent, Normal

from thalweg.inference.gradients import gradient_draws

N = 200_000


def close(draws: Tensor, wanted: Tensor) -> bool:
    """Whether the mean of the draws is `wanted` within 4 of its standard errors."""
    error = draws.std(0) / math.sqrt(len(draws))
    return bool(((draws.mean(0) - wanted).abs() <= 4 * error + 1e-5).all())


def normal(phi: Tensor) -> Normal:
    return Normal(phi[:, 0], phi[:, 1].exp())


@pytest.mark.system("S81")
@pytest.mark.system("S104")
@pytest.mark.oracle("O50")
@pytest.mark.parametrize(
    ("estimator", "baseline", "variance", "within"),
    [("reparameterized", 0.0, 4.0, 0.1), ("score-function", 0.0, 3224.0, 100.0), ("score-function", 52.0, 312.0, 15.0)],
)
def test_quadratic(estimator: str, baseline: float, variance: float, within: float):
    """L(μ) = E‖X − c‖², X ~ N(μ, I), c = (5, 5): at μ = 0 the gradient is (−10, −10)."""
    result = gradient_draws(
        lambda mu: Independent(Normal(mu, 1.0), 1),
        lambda x: ((x - 5.0) ** 2).sum(1),
        torch.zeros(2),
        N,
        estimator=estimator,
        baseline=baseline,
    )
    assert result.shape == (N, 2)
    assert close(result, torch.tensor([-10.0, -10.0]))
    for component in result.var(0).tolist():
        assert component == pytest.approx(variance, abs=within)


@pytest.mark.system("S81")
@pytest.mark.parametrize("estimator", ["reparameterized", "score-function"])
@pytest.mark.parametrize(("m", "s"), [(0.0, 1.0), (0.7, 0.5)])
def test_gradient_of_the_elbo(estimator: str, m: float, s: float):
    """z ~ N(0, 1), x|z ~ N(z, 1), x = 1: ∇ELBO is (1 − 2m, 1 − 2s²) in (m, log s); f is log p(x, z) − log q(z), q held
    constant."""
    phi = torch.tensor([m, math.log(s)])
    q_constant = Normal(m, s)

    def f(z: Tensor) -> Tensor:
        return Normal(z, 1.0).log_prob(torch.tensor(1.0)) + Normal(0.0, 1.0).log_prob(z) - q_constant.log_prob(z)

    result = gradient_draws(normal, f, phi, N, estimator=estimator, seed=1)
    assert close(result, torch.tensor([1 - 2 * m, 1 - 2 * s**2]))


@pytest.mark.system("S81")
def test_the_score_function_has_the_larger_variance():
    one, two = (
        gradient_draws(normal, lambda z: torch.sin(3 * z), torch.tensor([0.4, -0.5]), N, estimator=estimator)
        for estimator in ("reparameterized", "score-function")
    )
    s = math.exp(-0.5)  # E sin(3z) = sin(3μ) exp(−9σ²/2)
    slope = 3 * math.cos(1.2) * math.exp(-4.5 * s**2), -9 * s**2 * math.sin(1.2) * math.exp(-4.5 * s**2)
    assert close(one, torch.tensor(slope))
    assert close(two, torch.tensor(slope))
    # not for every function: for one this steep at σ = e^−½, the score function has the smaller variance
    flat, steep = (
        gradient_draws(normal, lambda z: z**2, torch.tensor([1.0, -0.5]), N, estimator=estimator)
        for estimator in ("reparameterized", "score-function")
    )
    assert (flat.var(0) < steep.var(0)).all()


@pytest.mark.system("S81")
def test_the_derivative_of_the_sample_is_signed():
    """E[σε] = 0 for every σ; with |∂z/∂σ| = |ε| in place of ε its derivative would be √(2/π)."""
    result = gradient_draws(normal, lambda z: z, torch.tensor([0.0, 0.0]), N)
    assert result[:, 1].mean().item() == pytest.approx(0.0, abs=0.01)
    assert result[:, 1].abs().mean().item() == pytest.approx(0.7978846, abs=0.01)


@pytest.mark.system("S81")
def test_draws_that_cannot_be_reparameterized_have_the_score_function():
    distribution = lambda phi: Bernoulli(logits=phi[:, 0])  # noqa: E731
    phi, p = torch.tensor([0.3]), torch.sigmoid(torch.tensor(0.3))
    result = gradient_draws(distribution, lambda z: 5 * z + 1, phi, N, estimator="score-function")
    assert close(result, 5 * p * (1 - p))
    with pytest.raises(ValueError, match="got reparameterized for Bernoulli, wanted score-function"):
        gradient_draws(distribution, lambda z: z, phi, 10)
    with pytest.raises(ValueError, match=r"f: got values of shape \(10, 2\), wanted \(10,\)"):
        gradient_draws(lambda phi: Independent(Normal(phi, 1.0), 1), lambda z: z, torch.zeros(2), 10)


def test_a_seed_decides_the_draws_and_leaves_torchs_generator_alone():
    before = torch.random.get_rng_state()
    one, two, other = (gradient_draws(normal, torch.sin, torch.zeros(2), 9, seed=s) for s in (0, 0, 1))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(before, torch.random.get_rng_state())
