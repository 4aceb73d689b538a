"""f-GAN against exact values: optimal critics, bounds for two Gaussians, the optimal Gaussian for a mixture."""

import functools
import math
import runpy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.distributions import Normal

from thalweg.data import Spec
from thalweg.nn.dense import mlp
from thalweg.objectives.adversarial import f_gan
from thalweg.objectives.f_divergence import F_DIVERGENCES, f_divergence
from thalweg.objectives.gaussian_divergence import gaussian_divergence
from thalweg.recipes import recipe

pytestmark = pytest.mark.system("S97")

NAMES = list(F_DIVERGENCES)
PLANE = Spec(name="plane", kind="vector", shape=(2,), mean=(0.0, 0.0), std=(1.0, 1.0))
P, Q = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), torch.tensor([0.2, 0.2, 0.6], dtype=torch.float64)
BENCHMARK = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "quality" / "f_gan_mixture.py"))
best_gaussian = functools.cache(BENCHMARK["best"])


@pytest.mark.parametrize("name", NAMES)
def test_what_looks_like_a_sample_scores_higher(name):
    """The optimal critic of the reverse KL decreases in p/q, the others increase; the anomaly scores all decrease."""
    model, divergence = recipe("f-gan")(PLANE, divergence=name, hidden=4).model, f_divergence(name)

    class Best(nn.Module):
        def forward(self, x):
            return divergence.score(x[:, 0])

    model.critic = Best()
    sample, datum = model.score(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))  # log p/q
    assert sample > datum


@pytest.mark.oracle("O40")
@pytest.mark.parametrize(
    ("name", "best", "value"),
    [
        ("kl", (P / Q).log(), 0.3600624),
        ("squared-hellinger", 0.5 * (P / Q).log(), 0.1848262),
        ("reverse-kl", (Q / P).log(), 0.3948162),
        ("gan", (P / Q).log(), 0.1811317),
        ("js", (P / Q).log(), 0.0905658),
        ("jeffreys", (P / Q).log(), 0.7548786),
        ("pearson", 2 * (P / Q - 1), ((P - Q) ** 2 / Q).sum().item()),
        ("neyman", 2 * (P / Q).log(), ((P - Q) ** 2 / P).sum().item()),
    ],
)
def test_a_free_critic_ends_at_the_divergence(name, best, value):
    """One free score per point, optimized from 0 without the formula of the optimum."""
    gan_loss, scores = f_gan(f_divergence(name)), torch.zeros(3, dtype=torch.float64, requires_grad=True)

    def loss():
        everywhere = gan_loss.critic(scores[:, None].expand(3, 3).flatten(), scores.repeat(3))
        return (torch.outer(P, Q).flatten() * everywhere).sum()

    def closure():
        optimizer.zero_grad()
        lost = loss()
        lost.backward()
        return lost

    optimizer = torch.optim.LBFGS(
        [scores], max_iter=200, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )
    optimizer.step(closure)
    assert -loss().item() == pytest.approx(value, abs=1e-7)
    torch.testing.assert_close(scores.detach(), best, rtol=1e-4, atol=1e-5)


def critics():
    """Networks with initial weights, and critics that depend only on |x|, only on the sign of x, or on nothing."""
    result = {f"network {seed}": None for seed in range(3)}
    for seed in range(3):
        torch.manual_seed(seed)
        network = mlp((1, 16, 1), activation=nn.Tanh).double()
        result[f"network {seed}"] = lambda x, network=network: network(x[:, None])[:, 0].detach()
    return result | {"size": lambda x: x.abs() - 1, "sign": torch.sign, "nothing": torch.zeros_like}


@pytest.mark.parametrize("name", NAMES)
def test_the_bound_of_two_gaussians(name):
    """Below the closed form for every critic, up to sampling error, and equal to it for the optimal critic."""
    gan_loss, one = f_gan(f_divergence(name)), torch.ones(1, dtype=torch.float64)
    p, q = Normal(0 * one, one), Normal(0.5 * one, 0.95 * one)
    real, fake = (distribution.sample((100_000,))[:, 0] for distribution in (p, q))
    exact = gaussian_divergence(name, p, q).item()

    def estimated(critic):
        values = gan_loss.estimate(critic(real), critic(fake))
        return values.mean().item(), values.std().item() / math.sqrt(len(values))

    def best(x):
        return f_divergence(name).score(p.log_prob(x) - q.log_prob(x))

    result, error = estimated(best)
    assert error < 0.05 * exact
    assert result == pytest.approx(exact, abs=4 * error)
    for critic in [*critics().values(), lambda x: 0.5 * best(x), lambda x: best(x + 0.5), lambda x: best(-x)]:
        below, error = estimated(critic)
        assert below < exact + 4 * error
        # On the same samples; for TV the sign of the critic is enough
        assert below < result or (name == "tv" and below == result)


def test_the_mixture_is_the_papers():
    """The best Gaussian of each divergence, table 3: moments for KL, elsewhere by quadrature."""
    mixture = BENCHMARK["MIXTURE"]
    weights, means, stds = (torch.tensor(a).flatten() for a in (mixture.weights, mixture.means, mixture.stds))
    mean = (weights * means).sum()
    variance = (weights * (stds**2 + means**2)).sum() - mean**2
    for name in ("kl", "reverse-kl"):
        best, paper = best_gaussian(name), BENCHMARK["PAPER"][name]
        assert (best.divergence, best.mu, best.sigma) == pytest.approx(paper, abs=4e-4)
        if name == "kl":
            assert (best.mu, best.sigma) == pytest.approx((mean.item(), variance.sqrt().item()), abs=1e-4)


@pytest.mark.parametrize("name", ["kl", "reverse-kl"])
def test_a_trained_gaussian_is_the_best_one(name):
    """After 400 steps within 3 % of the optimal mean and deviation, and 1 % of the optimal divergence."""
    best, fit = best_gaussian(name), BENCHMARK["trained"](name, steps=400, batch=100, rate=5e-2)
    assert fit.mu == pytest.approx(best.mu, rel=0.03)
    assert fit.sigma == pytest.approx(best.sigma, rel=0.03)
    assert best.divergence <= fit.divergence <= 1.01 * best.divergence
    assert 0.97 * best.divergence < fit.bound <= fit.divergence
