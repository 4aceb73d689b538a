"""The VAE against closed forms: the linear Gaussian model, sums over all data, torch.distributions."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch import distributions as td

from catalogue import BINARY, COLOR, DIGITS, PLANE, VAES, Member
from thalweg.models.vaes.observations import Bernoulli, DiscretizedLogistic, Gaussian
from thalweg.models.vaes.vae import VAE
from thalweg.problems.variational import Variational
from thalweg.training.problem import Batch

LOG_P, PRIOR_ELBO = -1.5155121, -1.9189385
PLAIN = [member for member in VAES if member.recipe == "vae" and "gradient" not in member.options]


class Heads(nn.Module):
    """q(z|x) = N(mean, variance), for every x."""

    def __init__(self, mean: float, variance: float) -> None:
        super().__init__()
        self.mean, self.variance = (nn.Parameter(torch.tensor([[v]])) for v in (mean, variance))

    def forward(self, y: Tensor) -> Tensor:
        return torch.cat([self.mean, 0.5 * self.variance.log()], dim=1).expand(len(y), 2)


def linear_gaussian(mean: float, variance: float) -> VAE:
    """z ~ N(0, 1), x|z ~ N(z, 1), with that q."""
    likelihood = Gaussian((0.0,), (1.0,), (1,), sigma=1.0, learn_sigma=False)
    return VAE(Heads(mean, variance), nn.Identity(), likelihood, latent_dim=1)


def expected(model: VAE, weight: float = 1.0) -> Tensor:
    """E_q log p(x|z) − weight·KL at x = 1, exactly: the integrand is quadratic in ε, and the rule has five nodes."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    eps = torch.tensor(nodes, dtype=torch.float32)[:, None]
    terms = model.terms(torch.ones(5, 1), eps)
    share = torch.tensor(weights / weights.sum(), dtype=torch.float32)
    return (share * (terms.reconstruction - weight * terms.kl)).sum()


@pytest.mark.system("S80")
@pytest.mark.oracle("O34")
def test_elbo_of_the_linear_gaussian_model():
    posterior, prior = linear_gaussian(0.5, 0.5), linear_gaussian(0.0, 1.0)
    assert expected(posterior).item() == pytest.approx(LOG_P, abs=1e-5)
    assert expected(prior).item() == pytest.approx(PRIOR_ELBO, abs=1e-5)
    for model in (posterior, prior):
        got = model.elbo(torch.ones(3, 1), eps=torch.zeros(3, 1))
        torch.testing.assert_close(got, model(torch.ones(3, 1), torch.zeros(3, 1)).values)
    # under the true posterior the weight of every sample is p(x)
    weights = posterior.log_likelihood(torch.ones(1, 1), torch.tensor([[0.3]])) + posterior.prior.log_prob(
        torch.tensor([[0.3]])
    )
    q = posterior.posterior(torch.ones(1, 1)).log_prob(torch.tensor([[0.3]]))
    torch.testing.assert_close(weights - q, torch.tensor([LOG_P]))


@pytest.mark.system("S80")
@pytest.mark.oracle("O34")
@pytest.mark.parametrize(("weight", "mean", "variance"), [(1.0, 1 / 2, 1 / 2), (2.0, 1 / 3, 2 / 3)])
def test_maximizer_of_the_elbo_and_of_the_one_that_lacks_a_half(weight: float, mean: float, variance: float):
    model = linear_gaussian(mean, variance)
    expected(model, weight).backward()
    for parameter in model.parameters():
        assert parameter.grad.abs().item() < 1e-5
    other = linear_gaussian(mean, variance)
    expected(other, 3.0 - weight).backward()
    assert all(p.grad.abs().item() > 0.1 for p in other.parameters())


@pytest.mark.system("S80")
@pytest.mark.parametrize("member", PLAIN, ids=str)
def test_loss_is_minus_the_elbo_in_both_modes_and_its_terms_add_up(member: Member):
    model, batch = member.trained(), member.batch(5)
    eps = batch.normal("eps", model.latent_dim)
    noise = batch.uniform("dequantize", *batch.x.shape[1:]) if model.observation == "dequantized" else None
    for module in (model.train(), model.eval()):
        loss = Variational(module).loss("model", batch)
        torch.testing.assert_close(loss.values, -module.elbo(batch.x, eps, noise), rtol=0, atol=0)
        torch.testing.assert_close(loss.values, loss.extras["kl"] - loss.extras["reconstruction"])
    q = model.posterior(batch.x, noise)
    torch.testing.assert_close(loss.extras["kl"], td.kl_divergence(q, model.prior.expand((5,))))
    z = q.mean + q.stddev * eps
    torch.testing.assert_close(loss.extras["reconstruction"], model.log_likelihood(batch.x, z, noise))
    torch.testing.assert_close(model.encode(batch.x), model.posterior(batch.x).mean)


