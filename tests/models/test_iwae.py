"""The importance-weighted autoencoder: its bound by an explicit formula, on the linear Gaussian model, and for
increasing K."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from catalogue import VAES, Member
from thalweg.models.vaes.iwae import IWAE
from thalweg.models.vaes.observations import Gaussian
from thalweg.models.vaes.vae import VAE
from thalweg.problems.variational import Variational

LOG_P, PRIOR_ELBO = -1.5155121, -1.9189385


class Prior(nn.Module):
    """q(z|x) = N(0, 1), the prior, for every x."""

    def __init__(self) -> None:
        super().__init__()
        self.zero = nn.Parameter(torch.zeros(2))

    def forward(self, y: Tensor) -> Tensor:
        return self.zero.expand(len(y), 2)


def toy(draws: int) -> IWAE:
    """z ~ N(0, 1), x|z ~ N(z, 1), q = p(z)."""
    likelihood = Gaussian((0.0,), (1.0,), (1,), sigma=1.0, learn_sigma=False)
    return IWAE(Prior(), nn.Identity(), likelihood, latent_dim=1, draws=draws)


@pytest.mark.system("S82")
@pytest.mark.oracle("O35")
@pytest.mark.oracle("O34")
def test_bound_rises_with_k_to_the_likelihood():
    x, source = torch.ones(20_000, 1), torch.Generator().manual_seed(0)
    bounds = {}
    with torch.no_grad():
        for k in (1, 5, 50, 500):
            n = 20_000 if k < 500 else 2000
            bounds[k] = toy(k)(x[:n], torch.randn(n, k, 1, generator=source)).values.mean().item()
    for k, wanted, within in ((1, -1.9189, 0.02), (5, -1.56, 0.01), (50, -1.519, 0.003), (500, -1.515, 0.003)):
        assert bounds[k] == pytest.approx(wanted, abs=within)
    assert bounds[1] < bounds[5] < bounds[50] < LOG_P + 0.003
    # the same samples in groups: by Jensen's inequality the mean over groups of K does not decrease as K doubles
    eps = torch.randn(2000, 64, 1, generator=source)
    with torch.no_grad():
        means = [
            toy(k)(torch.ones(2000 * 64 // k, 1), eps.view(-1, k, 1)).values.mean() for k in (1, 2, 4, 8, 16, 32, 64)
        ]
    assert all(a < b for a, b in itertools.pairwise(means))
    assert max(means) < LOG_P + 0.01


@pytest.mark.system("S82")
def test_one_draw_is_the_elbo():
    """log w of one sample has the ELBO as its mean; the mean over ±ε is exact for a quadratic integrand."""
    x, eps = torch.ones(2, 1), torch.tensor([[-1.0], [1.0]])
    likelihood = Gaussian((0.0,), (1.0,), (1,), sigma=1.0, learn_sigma=False)
    heads = nn.Linear(1, 2)
    vae, iwae = VAE(heads, nn.Identity(), likelihood, 1), IWAE(heads, nn.Identity(), likelihood, 1, draws=1)
    bound, elbo = iwae(x, eps[:, None]).values.mean(), vae(x, eps).values.mean()
    torch.testing.assert_close(bound, elbo)
    parameters = list(heads.parameters())
    ours, theirs = (torch.autograd.grad(value, parameters) for value in (bound, elbo))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.system("S82")
@pytest.mark.parametrize("member", [m for m in VAES if m.recipe == "iwae"], ids=str)
def test_loss_is_minus_the_bound_of_the_models_own_distributions(member: Member):
    """Computed from prior, posterior and log_likelihood, which are torch.distributions."""
    model, batch = member.trained(), member.batch(5)
    draws = model.draws
    eps = batch.normal("eps", draws, model.latent_dim)
    noise = batch.uniform("dequantize", *batch.x.shape[1:]) if model.observation == "dequantized" else None
    q = model.posterior(batch.x, noise)
    log_w = []
    for k in range(draws):
        z = q.mean + q.stddev * eps[:, k]
        log_w.append(model.log_likelihood(batch.x, z, noise) + model.prior.log_prob(z) - q.log_prob(z))
    wanted = torch.stack(log_w).double().logsumexp(0).float() - math.log(draws)
    for module in (model.train(), model.eval()):
        loss = Variational(module).loss("model", batch)
        torch.testing.assert_close(loss.values, -wanted, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(loss.extras["elbo"], torch.stack(log_w).mean(0), rtol=1e-5, atol=1e-4)
    assert (loss.values <= -loss.extras["elbo"] + 1e-5).all()


@pytest.mark.system("S82")
def test_the_two_gradients_differ_only_for_the_encoder():
    options = {"latent_dim": 2, "hidden": 8, "draws": 4}
    result = []
    for gradient in ("reparameterized", "doubly-reparameterized"):
        member = Member("iwae", VAES[0].spec, options | {"gradient": gradient})
        model = member.trained()
        loss = Variational(model).loss("model", member.batch(32)).values.mean()
        names, parameters = zip(*model.named_parameters(), strict=True)
        result.append((loss, dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))))
    torch.testing.assert_close(result[0][0], result[1][0])
    for name, one in result[0][1].items():
        same = torch.allclose(one, result[1][1][name], rtol=1e-4, atol=1e-6)
        assert same == name.startswith("decoder"), name
