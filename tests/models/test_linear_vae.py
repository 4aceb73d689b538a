"""The linear VAE is probabilistic principal component analysis: its ELBO reaches the exact likelihood."""

import math

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor
from torch.distributions import MultivariateNormal

from thalweg.data import Spec
from thalweg.models.vaes.vae import VAE
from thalweg.recipes import recipe

N, WIDTH, LATENT = 400, 5, 2


@pytest.fixture(scope="module")
def data() -> Tensor:
    source = torch.Generator().manual_seed(0)
    mixing = torch.randn(WIDTH, WIDTH, generator=source, dtype=torch.float64) * torch.tensor([3.0, 2.0, 0.7, 0.5, 0.4])
    x = torch.randn(N, WIDTH, generator=source, dtype=torch.float64) @ mixing.T
    return x - x.mean(0) + torch.tensor([1.0, -2.0, 0.0, 5.0, 3.0])


def linear_vae(x: Tensor, sigma: float) -> VAE:
    """The recipe with no hidden layer, its data in units of 1, so that σ is that of the raw data."""
    spec = Spec(name="x", kind="vector", shape=(WIDTH,), mean=(0.0,) * WIDTH, std=(1.0,) * WIDTH)
    model = recipe("vae")(spec, latent_dim=LATENT, depth=0, sigma=sigma, learn_sigma=False).model
    assert isinstance(model, VAE)
    return model


def optimum(x: Tensor) -> tuple[float, Tensor, Tensor]:
    """σ², the principal axes scaled, W = U (Λ − σ²)^½, and the mean: Tipping and Bishop's maximum of the likelihood."""
    mean = x.mean(0)
    values, vectors = torch.linalg.eigh((x - mean).T @ (x - mean) / len(x))
    values, vectors = values.flip(0), vectors.flip(1)
    variance = values[LATENT:].mean().item()
    return variance, vectors[:, :LATENT] * (values[:LATENT] - variance).sqrt(), mean


def set_to(model: VAE, variance: float, weight: Tensor, mean: Tensor) -> None:
    """Set the networks to the optimum: x|z ~ N(Wz + μ, σ²), q(z|x) = p(z|x) = N(M⁻¹Wᵀ(x − μ), σ²M⁻¹), M = WᵀW + σ²."""
    scale = (weight.T @ weight).diagonal() + variance  # M is diagonal, since the axes are orthogonal
    encode = weight.T / scale[:, None]
    log_sigma = 0.5 * (variance / scale).log()
    encoder, decoder = model.encoder[1], model.decoder[0]
    with torch.no_grad():
        encoder.weight.copy_(torch.cat([encode, torch.zeros_like(encode)]))
        encoder.bias.copy_(torch.cat([-encode @ mean, log_sigma]))
        decoder.weight.copy_(weight)
        decoder.bias.copy_(mean)


def cubature(model: VAE, x: Tensor) -> Tensor:
    """The ELBO, (N,), exactly: the integrand is quadratic in ε, and the points ±√d e_i have its moments."""
    points = math.sqrt(LATENT) * torch.cat([torch.eye(LATENT), -torch.eye(LATENT)])
    return torch.stack([model.terms(x, eps.expand(len(x), -1)).elbo for eps in points]).mean(0)


@pytest.mark.system("S80")
def test_at_the_closed_form_the_elbo_is_the_likelihood_of_probabilistic_pca(data: Tensor):
    variance, weight, mean = optimum(data)
    model = linear_vae(data, math.sqrt(variance))
    set_to(model, variance, weight, mean)
    elbo = cubature(model, data.float())
    exact = MultivariateNormal(mean, weight @ weight.T + variance * torch.eye(WIDTH)).log_prob(data)
    torch.testing.assert_close(elbo.double(), exact, rtol=0, atol=2e-4)  # per example, in float32
    # scikit-learn divides by N − 1: fitted on data that much closer to the mean, it has the same covariance
    known = PCA(LATENT).fit((mean + (data - mean) * math.sqrt((N - 1) / N)).numpy())
    assert elbo.mean().item() == pytest.approx(known.score(data.numpy()), abs=1e-4)


@pytest.mark.system("S80")
def test_the_closed_form_is_where_training_stops(data: Tensor):
    variance, weight, mean = optimum(data)
    model = linear_vae(data, math.sqrt(variance))
    set_to(model, variance, weight, mean)
    cubature(model, data.float()).mean().backward()
    assert all(p.grad is not None and p.grad.abs().max() < 1e-3 for p in model.parameters())
    model.zero_grad()
    terms = [model.terms(data.float(), torch.ones(N, LATENT) * e) for e in (-1.0, 1.0)]
    # β = 2 corresponds to a KL without its factor ½
    sum((t.reconstruction - 2 * t.kl).mean() for t in terms).backward()
    assert max(p.grad.abs().max().item() for p in model.parameters()) > 0.1


@pytest.mark.system("S80")
def test_training_reaches_the_closed_form_from_a_random_start(data: Tensor):
    variance, weight, mean = optimum(data)
    torch.manual_seed(0)
    x, model = data.float(), linear_vae(data, math.sqrt(variance))
    exact = MultivariateNormal(mean, weight @ weight.T + variance * torch.eye(WIDTH)).log_prob(data).mean().item()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=1000, line_search_fn="strong_wolfe", tolerance_change=0)

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = -cubature(model, x).mean()
        value.backward()
        return value

    start = -loss().item()
    optimizer.step(loss)
    reached = -loss().item()
    assert start < exact - 1
    assert exact - 2e-3 < reached <= exact + 1e-4
    # the subspace is that of the principal components, up to a rotation within it
    result, _ = np.linalg.qr(model.decoder[0].weight.detach().double().numpy())
    axes, _ = np.linalg.qr(weight.numpy())
    assert np.linalg.svd(result.T @ axes, compute_uv=False).min() > 0.999


@pytest.mark.system("S80")
@pytest.mark.oracle("O32")
def test_maximum_likelihood_projects_a_mixture_on_the_gaussian_of_its_moments():
    """½N(−2, ¼) + ½N(2, ¼) has mean 0 and variance 4.25: of Gaussians, N(0, 4.25) minimizes KL(p‖q)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    x = torch.tensor([*(-2 + 0.5 * nodes), *(2 + 0.5 * nodes)], dtype=torch.float32)[:, None]
    share = torch.tensor([*weights, *weights], dtype=torch.float32) / (2 * weights.sum())
    spec = Spec(name="x", kind="vector", shape=(1,), mean=(0.0,), std=(1.0,))
    model = recipe("vae")(spec, latent_dim=1, depth=0, sigma=1.0, learn_sigma=False).model
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = -sum((share * model.terms(x, e * torch.ones_like(x)).elbo).sum() for e in (-1.0, 1.0)) / 2
        value.backward()
        return value

    optimizer.step(loss)
    weight, bias = (p.item() for p in model.decoder[0].parameters())
    assert weight**2 + 1 == pytest.approx(4.25, abs=2e-3)
    assert bias == pytest.approx(0.0, abs=1e-3)
    assert loss().item() == pytest.approx(0.5 * math.log(2 * math.pi * math.e * 4.25), abs=1e-4)