@pytest.mark.system("S80")
def test_gaussian_vectors_are_densities_of_raw_data():
    model = Member("vae", PLANE, {"latent_dim": 2, "hidden": 8, "sigma": 0.5, "learn_sigma": False}).trained()
    z, x = torch.randn(4, 2), torch.tensor(PLANE.mean) + 3 * torch.randn(4, 2)
    distribution = td.Independent(td.Normal(model.decode(z), 0.5 * torch.tensor(PLANE.std)), 1)
    torch.testing.assert_close(model.log_likelihood(x, z), distribution.log_prob(x).float())
    learned = Member("vae", PLANE, {"latent_dim": 2, "hidden": 8}).trained()
    mean, log_sigma = learned.decoder(z).chunk(2, dim=1)
    std = torch.tensor(PLANE.std)
    distribution = td.Independent(td.Normal(mean * std + torch.tensor(PLANE.mean), log_sigma.exp() * std), 1)
    torch.testing.assert_close(learned.log_likelihood(x, z), distribution.log_prob(x))


@pytest.mark.system("S80")
def test_samples_of_vectors_carry_the_observation_noise():
    likelihood = Gaussian((10.0,), (2.0,), (1,), sigma=0.5, learn_sigma=False)
    model = VAE(nn.Linear(1, 2), nn.Identity(), likelihood, latent_dim=1)
    x = model.sample(100_000, torch.Generator().manual_seed(0))
    assert x.mean().item() == pytest.approx(10.0, abs=0.03)
    assert x.std().item() == pytest.approx(2.0 * math.sqrt(1.25), abs=0.03)


@pytest.mark.system("S80")
@pytest.mark.parametrize("name", ["bernoulli", "discretized-logistic"])
@pytest.mark.parametrize("learn_sigma", [True, False])
def test_probabilities_of_all_images_sum_to_one(name: str, learn_sigma: bool):
    """A 1×1×2 image of 5 levels: 25 images in all (4 binarized ones)."""
    if name == "bernoulli":
        likelihood: nn.Module = Bernoulli(levels=5)
        values = [0, 4]
    else:
        likelihood = DiscretizedLogistic((1.5,), (0.7,), (1, 1, 2), sigma=0.8, learn_sigma=learn_sigma, levels=5)
        values = list(range(5))
    images = torch.tensor(list(itertools.product(values, repeat=2)), dtype=torch.uint8).view(-1, 1, 1, 2)
    parameters = torch.randn(1, likelihood.outputs, 1, 2).expand(len(images), -1, -1, -1)
    total = likelihood.log_prob(likelihood.preprocess(images), parameters).exp().sum()
    assert total.item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.system("S80")
def test_discretized_logistic_in_raw_units():
    """The distribution of level x is logistic around decode(z) with scale sigma·std, in raw units, for all internal
    units."""
    model = Member("vae", COLOR, {"latent_dim": 2, "hidden": 8, "learn_sigma": False, "sigma": 0.3}).trained()
    z = torch.randn(3, 2)
    x = torch.randint(1, 255, (3, *COLOR.shape), dtype=torch.uint8)
    distribution = td.TransformedDistribution(
        td.Uniform(0.0, 1.0),
        [td.SigmoidTransform().inv, td.AffineTransform(model.decode(z), 0.3 * torch.tensor(COLOR.std)[:, None, None])],
        validate_args=False,
    )
    wanted = (distribution.cdf(x + 0.5) - distribution.cdf(x - 0.5)).log().flatten(1).sum(1)
    torch.testing.assert_close(model.log_likelihood(x, z), wanted, rtol=1e-4, atol=1e-2)


@pytest.mark.system("S80")
def test_dequantized_images_are_densities_of_levels_plus_noise():
    options = {"latent_dim": 2, "hidden": 8, "likelihood": "gaussian", "learn_sigma": False}
    member = Member("vae", DIGITS, options)
    model, x, z = member.trained(), member.examples(3), torch.randn(3, 2)
    noise = torch.rand(x.shape)
    distribution = td.Independent(td.Normal(model.decode(z) + 0.5, DIGITS.std[0]), 3)
    torch.testing.assert_close(model.log_likelihood(x, z, noise), distribution.log_prob(x + noise))


@pytest.mark.system("S80")
@pytest.mark.parametrize(("levels", "last_black"), [(256, 127), (17, 8), (2, 0)])
def test_binarization_at_half_range(levels: int, last_black: int):
    x = torch.arange(levels, dtype=torch.uint8)[:, None]
    wanted = (torch.arange(levels)[:, None] > last_black).float()
    assert torch.equal(Bernoulli(levels).preprocess(x), wanted)
    assert torch.equal(Bernoulli(levels).preprocess(x.float()), wanted)


