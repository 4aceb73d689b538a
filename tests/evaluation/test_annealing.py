"""Annealed importance sampling against models whose log p(x) is known: in closed form, or by quadrature."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal, Uniform

from thalweg.config import DataConfig, RunConfig
from thalweg.data import Dataset, Spec, Split, load
from thalweg.evaluation.examples import frozen, seeded
from thalweg.evaluation.groups import reference_of
from thalweg.evaluation.measures import annealing
from thalweg.evaluation.measures.annealing import CHAINS, MEANINGS, annealed_bounds, annealing_measures
from thalweg.evaluation.measures.observation import GaussianObservation, fit_observation, level_log_prob
from thalweg.evaluation.statistics.hamiltonian import anneal, point, sigmoid_schedule, transition
from thalweg.models.gans.gan import GAN, Networks, dense_networks
from thalweg.models.vaes.observations import Gaussian
from thalweg.models.vaes.vae import VAE
from thalweg.recipes.runs import build

WEIGHT = torch.tensor([[1.0, 0.3], [-0.5, 0.8], [0.2, -1.5]]).double()


class LinearDecoder:
    """z ~ N(0, I₂), x|z ~ N(Wz, 0.4² I): all it can do is decode."""

    sigma = 0.4

    @property
    def prior(self):
        zero = torch.zeros(2).double()
        return Independent(Normal(zero, torch.ones_like(zero)), 1)

    def decode(self, z):
        return z @ WEIGHT.T

    def marginal(self, sigma):
        return MultivariateNormal(torch.zeros(3).double(), WEIGHT @ WEIGHT.T + sigma**2 * torch.eye(3))


class LinearGaussian(LinearDecoder):
    """The same with its distribution of the data, and a way to draw from it."""

    def log_likelihood(self, x, z):
        return Normal(self.decode(z), self.sigma).log_prob(x.double()).sum(dim=1)

    def observe(self, z):
        return self.decode(z) + self.sigma * torch.randn(len(z), 3).double()


def data(n=40, seed=0):
    with seeded(seed, "data"):
        x = LinearDecoder().marginal(0.4).sample((n,)).numpy()
    part = Split(x)
    return Dataset(Spec(name="cloud", kind="vector", shape=(3,)), part, part, part)


def posterior(x, sigma):
    precision = torch.eye(2) + WEIGHT.T @ WEIGHT / sigma**2
    return MultivariateNormal(torch.linalg.solve(precision, (x @ WEIGHT).T / sigma**2).T, torch.linalg.inv(precision))


def test_both_bounds_enclose_log_p_of_the_linear_gaussian_model():
    model = LinearGaussian()
    with seeded(0, "bounds"):
        z = model.prior.sample((200,))
        x = model.observe(z)
        bounds = annealed_bounds(model, x, 100, codes=z)
    exact = model.marginal(0.4).log_prob(x).numpy()
    below, above = exact - bounds.lower, bounds.upper - exact
    for gap in (below, above):
        error = gap.std() / math.sqrt(len(gap))
        assert -3 * error < gap.mean() < 0.1
    assert below.mean() + above.mean() > 0
    assert 0.5 < bounds.acceptance < 0.8


def test_few_temperatures_leave_both_bounds_valid_and_wide():
    model = LinearGaussian()
    with seeded(1, "bounds"):
        z = model.prior.sample((500,))
        x = model.observe(z)
        bounds = annealed_bounds(model, x, 4, codes=z)
    exact = model.marginal(0.4).log_prob(x).numpy()
    assert (exact - bounds.lower).mean() > 0.1
    assert (bounds.upper - exact).mean() > 0.1


def chains(model, x, count, z, betas, steps):
    rows = x.repeat(count, 1)
    return anneal(model.prior.log_prob, lambda z: model.log_likelihood(rows, z), z, betas, steps=steps).log_weights[-1]


def test_weights_are_unbiased_in_both_directions():
    """E[w] = p(x) forward and E[w'] = 1/p(x) in reverse, with eight temperatures, however the steps are."""

    class Blurred(LinearGaussian):  # the less the distributions differ, the lighter are the tails of the weights
        sigma = 2.0

    model, count, betas = Blurred(), 20_000, sigmoid_schedule(8)[:, None]
    x = torch.tensor([[0.8, -0.3, 0.5]]).double()
    log_p = float(model.marginal(2.0).log_prob(x))
    for step in (0.3, 0.9):
        steps = torch.full((8, count), step)
        with seeded(0, "weights"):
            ahead = chains(model, x, count, model.prior.sample((count,)), betas, steps) - log_p
            back = chains(model, x, count, posterior(x, 2.0).sample((count,))[:, 0], betas.flip(0), steps) + log_p
        for weights in (ahead.exp(), back.exp()):
            error = float(weights.std()) / math.sqrt(count)
            assert error < 0.01
            assert float(weights.mean()) == pytest.approx(1.0, abs=4 * error)


@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_a_transition_leaves_the_distribution_invariant(beta):
    """From exact draws of p(z) p(x|z)^β, ten transitions later: the same mean and covariance, at another place."""
    model, count = LinearGaussian(), 40_000
    x = torch.tensor([[0.8, -0.3, 0.5]]).double()
    precision = torch.eye(2) + beta * WEIGHT.T @ WEIGHT / 0.4**2
    mean = torch.linalg.solve(precision, beta * (x @ WEIGHT).T / 0.4**2)[:, 0]
    distribution = MultivariateNormal(mean, precision_matrix=precision)
    rows = x.expand(count, 3)
    with seeded(0, "chains"):
        start = distribution.sample((count,))
        distributions = model.prior.log_prob, lambda z: model.log_likelihood(rows, z)
        at = point(*distributions, start)
        chance = torch.zeros(count)
        for _ in range(10):
            at, chance = transition(*distributions, at, torch.tensor(beta), torch.full((count,), 0.35))
    white = (at.z - mean) @ torch.linalg.cholesky(precision)  # N(0, I)
    error = 4 / math.sqrt(count)
    torch.testing.assert_close(white.mean(dim=0), torch.zeros(2).double(), atol=error, rtol=0)
    torch.testing.assert_close(white.T @ white / count, torch.eye(2).double(), atol=1.5 * error, rtol=0)
    assert 0.3 < float(chance.mean()) < 0.97  # some are rejected: without that the distribution would not be kept
    started = (start - mean) @ torch.linalg.cholesky(precision)
    assert float((white * started).mean().abs()) < 0.2  # and they have moved


def test_a_transition_rejects_what_is_not_finite():
    def edge(z):
        return torch.where(z[:, 0] > 0.3, torch.nan, 0.0) + 0 * z[:, 0]

    distributions = Normal(0.0, 1.0).log_prob, edge
    at = point(lambda z: distributions[0](z)[:, 0], edge, torch.zeros(500, 1))
    with seeded(0, "edge"):
        new, chance = transition(
            lambda z: distributions[0](z)[:, 0], edge, at, torch.tensor(1.0), torch.full((500,), 0.4)
        )
    assert bool(torch.isfinite(new.z).all())
    assert bool((new.z <= 0.3).all())
    assert 0 < int((chance == 0).sum()) < 500


def test_estimates_of_the_linear_gaussian_model():
    findings = annealing_measures(LinearGaussian(), reference_of(data(40), temperatures=150, batch_size=100))
    assert (
        {e.name for e in findings.estimates} == set(MEANINGS) - {"AIS bits/dim"} == {"AIS", "BDMC lower", "BDMC upper"}
    )
    ais, text = findings["AIS"], findings.tables["AIS"]
    assert ais.kind == "lower bound"
    assert (findings["BDMC lower"].kind, findings["BDMC upper"].kind) == ("lower bound", "upper bound")
    assert ais.n == ais.protocol["examples"] == text["examples"] == 32
    assert ais.protocol["of"] == 40
    assert (ais.protocol["temperatures"], ais.protocol["chains"]) == (150, CHAINS)
    assert ais.protocol["quantity"] == findings["BDMC upper"].protocol["quantity"] == "density of the raw values"
    assert text["gap"] == pytest.approx(findings["BDMC upper"].value - findings["BDMC lower"].value, abs=1e-9)
    assert text["gap low"] < text["gap"] < text["gap high"] < 0.4
    again = annealing_measures(LinearGaussian(), reference_of(data(40), temperatures=150, batch_size=100))
    assert again.estimates == findings.estimates


def test_nothing_without_temperatures_or_for_exact_densities():
    reference = reference_of(data(), temperatures=20)
    assert not annealing_measures(LinearGaussian(), reference_of(data())).tables

    class Flow(LinearDecoder):  # it has an exact distribution of its own
        def log_prob(self, x):
            return torch.zeros(len(x))

    assert not annealing_measures(Flow(), reference).tables


def test_chains_through_a_large_decoder_are_left_out_on_a_cpu_unless_asked_for(monkeypatch):
    """Its work is known in advance: a product of (1, 2) and (2, 3), 12 FLOP, and its gradient."""
    decoder = LinearDecoder()
    monkeypatch.setattr(annealing, "TEMPERATURES", 4)
    findings = annealing_measures(decoder, reference_of(data(40), temperatures=None))
    assert findings["AIS"].protocol["temperatures"] == 4
    chains = 10 * 32 + 18 * 16 + 8 * 32  # of test examples, simulated ones and those that choose sigma
    monkeypatch.setattr(annealing, "MAX_FLOP", 2.0 * 12 * 3 * 4 * chains)
    assert not annealing_measures(decoder, reference_of(data(40), temperatures=None)).missing
    monkeypatch.setattr(annealing, "MAX_FLOP", 2.0 * 12 * 3 * 4 * chains - 1)
    findings = annealing_measures(decoder, reference_of(data(40), temperatures=None))
    assert not findings.estimates
    assert "--temperatures 4 has them done" in findings.missing[0].reason
    assert annealing_measures(decoder, reference_of(data(40), temperatures=4)).estimates


def test_missing_measures_have_a_reason_of_one_line():
    class Blind(LinearGaussian):
        observe = None

    findings = annealing_measures(Blind(), reference_of(data(), temperatures=5))
    assert [e.name for e in findings.estimates] == ["AIS"]
    assert [m.reason for m in findings.missing] == [
        "observe: Blind cannot draw x given z, wanted observe(z) to simulate examples"
    ]

    class Boxed(LinearGaussian):
        @property
        def prior(self):
            return Independent(Uniform(torch.zeros(2), torch.ones(2)), 1)

    with pytest.raises(ValueError, match=r"prior: got Independent.*, wanted one on all of R\^d"):
        annealing_measures(Boxed(), reference_of(data(), temperatures=5))
    empty = Dataset(data().spec, data().train, Split(np.zeros((0, 3))), data().test)
    with pytest.raises(ValueError, match="validation: got no examples"):
        annealing_measures(LinearDecoder(), reference_of(empty, temperatures=5))


@pytest.mark.parametrize("sigma", [0.05, 0.7, 30.0])
@pytest.mark.parametrize("mean", [-4.0, 0.2, 1.5, 6.3])
def test_probabilities_of_levels_are_differences_of_the_normal_distribution(mean, sigma):
    x = torch.arange(5.0).double()
    findings = level_log_prob(x, *torch.tensor([mean, sigma], dtype=torch.float64), 5)
    assert float(findings.exp().sum()) == pytest.approx(1.0, abs=1e-12)
    edges = np.array([-np.inf, 0.5, 1.5, 2.5, 3.5, np.inf])
    a, b = (edges[:-1] - mean) / sigma, (edges[1:] - mean) / sigma
    flip = (a + b) > 0  # SciPy's difference of two numbers near 1 has no digits left
    a, b = np.where(flip, -b, a), np.where(flip, -a, b)
    wanted = stats.norm.logcdf(b) + np.log1p(-np.exp(stats.norm.logcdf(a) - stats.norm.logcdf(b)))
    np.testing.assert_allclose(findings.numpy(), wanted, rtol=1e-9, atol=1e-12)


def test_levels_far_from_the_mean_have_finite_logarithms_and_slopes():
    mean = torch.tensor([-1e4, 1e4, 3.0]).double().requires_grad_()
    for level in (0.0, 2.0, 4.0):
        findings = level_log_prob(torch.full((3,), level), mean, torch.tensor(0.5).double(), 5)
        (slope,) = torch.autograd.grad(findings.sum(), mean)
        assert bool(torch.isfinite(findings).all())
        assert bool(torch.isfinite(slope).all())
    # the slope against a difference quotient
    near = torch.tensor([0.3, 3.9]).double().requires_grad_()
    torch.autograd.gradcheck(lambda m: level_log_prob(torch.tensor([1.0, 4.0]), m, torch.tensor(0.5).double(), 5), near)


def test_sigma_is_the_one_of_highest_likelihood_on_validation():
    """Of the linear decoder log p is known at every σ: the best on the examples that were chosen is known too."""
    dataset = data(16, seed=5)
    findings = fit_observation(LinearDecoder(), reference_of(dataset, temperatures=300))
    x = torch.from_numpy(dataset.validation.x)
    sigmas = np.geomspace(0.1, 2.0, 400)
    exact = [float(LinearDecoder().marginal(s).log_prob(x).mean()) for s in sigmas]
    best = sigmas[int(np.argmax(exact))]
    assert findings.sigma == pytest.approx(best, rel=0.2)
    assert float(LinearDecoder().marginal(findings.sigma).log_prob(x).mean()) > max(exact) - 0.02


def test_a_decoder_of_vectors_gets_a_density_of_raw_values():
    """The columns in other units: the density follows them, and the σ is in their standard deviations."""
    findings = annealing_measures(LinearDecoder(), reference_of(data(32, seed=2), temperatures=150))
    sigma, x = findings.tables["AIS"]["σ"], torch.from_numpy(data(32, seed=2).test.x)
    exact = float(LinearDecoder().marginal(sigma).log_prob(x).mean())
    assert -0.1 < findings["AIS"].value - exact < 0.03
    assert findings["AIS"].protocol["quantity"] == "density of the raw values"
    assert "fitted on validation examples" in findings["AIS"].method["observation"]

    stretch = torch.tensor([10.0, 0.1, 3.0]).double()

    class Stretched(LinearDecoder):
        def decode(self, z):
            return super().decode(z) * stretch

    part = Split(data(32, seed=2).test.x * stretch.numpy())
    spec = Spec(name="stretched", kind="vector", shape=(3,), mean=(0.0,) * 3, std=tuple(stretch.tolist()))
    other = annealing_measures(Stretched(), reference_of(Dataset(spec, part, part, part), temperatures=150))
    assert other.tables["AIS"]["σ"] == pytest.approx(sigma, rel=1e-6)
    assert other["AIS"].value == pytest.approx(findings["AIS"].value - float(stretch.log().sum()), abs=1e-6)


class Stripes:
    """Images 1×1×3 of nine levels around 4 + 3 tanh(z)·(1, −1, ½), z ~ N(0, 1)."""

    @property
    def prior(self):
        return Independent(Normal(torch.zeros(1).double(), torch.ones(1).double()), 1)

    def decode(self, z):
        return (4 + 3 * torch.tanh(z) * torch.tensor([[1.0, -1.0, 0.5]]))[:, None, None, :]


def test_levels_of_a_decoder_against_quadrature():
    decoder = GaussianObservation(Stripes(), 0.8, scale=torch.ones(()).double(), levels=9)
    with seeded(0, "stripes"):
        z = decoder.prior.sample((60,))
        x = decoder.observe(z)
        bounds = annealed_bounds(decoder, x, 100, codes=z)
    assert bool(((x == x.round()) & (x >= 0) & (x <= 8)).all())
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    grid = torch.from_numpy(nodes)[:, None]
    exact = np.array([
        float(decoder.log_likelihood(one.expand(200, 1, 1, 3), grid).exp() @ torch.from_numpy(weights / weights.sum()))
        for one in x
    ])  # fmt: skip
    below, above = np.log(exact) - bounds.lower, bounds.upper - np.log(exact)
    for gap in (below, above):
        assert -3 * gap.std() / math.sqrt(60) < gap.mean() < 0.1


def test_dequantized_bounds_are_on_the_probability_of_levels():
    """One pixel of 4 levels, level + u ~ N(1.5 z + 2, 0.5²): log P(level) is known, and the density of the sum."""
    distribution = Gaussian((0.0,), (1.0,), (1, 1, 1), sigma=0.5, learn_sigma=False, levels=4)
    decoder = nn.Sequential(nn.Linear(1, 1), nn.Unflatten(1, (1, 1, 1)))
    with torch.no_grad():
        decoder[0].weight.fill_(1.5), decoder[0].bias.fill_(2.0)
    model, marginal = VAE(nn.Identity(), decoder, distribution, latent_dim=1), Normal(2.0, math.sqrt(1.5**2 + 0.25))
    levels = torch.arange(4.0).view(4, 1, 1, 1).repeat(50, 1, 1, 1)
    exact = (marginal.cdf(levels + 1) - marginal.cdf(levels)).log().flatten().numpy()
    with seeded(0, "levels"):
        gap = exact - annealed_bounds(model, levels, 30, dequantized=True).lower
        z = model.prior.sample((100,))
        y = decoder(z).detach() + 0.5 * torch.randn(100, 1, 1, 1)
        bounds = annealed_bounds(model, y, 30, codes=z, dequantized=True)
    assert -3 * gap.std() / math.sqrt(200) < gap.mean() < 0.1
    exact = marginal.log_prob(y).flatten().numpy()
    assert -0.03 < (exact - bounds.lower).mean() < 0.1
    assert -0.03 < (bounds.upper - exact).mean() < 0.1


@pytest.mark.system("S98")
def test_the_likelihood_of_a_gan_is_comparable_with_those_of_other_models():
    dataset = load(DataConfig(source="digits"))
    torch.manual_seed(0)
    generator = nn.Sequential(*dense_networks((64,), 4, 32).generator, nn.Unflatten(1, (1, 8, 8)))
    model = GAN(Networks(generator, nn.Flatten()), (1, 8, 8), latent_dim=4, levels=17)
    assert model.prior.sample((5,)).shape == (5, 4)
    assert model.prior.log_prob(torch.zeros(1, 4)).item() == pytest.approx(-2 * math.log(2 * math.pi), abs=1e-5)
    with frozen(model):
        findings = annealing_measures(model, reference_of(dataset, temperatures=30))
    assert not findings.missing
    assert all(p.grad is None for p in model.parameters())
    bits = findings["AIS bits/dim"]
    assert bits.protocol["quantity"] == "probability of the raw levels"
    # the untrained generator says about one image: no better than one Gaussian, no worse than uniform noise by much
    assert 2 < bits.value < 5
    assert 4 < findings.tables["AIS"]["σ"] < 10


@pytest.mark.system("S80")
def test_a_vae_on_digits_is_bounded_above_its_elbo():
    dataset = load(DataConfig(source="digits"))
    model = build(
        RunConfig(recipe="vae", data=DataConfig(source="digits"), options={"architecture": "dense", "hidden": 64}),
        dataset.spec,
    ).model
    x, optimizer = torch.from_numpy(dataset.train.x[:]), torch.optim.Adam(model.parameters(), lr=2e-3)
    with seeded(0, "training"):
        for _ in range(200):
            loss = -model.elbo(x[torch.randint(0, len(x), (64,))]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with frozen(model):
        findings = annealing_measures(model, reference_of(dataset, temperatures=100))
    ais, text = findings["AIS"], findings.tables["AIS"]
    assert ais.value > text["IWAE-64"] - 0.5  # both are of the same examples
    assert text["acceptance"] == pytest.approx(0.65, abs=0.12)
