"""The β-VAE: its objective, its ELBO, and the equivalence of β and σ² for a Gaussian likelihood."""

import math

import pytest
import torch
from torch import Tensor, nn

from catalogue import DIGITS, PLANE, Member
from thalweg.models.vaes.beta_vae import BetaVAE
from thalweg.models.vaes.observations import Gaussian
from thalweg.models.vaes.vae import VAE
from thalweg.problems.variational import Variational


def gradients(model: nn.Module, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters())))


@pytest.mark.system("S83")
@pytest.mark.parametrize("spec", [PLANE, DIGITS], ids=["plane", "digits"])
@pytest.mark.parametrize("beta", [0.5, 1.0, 4.0])
def test_loss_is_kl_times_beta_minus_reconstruction_and_the_elbo_is_the_elbo(spec, beta: float):
    options = {"latent_dim": 2, "hidden": 8}
    model, plain = Member("beta-vae", spec, options | {"beta": beta}).trained(), Member("vae", spec, options).trained()
    batch = Member("vae", spec).batch(6)
    eps = batch.normal("eps", 2)
    loss, elbo = Variational(model).loss("model", batch), Variational(plain).loss("model", batch)
    torch.testing.assert_close(loss.values, beta * elbo.extras["kl"] - elbo.extras["reconstruction"])
    for got in (loss.extras["elbo"], model.elbo(batch.x, eps)):  # the reported ELBO does not depend on β
        torch.testing.assert_close(got, -elbo.values)
    if beta == 1.0:
        assert torch.equal(loss.values, elbo.values)
        same = zip(gradients(model, loss.values.sum()), gradients(plain, elbo.values.sum()), strict=True)
        assert all(torch.equal(a, b) for a, b in same)


@pytest.mark.system("S83")
@pytest.mark.system("S80")
@pytest.mark.parametrize("variance", [0.25, 4.0])
def test_beta_is_the_variance_of_the_observation(variance: float):
    """σ²·ELBO at σ, and reconstruction − β·KL at σ = 1 with β = σ², differ by a constant and have the same gradient."""
    torch.manual_seed(0)
    encoder, decoder = nn.Linear(3, 4), nn.Linear(2, 3)
    likelihoods = [
        Gaussian((0.0,) * 3, (1.0,) * 3, (3,), sigma=s, learn_sigma=False) for s in (math.sqrt(variance), 1.0)
    ]
    vae = VAE(encoder, decoder, likelihoods[0], latent_dim=2)
    beta_vae = BetaVAE(encoder, decoder, likelihoods[1], latent_dim=2, beta=variance)
    x, eps = torch.randn(8, 3), torch.randn(8, 2)
    of_sigma, of_beta = variance * vae(x, eps).values, beta_vae(x, eps).values
    apart = of_sigma - of_beta
    constant = 1.5 * (math.log(2 * math.pi) - variance * math.log(2 * math.pi * variance))
    torch.testing.assert_close(apart, torch.full_like(apart, constant))
    for a, b in zip(gradients(vae, of_sigma.sum()), gradients(beta_vae, of_beta.sum()), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.system("S83")
@pytest.mark.oracle("O34")
@pytest.mark.parametrize("beta", [0.5, 2.0, 4.0])
def test_maximizer_of_the_linear_gaussian_model(beta: float):
    """z ~ N(0, 1), x|z ~ N(z, 1), x = 1: mean 1/(1+β), variance β/(1+β). β = 2 corresponds to a KL without its factor
    ½."""

    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mean = nn.Parameter(torch.tensor([[1 / (1 + beta)]]))
            self.log_sigma = nn.Parameter(torch.tensor([[0.5 * math.log(beta / (1 + beta))]]))

        def forward(self, y: Tensor) -> Tensor:
            return torch.cat([self.mean, self.log_sigma], dim=1).expand(len(y), 2)

    likelihood = Gaussian((0.0,), (1.0,), (1,), sigma=1.0, learn_sigma=False)
    model = BetaVAE(Heads(), nn.Identity(), likelihood, latent_dim=1, beta=beta)
    values = model(torch.ones(2, 1), torch.tensor([[-1.0], [1.0]])).values  # exact: the integrand is quadratic
    for gradient in gradients(model, values.mean()):
        assert gradient.abs().item() < 1e-6


@pytest.mark.system("S83")
def test_refusals():
    with pytest.raises(ValueError, match=r"beta: got 0\.0, wanted a number greater than 0"):
        Member("beta-vae", PLANE, {"beta": 0.0}).run()
    with pytest.raises(ValueError, match="depth: got 2 with the conv architecture, wanted 1, or dense"):
        Member("beta-vae", DIGITS, {"depth": 2}).run()
    with pytest.raises(ValueError, match="activation: got tanh with the conv"):
        Member("iwae", DIGITS, {"activation": "tanh"}).run()