@pytest.mark.system("S80")
def test_images_of_two_levels_have_a_probability_of_their_raw_levels():
    """There are sixteen images of 2×2 pixels; the observation is discrete, so evaluation reports bits/dim."""
    likelihood = Bernoulli(levels=2)
    images = torch.tensor(list(itertools.product((0, 1), repeat=4)), dtype=torch.uint8).view(-1, 1, 2, 2)
    logits = torch.randn(1, 1, 2, 2)
    p = likelihood.log_prob(likelihood.preprocess(images), logits.expand(16, -1, -1, -1)).exp()
    assert p.sum().item() == pytest.approx(1.0, abs=1e-6)
    torch.testing.assert_close(p[15], logits.sigmoid().prod())
    assert Bernoulli(levels=17).observation == "binarized"
    for likelihood in ("auto", "bernoulli", "discretized-logistic"):
        model = Member("vae", BINARY, {"latent_dim": 2, "hidden": 8, "likelihood": likelihood}).trained()
        assert model.observation == "discrete"
    auto = Member("vae", BINARY, {"latent_dim": 2, "hidden": 8}).trained()
    assert isinstance(auto.likelihood, Bernoulli)
    assert set(auto.sample(20, torch.Generator().manual_seed(0)).unique().tolist()) <= {0, 1}


@pytest.mark.system("S80")
def test_the_networks_of_the_papers():
    """784-200-200-(50, 50) and 50-200-200-784, tanh."""
    options = {"latent_dim": 50, "hidden": 200, "depth": 2, "activation": "tanh", "architecture": "dense"}
    model = Member("vae", BINARY, options).trained()
    encoder, decoder = ([m for m in n if not isinstance(m, nn.Flatten)] for n in (model.encoder, model.decoder))
    for network, sizes in ((encoder, (64, 200, 200, 100)), (decoder, (50, 200, 200, 64))):
        layers = [m for m in network if isinstance(m, nn.Linear)]
        assert [layers[0].in_features, *(m.out_features for m in layers)] == list(sizes)
        assert sum(isinstance(m, nn.Tanh) for m in network) == 2


@pytest.mark.system("S80")
@pytest.mark.parametrize(("likelihood", "learn_sigma"), [("bernoulli", True), ("gaussian", True), ("gaussian", False)])
def test_heads_share_all_but_the_last_layer(likelihood: str, learn_sigma: bool):
    """One network with the two outputs μ and log σ, for q and for p(x|z) with a learned variance."""
    options = {"architecture": "dense", "depth": 2, "hidden": 8, "latent_dim": 3}
    model = Member("vae", DIGITS, options | {"likelihood": likelihood, "learn_sigma": learn_sigma}).trained()
    linear = [[m for m in n.modules() if isinstance(m, nn.Linear)] for n in (model.encoder, model.decoder)]
    two = likelihood == "gaussian" and learn_sigma
    assert [m[-1].weight.shape for m in linear] == [(6, 8), (128 if two else 64, 8)]
    q, x = model.posterior(member_x := Member("vae", DIGITS).examples(4)), model.likelihood.preprocess(member_x)
    before = nn.Sequential(*list(model.encoder)[:-1])(x)
    torch.testing.assert_close(q.mean, before @ linear[0][-1].weight[:3].T + linear[0][-1].bias[:3])
    log_sigma = before @ linear[0][-1].weight[3:].T + linear[0][-1].bias[3:]
    torch.testing.assert_close(q.stddev, log_sigma.exp())


@pytest.mark.system("S80")
def test_training_reaches_the_exact_likelihood():
    """The bound of a linear VAE (probabilistic PCA) is tight: the loss falls to the entropy of the data."""
    x = 3.0 + 2.0 * torch.randn(512, 1, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    likelihood = Gaussian((3.0,), (2.0,), (1,), sigma=0.6, learn_sigma=False)
    model = VAE(nn.Linear(1, 4), nn.Linear(2, 1), likelihood, latent_dim=2)
    problem, optimizer = Variational(model), torch.optim.Adam(model.parameters(), lr=0.02)
    for step in range(400):
        loss = problem.loss("model", Batch(x, seed=step)).values.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    exact = 0.5 * math.log(2 * math.pi * math.e * float(x.var(correction=0)))
    assert exact - 0.01 < loss.item() < exact + 0.1


@pytest.mark.system("S80")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"likelihood": "bernoulli"}, "likelihood: got 'bernoulli' for vectors, wanted gaussian"),
        ({"architecture": "conv"}, "architecture: got 'conv' with vectors 'plane', wanted dense"),
        ({"likelihood": "gausian"}, "did you mean 'gaussian'"),
        ({"latent_dim": 0}, "latent_dim: got 0"),
        ({"sigma": -1.0}, "sigma: got -1.0"),
    ],
)
def test_refusals(options: dict, message: str):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        Member("vae", PLANE, options).run()


@pytest.mark.system("S80")
@pytest.mark.parametrize(
    "likelihood", [Bernoulli(5), DiscretizedLogistic((1.5,), (0.7,), (1, 1, 1), sigma=0.8, learn_sigma=True, levels=5)]
)
def test_draws_given_z_have_their_probabilities(likelihood):
    parameters = torch.tensor([0.4, -0.3])[: likelihood.outputs].view(1, -1, 1, 1)
    torch.manual_seed(0)
    x = likelihood.draw(parameters.expand(40_000, -1, -1, -1))
    for level in x.unique():
        wanted = likelihood.log_prob(likelihood.preprocess(level.view(1, 1, 1, 1)), parameters).exp().item()
        spread = math.sqrt(wanted * (1 - wanted) / 40_000)
        assert (x == level).double().mean().item() == pytest.approx(wanted, abs=4 * spread + 1e-4)
