"""Inference for single examples against closed forms, and the amortization gap."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal

from catalogue import DIGITS, PLANE, Member
from thalweg.inference.individual import amortization_gap, individual_posterior


class Linear:
    """z ~ N(0, 1), x|z ~ N(z, 1), and an encoder N(m·x, s²)."""

    def __init__(self, slope: float, s: float) -> None:
        self.prior = Independent(Normal(torch.zeros(1), torch.ones(1)), 1)
        self.slope, self.s = slope, s

    def posterior(self, x: Tensor) -> Independent:
        return Independent(Normal(self.slope * x, torch.full_like(x, self.s)), 1)

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        return Normal(z, 1.0).log_prob(x).sum(1)


@pytest.mark.system("S85")
@pytest.mark.oracle("O34")
def test_gap_of_a_bad_encoder_is_its_kl_from_the_posterior():
    """q*(z|x) = N(x/2, ½) = p(z|x): individual inference reaches log p(x), and the gap of the encoder N(0, 1) is .4034
    nats."""
    x = torch.tensor([[1.0], [-2.0], [0.5]])
    best = individual_posterior(Linear(0.0, 1.0), x, steps=300, draws=64)
    torch.testing.assert_close(best.mean, x / 2, rtol=0, atol=0.02)
    torch.testing.assert_close(best.stddev, torch.full((3, 1), math.sqrt(0.5)), rtol=0, atol=0.02)
    result = amortization_gap(Linear(0.0, 1.0), x, steps=300, draws=64)
    log_p = Normal(0.0, math.sqrt(2.0)).log_prob(x)[:, 0]
    torch.testing.assert_close(result.individual, log_p, rtol=0, atol=0.03)
    posterior, q = Normal(x / 2, math.sqrt(0.5)), Normal(0.0, 1.0)
    kl = torch.distributions.kl_divergence(q, posterior)[:, 0]
    assert kl[0].item() == pytest.approx(0.4034264, abs=1e-6)
    torch.testing.assert_close(result.gap, kl, rtol=0.05, atol=0.03)


@pytest.mark.system("S85")
def test_there_is_no_gap_where_the_encoder_is_the_posterior():
    x = torch.linspace(-2, 2, 5)[:, None]
    result = amortization_gap(Linear(0.5, math.sqrt(0.5)), x, steps=100, draws=64)
    assert result.gap.abs().max().item() < 1e-3


@pytest.mark.system("S85")
@pytest.mark.system("S77")
@pytest.mark.oracle("O33")
def test_the_best_diagonal_gaussian_is_too_narrow_for_a_correlated_posterior():
    """Of N(0, [[1, .9], [.9, 1]]) the diagonal q that minimizes KL(q‖p) has variances 1/Λ_jj = .19, not 1."""

    class Correlated:
        prior = MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, 0.9], [0.9, 1.0]]))

        def posterior(self, x: Tensor) -> Independent:
            return Independent(Normal(torch.full((len(x), 2), 0.5), torch.ones(len(x), 2)), 1)

        def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
            return torch.zeros(len(x))

    best = individual_posterior(Correlated(), torch.zeros(1, 1), steps=400, draws=128)
    torch.testing.assert_close(best.variance, torch.full((1, 2), 0.19), rtol=0.05, atol=0)
    assert best.mean.abs().max().item() < 0.05


@pytest.mark.system("S85")
@pytest.mark.parametrize("spec", [PLANE, DIGITS], ids=["plane", "digits"])
def test_gap_of_a_vae_is_positive_and_the_model_is_left_as_it_was(spec):
    member = Member("vae", spec, {"latent_dim": 2, "hidden": 8, "architecture": "dense"})
    model = member.trained()
    frozen = nn.Parameter(torch.zeros(1), requires_grad=False)
    model.register_parameter("frozen", frozen)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    result = amortization_gap(model, member.examples(4), steps=60, draws=8)
    assert result.gap.min().item() > -0.01
    assert result.gap.mean().item() > 0.01
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name])
        assert p.requires_grad == (name != "frozen")
        assert p.grad is None
