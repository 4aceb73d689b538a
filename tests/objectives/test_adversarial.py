"""GAN losses against the divergences that they estimate, and the signs of their gradients."""

import math

import pytest
import torch

from thalweg.objectives.adversarial import f_gan, gradient_penalty, hinge, minimax, non_saturating, wasserstein
from thalweg.objectives.f_divergence import F_DIVERGENCES, f_divergence

P, Q = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), torch.tensor([0.2, 0.2, 0.6], dtype=torch.float64)
LOSSES = {
    "minimax": minimax(),
    "weighted": minimax(2.0),
    "non-saturating": non_saturating(),
    "hinge": hinge(),
    "wasserstein": wasserstein(),
    **{name: f_gan(divergence) for name, divergence in F_DIVERGENCES.items()},
    **{f"{name}, saturating": f_gan(divergence, saturating=True) for name, divergence in F_DIVERGENCES.items()},
}


def mean(rule, scores):
    """Expectation of a loss of two arguments under p and q, both scored by the same critic; its terms are additive."""
    zero = torch.zeros_like(scores)
    return (P * (rule(scores, zero) - rule(zero, zero))).sum() + (Q * rule(zero, scores)).sum()


@pytest.mark.oracle("O38")
@pytest.mark.system("S95")
def test_the_best_discriminator_finds_twice_js():
    js = f_divergence("js").discrete(P, Q)
    logit = (P / Q).log()
    assert mean(minimax().estimate, logit).item() == pytest.approx(2 * js.item())
    assert mean(minimax().critic, logit).item() == pytest.approx(math.log(4) - 2 * js.item())


@pytest.mark.system("S95")
def test_the_weight_moves_the_best_discriminator():
    """With λ on the generated samples, D* = p/(p + λq)."""
    logit = (P / Q / 2).log().requires_grad_()
    (slope,) = torch.autograd.grad(mean(minimax(2.0).critic, logit), logit)
    assert slope.abs().max() < 1e-12


def test_hinge_estimates_the_total_variation():
    assert mean(hinge().estimate, (P - Q).sign()).item() == pytest.approx(0.4)
    for seed in range(50):
        scores = 3 * torch.randn(3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        assert mean(hinge().estimate, scores) <= 0.4 + 1e-12
    wrong = torch.tensor([-20.0, -20.0, 20.0], dtype=torch.float64, requires_grad=True)
    slopes = [torch.autograd.grad(mean(r.critic, wrong), wrong)[0].abs() for r in (hinge(), LOSSES["tv"])]
    torch.testing.assert_close(slopes[0], torch.stack([P[0], P[1], Q[2]]))
    assert slopes[1].max() < 1e-12


@pytest.mark.system("S97")
@pytest.mark.parametrize("name", F_DIVERGENCES)
def test_f_gan_estimates_its_divergence(name):
    divergence = f_divergence(name)
    best = divergence.score((P / Q).log())
    result = mean(f_gan(divergence).estimate, best).item()
    assert result == pytest.approx(divergence.discrete(P, Q).item(), abs=1e-9)


@pytest.mark.system("S95")
@pytest.mark.parametrize("name", LOSSES)
def test_signs_of_the_gradients(name):
    """The critic separates the scores of data and of g(z); the generator moves its scores toward those of data."""
    loss = LOSSES[name]
    real, fake = (torch.full((3,), 0.1, requires_grad=True) for _ in range(2))
    of_real, of_fake = torch.autograd.grad(loss.critic(real, fake).sum(), (real, fake))
    (of_generator,) = torch.autograd.grad(loss.generator(fake).sum(), fake)
    (of_estimate,) = torch.autograd.grad(loss.estimate(real, fake).sum(), real)
    up = -1.0 if name.startswith("reverse-kl") else 1.0  # its score estimates log q/p
    assert (up * of_real < 0).all()  # gradient descent increases it
    assert (up * of_fake > 0).all()
    assert (up * of_generator < 0).all()
    assert (up * of_estimate > 0).all()
    assert loss.critic(real, fake).shape == loss.generator(fake).shape == (3,)


def test_the_minimax_generator_loses_its_gradient_where_d_is_near_zero():
    fake = torch.tensor([-20.0], requires_grad=True)
    slopes = [torch.autograd.grad(loss.generator(fake).sum(), fake)[0].abs() for loss in (minimax(), non_saturating())]
    assert slopes[0] < 1e-8
    assert slopes[1] > 0.99


@pytest.mark.parametrize(("epsilon", "at"), [(1.0, 3.0), (0.25, 0.75), (0.0, 0.0)])
def test_the_penalty_lies_between_from_fake_to_real(epsilon, at):
    """The gradient of ½‖x‖² is x, so its norm reveals x̂ = ε·real + (1 − ε)·fake."""
    real = torch.tensor([[3.0, 0.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0]]).reshape(2, 1, 2, 2)
    fake, weight = torch.zeros_like(real), torch.full((2, 1), epsilon)
    penalty = gradient_penalty(lambda x: x.square().flatten(1).sum(1) / 2, real, fake, weight)
    assert penalty.tolist() == pytest.approx([(at - 1) ** 2] * 2)  # one per example
