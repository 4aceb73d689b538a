"""Mixtures of Gaussians: closed forms, scikit-learn, expectation maximization, gradients."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture
from torch import nn

from thalweg.config import TrainConfig
from thalweg.data.toy import density
from thalweg.models.mixtures.gmm import GMM
from thalweg.models.mixtures.start import k_means
from thalweg.randomness import generator
from thalweg.training.problem import Batch

every_covariance = pytest.mark.parametrize("covariance", ["spherical", "diagonal", "full"])
SKLEARN = {"spherical": "spherical", "diagonal": "diag", "full": "full"}
CENTERS = [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]


def model(d=2, k=3, *, mean=0.0, std=1.0, seed=0, **settings):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GMM((d,), components=k, mean=[mean] * d, std=[std] * d, **settings).double()


def moved(d=2, k=3, **settings):
    gmm = model(d, k, **settings)
    noise = generator(0, "moved")
    with torch.no_grad():
        for p in gmm.parameters():
            p += 0.5 * torch.randn(p.shape, generator=noise)
    return gmm


def em(gmm, x, steps=200, seed=0):
    keys = torch.rand(len(x), gmm.components, generator=generator(seed, "keys"))
    result = []
    for _ in range(steps):
        fit = gmm.fit(x, None, keys)
        result.append(float(fit.log_prob.mean()))
        if fit.last:
            break
    return result


@pytest.mark.system("S74")
@pytest.mark.oracle("O43")
@every_covariance
def test_three_components(covariance):
    """Weights ⅓, Σ = I: log p(0, 0) = −2.9358187."""
    gmm = model(covariance=covariance)
    with torch.no_grad():
        gmm.means.copy_(torch.tensor(CENTERS))
    assert gmm.log_prob(torch.zeros(1, 2).double()).item() == pytest.approx(-2.9358187, abs=1e-7)


@pytest.mark.system("S74")
@every_covariance
@pytest.mark.parametrize("d", [1, 2, 4])
def test_log_density_is_that_of_the_formula_and_of_torch(covariance, d):
    gmm = moved(d, covariance=covariance, mean=2.0, std=3.0)
    x = 3 * torch.randn(20, d, generator=generator(0, "x"), dtype=torch.float64)
    weights = gmm.log_weights.detach().softmax(0).numpy()
    factors = 3.0 * gmm.factors(torch.float64).detach().numpy()
    distributions = [
        multivariate_normal(2.0 + 3.0 * m, f @ f.T) for m, f in zip(gmm.means.detach().numpy(), factors, strict=True)
    ]
    parts = [w * distribution.pdf(x.numpy()) for w, distribution in zip(weights, distributions, strict=True)]
    np.testing.assert_allclose(gmm.log_prob(x).detach().numpy(), np.log(sum(parts)), atol=1e-9)
    torch.testing.assert_close(gmm().log_prob(x), gmm.log_prob(x))
    joint = torch.from_numpy(np.stack(parts, 1))
    torch.testing.assert_close(gmm.encode(x).detach(), joint / joint.sum(1, keepdim=True))


@pytest.mark.system("S74")
@every_covariance
def test_same_parameters_score_as_scikit_learn(covariance):
    x = density("eight-gaussians").sample(500)
    reference = GaussianMixture(5, covariance_type=SKLEARN[covariance], random_state=0).fit(x.astype(np.float64))
    gmm = model(2, 5, covariance=covariance)
    with torch.no_grad():
        gmm.log_weights.copy_(torch.tensor(reference.weights_).log())
        gmm.means.copy_(torch.tensor(reference.means_))
        if covariance == "full":
            factors = torch.linalg.cholesky(torch.tensor(reference.covariances_))
            gmm.log_scales.copy_(factors.diagonal(dim1=1, dim2=2).log())
            gmm.below.copy_(factors[:, 1, :1])
        else:
            gmm.log_scales.copy_(torch.tensor(reference.covariances_).log().view(5, -1) / 2)
    result = gmm.log_prob(torch.from_numpy(x).double()).detach().numpy()
    np.testing.assert_allclose(result, reference.score_samples(x.astype(np.float64)), atol=1e-6)
    np.testing.assert_allclose(gmm.encode(torch.from_numpy(x)).detach(), reference.predict_proba(x), atol=1e-6)


@pytest.mark.system("S74")
@every_covariance
@pytest.mark.parametrize("seed", [0, 1])
def test_expectation_maximization_never_lowers_the_likelihood(covariance, seed):
    x = torch.from_numpy(density("moons").sample(400, seed))
    path = em(model(2, 6, covariance=covariance), x, seed=seed)
    assert len(path) > 5
    assert (np.diff(path) > -1e-9).all()
    assert path[-1] > path[0] + 0.01


@pytest.mark.system("S74")
@every_covariance
def test_a_step_is_the_maximum_of_its_bound(covariance):
    """For fixed responsibilities no small change of the parameters increases Σ r log π N."""
    x = torch.from_numpy(density("moons").sample(100)).double()
    gmm = moved(2, 3, covariance=covariance)
    r = gmm.parts(x).softmax(1).detach()
    with torch.no_grad():
        gmm.maximize(x, r)
    bound = (r * gmm.parts(x)).sum()
    for gradient in torch.autograd.grad(bound, list(gmm.parameters())):
        assert float(gradient.abs().max()) < 1e-9


@pytest.mark.system("S74")
@every_covariance
def test_fit_is_no_worse_than_scikit_learn(covariance):
    x = density("eight-gaussians").sample(1000)
    scores = []
    for seed in range(3):
        reference = GaussianMixture(8, covariance_type=SKLEARN[covariance], random_state=seed, tol=1e-5, max_iter=500)
        scores.append((em(model(2, 8, covariance=covariance, floor=1e-6), torch.from_numpy(x), seed=seed)[-1],
                       reference.fit(x).score(x)))  # fmt: skip
    ours, theirs = (max(s) for s in zip(*scores, strict=True))
    assert ours > theirs - 1e-3


@pytest.mark.system("S74")
def test_gradients_reach_the_likelihood_of_expectation_maximization():
    x = torch.from_numpy(density("three-gaussians").sample(300)).double()
    ours = em(model(2, 3, covariance="spherical", std=4.0), x)[-1]
    theirs = []
    for seed in range(3):  # some initializations converge to a local maximum
        gmm = model(2, 3, covariance="spherical", std=4.0, seed=seed)
        optimizer = torch.optim.Adam(gmm.parameters(), lr=0.05)
        for _ in range(300):
            optimizer.zero_grad()
            loss = -gmm.log_prob(x).mean()
            loss.backward()
            optimizer.step()
        theirs.append(-float(loss.detach()))
    assert max(theirs) == pytest.approx(ours, abs=1e-3)
    assert ours > float(density("three-gaussians").log_prob(x).mean())


@pytest.mark.system("S74")
@every_covariance
def test_a_floor_holds_where_examples_are_all_the_same(covariance):
    x = torch.cat([torch.zeros(20, 2), torch.randn(20, 2, generator=generator(0, "x")) + 5])
    gmm = model(2, 2, covariance=covariance, floor=1e-3)
    path = em(gmm, x)
    assert (np.diff(path) > -1e-9).all()
    factors = gmm.factors(torch.float64).detach()
    values = torch.linalg.eigvalsh(factors @ factors.mT)
    assert float(values.min()) == pytest.approx(1e-3, rel=1e-6)


def test_a_component_without_examples_is_unchanged():
    gmm = model(2, 3)
    before = gmm.means[2].clone()
    r = torch.zeros(10, 3).double()
    r[:, 0], r[5:, 0], r[5:, 1] = 1.0, 0.0, 1.0
    with torch.no_grad():
        gmm.maximize(torch.randn(10, 2, generator=generator(0, "x")).double(), r)
    assert torch.equal(gmm.means[2], before)
    assert float(gmm.log_weights.detach().softmax(0)[2]) < 1e-9
    assert gmm.log_prob(torch.zeros(1, 2)).isfinite().all()


@pytest.mark.system("S74")
@every_covariance
def test_samples_follow_the_density(covariance):
    gmm = moved(2, 3, covariance=covariance, mean=1.0, std=2.0)
    x = gmm.sample(20_000, generator(0, "s")).double()
    q = torch.distributions.Normal(x.mean(0), 0.4 * x.std(0))
    ratio = (q.log_prob(x).sum(1) - gmm.log_prob(x)).exp().detach()
    assert float(ratio.mean()) == pytest.approx(1, abs=5 * float(ratio.std()) / math.sqrt(len(x)))


def test_k_means_finds_separated_groups_and_handles_equal_points():
    distribution = density("grid-gaussians")
    x = torch.from_numpy(distribution.sample(2000)).double()
    own = k_means(x, 25, torch.rand(2000, 25, generator=generator(3, "keys")))
    centers = torch.stack([x[own == k].mean(0) for k in range(25)])
    spread = float((x - centers[own]).square().sum(1).mean())
    assert spread < 3 * 2 * 0.15**2  # a few groups may share a center
    same = k_means(torch.ones(5, 2), 3, torch.rand(5, 3, generator=generator(0, "keys")))
    assert same.tolist() == [0] * 5


@pytest.mark.system("S74")
def test_without_a_normalizing_constant_the_likelihood_has_no_maximum():
    """With e^{f(x)} in place of p, adding a constant to f increases it without bound; the normalized softmax is
    invariant."""
    f = nn.Parameter(torch.zeros(5))
    x = torch.tensor([0, 1, 1, 4])
    naive, proper = [], []
    optimizer = torch.optim.SGD([f], lr=1.0)
    for _ in range(100):
        optimizer.zero_grad()
        loss = -f[x].mean()
        loss.backward()
        optimizer.step()
        naive.append(-float(loss.detach()))
        proper.append(float(f.detach().log_softmax(0)[x].mean()))
    rises = np.diff(naive)
    assert (rises > 0.3).all()  # by ‖∇‖² every step
    assert naive[-1] > 30
    assert max(proper) <= 0.25 * math.log(0.25) * 2 + 0.5 * math.log(0.5) + 1e-6  # the shares of x, at best


def test_the_recipe_stops_at_convergence():
    from catalogue import PLANE
    from thalweg.recipes import recipe

    run = recipe("gmm")(PLANE, components=2)
    x = torch.randn(300, 2, generator=generator(0, "x")) * torch.tensor(PLANE.std) + torch.tensor(PLANE.mean)
    last = [run.stages[0].problem.closed_form_step("model", Batch(x, seed=i)).converged for i in range(200)]
    assert not any(last[:3])
    assert any(last)
    for name in ("lr", "ema", "accumulate", "update", "schedule"):
        value = {"update": "extragradient", "schedule": "cosine", "accumulate": 2}.get(name, 0.5)
        with pytest.raises(ValueError, match=f"{name}: got {value}, wanted none: this model is fitted in closed form"):
            run.configured(TrainConfig(**{name: value}))
    gradient = recipe("gmm")(PLANE, components=2, fit="gradient")
    assert gradient.configured(TrainConfig(lr=0.5)).stages[0].optimizers["model"].lr == 0.5
