"""Likelihoods, the ELBO's parts and classification losses against torch.distributions, closed forms and mpmath-free
explicit sums."""

import math

import pytest
import torch
from torch import distributions as td
from torch.nn import functional as F

from thalweg.objectives.classification import cross_entropy, softmax
from thalweg.objectives.elbo import gaussian_kl, reparameterize
from thalweg.objectives.likelihood import bernoulli_log_prob, discretized_logistic_log_prob, gaussian_log_prob
from thalweg.objectives.reconstruction import squared_error

SHAPE = (7, 2, 3)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.system("S9")
@pytest.mark.oracle("O1")
def test_softmax_numbers():
    scores = torch.tensor([[1.0, 2.0, 3.0], [999.0, 0.0, -2.0], [-2.0, -2.0, -99.0]], dtype=torch.float64)
    wanted = torch.tensor([[0.0900306, 0.2447285, 0.6652410], [1, 0, 0], [0.5, 0.5, 3.7e-43]], dtype=torch.float64)
    torch.testing.assert_close(softmax(scores), wanted, rtol=0, atol=5e-8)
    assert float(softmax(scores)[2, 2]) == pytest.approx(3.7e-43, rel=0.02)
    torch.testing.assert_close(softmax(scores[:1] + 1000), softmax(scores[:1]))  # shift invariance


@pytest.mark.system("S9")
def test_cross_entropy_is_the_explicit_formula_and_does_not_overflow():
    logits, labels = normal(6, 5).float(), torch.tensor([0, 1, 2, 3, 4, 0])
    explicit = -logits[torch.arange(6), labels] + logits.exp().sum(1).log()
    torch.testing.assert_close(cross_entropy(logits, labels), explicit)
    torch.testing.assert_close(cross_entropy(logits, labels).mean(), F.cross_entropy(logits, labels))
    one_hot = td.Categorical(probs=F.one_hot(labels, 5).float())
    torch.testing.assert_close(cross_entropy(logits, labels), td.kl_divergence(one_hot, td.Categorical(logits=logits)))
    large = torch.tensor([[1e4, 0.0]])
    assert cross_entropy(large, torch.tensor([1])).item() == 1e4
    assert cross_entropy(large.bfloat16(), torch.tensor([1])).dtype == torch.float32


@pytest.mark.system("S80")
def test_likelihoods_are_those_of_torch_distributions():
    x, mean, log_sigma = normal(*SHAPE), normal(*SHAPE, seed=1), normal(*SHAPE, seed=2)
    wanted = td.Independent(td.Normal(mean, log_sigma.exp()), 2).log_prob(x)
    torch.testing.assert_close(gaussian_log_prob(x, mean, log_sigma), wanted)
    fixed = torch.tensor(math.log(0.3), dtype=torch.float64)
    wanted = td.Independent(td.Normal(mean, 0.3), 2).log_prob(x)
    torch.testing.assert_close(gaussian_log_prob(x, mean, fixed), wanted)
    binary = (x > 0).double()
    wanted = td.Independent(td.Bernoulli(logits=mean), 2).log_prob(binary)
    torch.testing.assert_close(bernoulli_log_prob(binary, mean), wanted)
    assert bernoulli_log_prob(torch.ones(1, 1), torch.full((1, 1), 500.0)).item() == 0.0


@pytest.mark.system("S80")
@pytest.mark.oracle("O36")
def test_gaussian_kl():
    mean, log_sigma = torch.tensor([[1.0, -2.0]]), 0.5 * torch.tensor([[0.5, 2.0]]).log()
    torch.testing.assert_close(gaussian_kl(mean, log_sigma), torch.tensor([2.75]))
    mean, log_sigma = normal(7, 4), normal(7, 4, seed=1)
    prior = td.Independent(td.Normal(torch.zeros_like(mean), 1.0), 1)
    q = td.Independent(td.Normal(mean, log_sigma.exp()), 1)
    torch.testing.assert_close(gaussian_kl(mean, log_sigma), td.kl_divergence(q, prior))
    # KL(N(1, 4) ‖ N(0, 1))
    got = gaussian_kl(torch.ones(1, 1), torch.full((1, 1), math.log(2.0)))
    torch.testing.assert_close(got, torch.tensor([1.3068528]))


@pytest.mark.system("S80")
def test_reparameterized_draws_have_the_mean_and_the_deviation():
    eps = normal(200_000, 1)
    z = reparameterize(torch.full_like(eps, 2.0), torch.full_like(eps, math.log(0.5)), eps)
    assert z.mean().item() == pytest.approx(2.0, abs=0.01)
    assert z.std().item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.system("S80")
@pytest.mark.parametrize("log_scale", [-6.0, -1.0, 2.0])
@pytest.mark.parametrize("levels", [2, 17, 256])
def test_discretized_logistic_sums_to_one_and_is_the_difference_of_cdfs(levels: int, log_scale: float):
    x = torch.arange(levels, dtype=torch.float64)[:, None]
    half, lowest, highest = (torch.tensor(v, dtype=torch.float64) for v in (0.5, 0.0, levels - 1.0))
    for mean in (-3.0, 0.0, 0.4 * levels, levels + 2.0):
        parameters = (torch.tensor(mean, dtype=torch.float64), torch.tensor(log_scale, dtype=torch.float64))
        got = discretized_logistic_log_prob(x, *parameters, half_bin=half, lowest=lowest, highest=highest)
        assert got.exp().sum().item() == pytest.approx(1.0, abs=1e-12)
        cdf = torch.sigmoid((torch.arange(levels - 1, dtype=torch.float64) + 0.5 - mean) / math.exp(log_scale))
        ends = torch.cat([torch.zeros(1), cdf, torch.ones(1)]).diff()
        torch.testing.assert_close(got.exp(), ends, rtol=1e-9, atol=1e-12)


@pytest.mark.system("S80")
def test_discretized_logistic_is_accurate_and_differentiable_in_the_tails():
    edges = {"half_bin": torch.tensor(0.5), "lowest": torch.tensor(0.0), "highest": torch.tensor(255.0)}
    mean = torch.tensor(200.0, requires_grad=True)
    tail = discretized_logistic_log_prob(torch.tensor([[20.0]]), mean, torch.tensor(-1.0), **edges)
    # Log(e^b − e^a), since σ(t) = e^t in double precision there
    exact = (20.5 - 200) * math.e + math.log1p(-math.exp(-math.e))
    assert tail.item() == pytest.approx(exact, rel=1e-6)
    tail.backward()
    assert mean.grad.item() == pytest.approx(-math.e, rel=1e-5)


@pytest.mark.system("S68")
def test_squared_error_is_summed_over_values():
    x, y = normal(*SHAPE), normal(*SHAPE, seed=1)
    torch.testing.assert_close(squared_error(x.float(), y.float()), ((x - y) ** 2).sum((1, 2)).float())
