"""Importance-weighted bounds against the linear Gaussian model, where log p(x) is known, and a direct definition."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

from thalweg.config import DataConfig, RunConfig
from thalweg.data import Dataset, Spec, Split, load
from thalweg.evaluation.examples import Examples, frozen
from thalweg.evaluation.groups import reference_of
from thalweg.evaluation.measures.importance import MEANINGS, importance_curve, importance_measures, log_weights
from thalweg.evaluation.measures.likelihood import likelihood_measures
from thalweg.models.vaes.observations import Gaussian
from thalweg.models.vaes.vae import VAE
from thalweg.randomness import generator
from thalweg.recipes.runs import build

pytestmark = pytest.mark.system("S82")
LOG_P = -1.5155121  # log N(1; 0, 2)


class LinearGaussian:
    """z ~ N(0, I), x|z ~ N(Wz, s² I): the posterior is Gaussian with precision I + WᵀW/s². No class of the library."""

    observation = "continuous"

    def __init__(self, weight, sigma, scale=1.0, shift=0.0):
        self.weight, self.sigma = torch.as_tensor(weight).double(), sigma
        size, self.dim = self.weight.shape
        self.precision = torch.eye(self.dim) + self.weight.T @ self.weight / sigma**2
        self.scale, self.shift = scale, shift
        cov = self.weight @ self.weight.T + sigma**2 * torch.eye(size)
        self.marginal = MultivariateNormal(torch.zeros(size).double(), cov)

    @property
    def prior(self):
        zero = torch.zeros(self.dim).double()
        return Independent(Normal(zero, torch.ones_like(zero)), 1)

    def posterior(self, x):
        cov = torch.linalg.inv(self.precision)
        mean = x.double() @ self.weight @ cov / self.sigma**2
        return MultivariateNormal(mean + self.shift, self.scale * cov)

    def log_likelihood(self, x, z):
        return Normal(z @ self.weight.T, self.sigma).log_prob(x.double()).sum(dim=1)


WEIGHT = [[1.0, 0.3], [-0.5, 0.8], [0.2, -1.5]]


def data(model, n, seed=0):
    torch.manual_seed(seed)
    x = model.marginal.sample((n,)).numpy()
    part = Split(x)
    return Dataset(Spec(name="cloud", kind="vector", shape=x.shape[1:]), part, part, part)


@pytest.mark.oracle("O34")
def test_with_the_true_posterior_every_draw_gives_log_p():
    model = LinearGaussian(WEIGHT, 0.4)
    examples = Examples(data(model, 50).test.x)
    exact = model.marginal.log_prob(torch.from_numpy(examples.x)).numpy()
    weights = log_weights(model, examples, 8)
    np.testing.assert_allclose(weights, np.repeat(exact[:, None], 8, axis=1), atol=1e-9)
    for values in importance_curve(weights).values():
        np.testing.assert_allclose(values, exact, atol=1e-9)
    toy = LinearGaussian([[1.0]], 1.0)
    assert log_weights(toy, Examples(np.ones((1, 1))), 1)[0, 0] == pytest.approx(LOG_P, abs=1e-7)


@pytest.mark.oracle("O35")
def test_with_the_prior_as_proposal_the_bound_converges_to_log_p():
    """q = prior at x = 1, z ~ N(0, 1), x|z ~ N(z, 1): E of K = 1, 5, 50 is −1.92, −1.56, −1.52; log p = −1.5155."""

    class Prior(LinearGaussian):
        def posterior(self, x):
            return self.prior.expand((len(x),))

    weights = log_weights(Prior([[1.0]], 1.0), Examples(np.ones((6000, 1)), batch_size=1000), 64)
    for k, wanted in ((1, -1.9189), (5, -1.56), (50, -1.519)):
        groups = weights[:, : 64 - 64 % k].reshape(-1, k)
        value = np.log(np.exp(groups).mean(axis=1))
        assert value.mean() == pytest.approx(wanted, abs=0.006)
    curve = importance_curve(weights)
    assert list(curve) == [1, 2, 4, 8, 16, 32, 64]
    means = [float(values.mean()) for values in curve.values()]
    assert means == sorted(means)
    assert LOG_P - 0.01 < means[-1] < LOG_P + 0.002
    # unbiased: the mean weight is p(x)
    error = np.exp(weights).std() / math.sqrt(weights.size)
    assert np.exp(weights).mean() == pytest.approx(math.exp(LOG_P), abs=4 * error)


@pytest.mark.parametrize(("scale", "shift"), [(1.5, 0.0), (1.0, 0.5), (4.0, -0.2)])
def test_a_wrong_posterior_is_never_above_log_p_beyond_sampling_error(scale, shift):
    model = LinearGaussian(WEIGHT, 0.4, scale=scale, shift=shift)
    examples = Examples(data(model, 400).test.x)
    exact = model.marginal.log_prob(torch.from_numpy(examples.x)).numpy()
    curve = importance_curve(log_weights(model, examples, 64))
    apart = [exact - values for values in curve.values()]
    for gap in apart:
        assert gap.mean() > -4 * gap.std() / 20
    assert apart[0].mean() > 4 * apart[0].std() / 20  # and one draw is clearly below
    assert apart[-1].mean() < 0.2 * apart[0].mean()


def test_the_curve_is_its_definition():
    weights = np.random.default_rng(0).normal(size=(5, 8)) * 3 - 1000
    for k, values in importance_curve(weights).items():
        for row, value in zip(weights, values, strict=True):
            groups = [row[i : i + k] + 1000 for i in range(0, 8, k)]
            wanted = np.mean([np.log(np.mean(np.exp(group))) for group in groups]) - 1000
            assert value == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("sigma", [0.2, 1.0])
def test_weights_of_dequantized_data_are_unbiased_for_the_probability_of_levels(sigma):
    """One pixel of 4 levels, z ~ N(0, 1), level + u ~ N(1.5 z + 2, σ²): P(level) = Φ(b) − Φ(a) of N(2, 1.5² + σ²)."""
    distribution = Gaussian((0.0,), (1.0,), (1, 1, 1), sigma=sigma, learn_sigma=False, levels=4)
    decoder = nn.Sequential(nn.Linear(1, 1), nn.Unflatten(1, (1, 1, 1)))
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    with torch.no_grad():
        decoder[0].weight.fill_(1.5), decoder[0].bias.fill_(2.0)
        encoder[1].weight.copy_(torch.tensor([[0.4], [0.0]])), encoder[1].bias.copy_(torch.tensor([-0.8, -0.5]))
    model = VAE(encoder, decoder, distribution, latent_dim=1)
    marginal = Normal(2.0, math.sqrt(1.5**2 + sigma**2))
    for level in range(4):
        x = np.full((2000, 1, 1, 1), level, dtype=np.uint8)
        weights = np.exp(log_weights(model, Examples(x), 32))
        exact = float(marginal.cdf(torch.tensor(level + 1.0)) - marginal.cdf(torch.tensor(float(level))))
        error = weights.std() / math.sqrt(weights.size)
        assert weights.mean() == pytest.approx(exact, abs=4 * error)
        assert error < 0.03 * exact


def test_estimates_of_a_trained_vae_on_digits():
    dataset = load(DataConfig(source="digits"))
    model = build(RunConfig(recipe="vae", data=DataConfig(source="digits")), dataset.spec).model
    x, optimizer = torch.from_numpy(dataset.train.x[:]), torch.optim.Adam(model.parameters(), lr=1e-3)
    for step in range(150):
        rows = torch.randint(0, len(x), (64,), generator=generator(0, "rows", step))
        noise = torch.randn(64, model.latent_dim, generator=generator(0, "noise", step))
        loss = -model.elbo(x[rows], noise).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    reference = reference_of(dataset, seed=3)
    with frozen(model):
        findings, again = (importance_measures(model, reference) for _ in range(2))
        elbo = likelihood_measures(model, reference)["log-likelihood"]
    assert findings.estimates == again.estimates
    assert findings.figures == again.figures
    curve, bound, bits = findings.figure("bounds"), findings["IWAE-64"], findings["IWAE-64 bits/dim"]
    assert curve.x == [1, 2, 4, 8, 16, 32, 64]
    assert curve.y == sorted(curve.y)
    assert curve.y[0] == pytest.approx(elbo.value, abs=0.5)  # both are one draw's ELBO
    assert curve.y[-1] == bound.value > elbo.value + 1
    assert (curve.low[-1], curve.high[-1]) == (bound.low, bound.high)
    assert all(low < y < high for low, y, high in zip(curve.low, curve.y, curve.high, strict=True))
    assert (curve.x_axis.scale, curve.y_axis.scale) == ("log2", "linear")
    assert bits.value == pytest.approx(-bound.value / (64 * math.log(2)), rel=1e-12)
    assert (bound.kind, bits.kind) == ("lower bound", "upper bound")
    assert bound.n == 180
    assert bound.protocol["quantity"] == elbo.protocol["quantity"]
    assert set(MEANINGS) == {e.name for e in findings.estimates}


def test_the_number_of_selected_examples_is_in_the_protocol():
    model = LinearGaussian(WEIGHT, 0.4)
    findings = importance_measures(model, reference_of(data(model, 700)))["IWAE-64"]
    assert findings.n == findings.protocol["examples"] == 500
    assert findings.protocol["of"] == 700


def test_wrong_shapes():
    model = LinearGaussian(WEIGHT, 0.4)
    reference = reference_of(data(model, 30))
    model.log_likelihood = lambda x, z: z
    with pytest.raises(ValueError, match=r"log_likelihood: got values of shape \(30, 2\), wanted \(30,\)"):
        importance_measures(model, reference)
