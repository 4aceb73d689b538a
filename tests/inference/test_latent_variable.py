"""Likelihoods of latent-variable models: exact sums, naive Monte Carlo, importance sampling."""

import math

import pytest
import torch
from scipy.stats import multivariate_normal
from torch.distributions import Categorical, Independent, MultivariateNormal, Normal

from thalweg.inference.latent_variable import DiscreteLatentModel, log_weights

CENTERS = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])


def mixture(weights: tuple[float, ...] = (1 / 3, 1 / 3, 1 / 3), spread: float = 1.0) -> DiscreteLatentModel:
    return DiscreteLatentModel(Categorical(torch.tensor(weights)), lambda k: Independent(Normal(CENTERS[k], spread), 1))


@pytest.mark.system("S79")
@pytest.mark.oracle("O43")
def test_exact_likelihood_and_posterior():
    model, x = mixture(), torch.tensor([[0.0, 0.0], [4.0, 0.0], [1.0, 2.0]])
    assert model.log_prob(x)[0].item() == pytest.approx(-2.9358187, abs=1e-6)
    uneven = mixture((0.5, 0.2, 0.3), 0.7)
    parts = [multivariate_normal(c, 0.49).pdf(x) for c in CENTERS.numpy()]
    joint = torch.tensor([[w * p[i] for w, p in zip((0.5, 0.2, 0.3), parts, strict=True)] for i in range(3)])
    torch.testing.assert_close(uneven.log_prob(x), joint.sum(1).log().float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(uneven.posterior(x).probs, (joint / joint.sum(1, keepdim=True)).float())


@pytest.mark.system("S79")
def test_naive_draws_have_a_large_variance_and_draws_of_the_posterior_none():
    model, x = mixture((0.9, 0.05, 0.05), 0.3), torch.tensor([[0.0, 4.0], [4.0, 0.1], [0.1, 0.0]])
    exact = model.log_prob(x).exp()
    naive = log_weights(model, x, 20_000).exp()
    posterior = log_weights(model, x, 1000, proposal=model.posterior(x)).exp()
    error = naive.std(0) / math.sqrt(20_000)
    assert ((naive.mean(0) - exact).abs() < 4 * error).all()
    # p(x|Z) is p(x|k) with probability π_k: its variance is known
    per_k = torch.stack([model.log_likelihood(x, torch.full((3,), k)).exp() for k in range(3)])
    variance = (model.prior.probs[:, None] * per_k**2).sum(0) - exact**2
    torch.testing.assert_close(naive.var(0), variance, rtol=0.1, atol=0)
    assert (naive.var(0)[:2] > 10 * exact[:2] ** 2).all()  # for the rare centers, one sample in 20 is close
    torch.testing.assert_close(posterior, exact.expand(1000, 3), rtol=1e-5, atol=0)
    assert (posterior.var(0) < 1e-9 * exact**2).all()


@pytest.mark.system("S79")
def test_every_proposal_is_unbiased_and_a_closer_one_has_less_variance():
    model, x = mixture((0.6, 0.2, 0.2), 1.5), torch.tensor([[1.0, 2.0]])
    exact = model.log_prob(x).exp()
    middle = Categorical(0.5 * (model.posterior(x).probs + model.prior.probs))
    far = Categorical(torch.tensor([[0.1, 0.8, 0.1]]))
    result = {}
    for name, q in (("prior", None), ("middle", middle), ("far", far)):
        w = log_weights(model, x, 50_000, proposal=q, seed=3).exp()[:, 0]
        assert abs(w.mean() - exact[0]) < 4 * w.std() / math.sqrt(50_000), name
        result[name] = w.var()
    assert result["middle"] < result["prior"] < result["far"]


@pytest.mark.system("S79")
def test_continuous_latents_and_one_distribution_for_all_examples():
    """z ~ N(0, 1), x|z ~ N(z, 1): p(x) = N(x; 0, 2), and the posterior N(x/2, ½) has weights without variance."""

    class Toy:
        prior = Normal(0.0, 1.0)

        def log_likelihood(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
            return Normal(z, 1.0).log_prob(x)

    x = torch.tensor([1.0, -2.0, 0.0])
    exact = Normal(0.0, math.sqrt(2.0)).log_prob(x)
    assert exact[0].item() == pytest.approx(-1.5155121, abs=1e-6)
    w = log_weights(Toy(), x, 10, proposal=Normal(x / 2, math.sqrt(0.5)))
    torch.testing.assert_close(w, exact.expand(10, 3), rtol=0, atol=1e-5)
    naive = log_weights(Toy(), x, 100_000, seed=1).exp()
    assert ((naive.mean(0) - exact.exp()).abs() < 4 * naive.std(0) / math.sqrt(100_000)).all()


@pytest.mark.system("S79")
def test_samples_come_from_the_mixture():
    model = mixture((0.5, 0.2, 0.3), 0.1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x = model.sample(20_000)
    nearest = torch.cdist(x, CENTERS).argmin(1)
    torch.testing.assert_close(torch.bincount(nearest) / 20_000, model.prior.probs, rtol=0, atol=0.012)
    assert MultivariateNormal(torch.zeros(2), torch.eye(2)).event_shape == x.shape[1:]
