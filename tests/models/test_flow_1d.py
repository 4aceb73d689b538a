"""Flows of a scalar: the universal construction, its tails, and three base distributions."""

import math

import pytest
import torch
from scipy import stats

from thalweg.data.dataset import Spec
from thalweg.data.toy import density
from thalweg.models.flows.flow_1d import Flow1D
from thalweg.nn.monotone import KERNELS, MIN_SCALE, MixtureOfCDFs
from thalweg.problems.likelihood import Likelihood
from thalweg.randomness import generator
from thalweg.recipes.elementary_flows import flow_1d
from thalweg.training.problem import Batch

TRUTH = density("mixture-1d")


def of_the_truth(**settings):
    """The flow whose mixture is that of the data `mixture-1d`."""
    flow = Flow1D((1,), mean=[0.0], std=[1.0], components=3, **settings).double()
    means, stds, weights = (
        torch.tensor(a, dtype=torch.float64).flatten() for a in (TRUTH.means, TRUTH.stds, TRUTH.weights)
    )
    with torch.no_grad():
        flow.transform.transforms[0].start.copy_(torch.stack([weights.log(), means, (stds - MIN_SCALE).log()]))
    return flow


def distribution_function(x):
    parts = zip(TRUTH.means, TRUTH.stds, TRUTH.weights, strict=True)
    return sum(w * stats.norm.cdf(x.numpy(), *m, s) for m, s, w in parts)


@pytest.mark.system("S75")
@pytest.mark.system("S86")
@pytest.mark.system("S87")
def test_normal_quantile_of_the_distribution_function_normalizes_exactly():
    flow = of_the_truth(base="normal")
    x = torch.linspace(-4, 4, 200, dtype=torch.float64)[:, None]
    torch.testing.assert_close(flow.log_prob(x), TRUTH.log_prob(x), rtol=1e-12, atol=1e-10)
    torch.testing.assert_close(flow.encode(x)[:, 0], torch.from_numpy(stats.norm.ppf(distribution_function(x[:, 0]))))
    z = flow.encode(torch.from_numpy(TRUTH.sample(5000, seed=1)))[:, 0].detach()
    assert stats.kstest(z.numpy(), stats.norm.cdf).pvalue > 1e-3


@pytest.mark.system("S75")
@pytest.mark.system("S86")
def test_the_distribution_function_takes_x_to_a_uniform_distribution():
    flow = of_the_truth(base="uniform")
    x = torch.linspace(-3, 3, 50, dtype=torch.float64)[:, None]
    torch.testing.assert_close(flow.encode(x)[:, 0], torch.from_numpy(distribution_function(x[:, 0])))
    torch.testing.assert_close(flow.log_prob(x), TRUTH.log_prob(x), rtol=1e-12, atol=1e-10)
    samples = flow.sample(5000, generator(0, "s"))[:, 0]
    assert stats.kstest(samples.numpy(), lambda x: distribution_function(torch.from_numpy(x))).pvalue > 1e-3


@pytest.mark.system("S86")
def test_to_a_beta_distribution():
    flow = of_the_truth(base="beta")
    x = torch.linspace(-3, 3, 50, dtype=torch.float64)[:, None]
    expected = torch.from_numpy(stats.beta(5, 5).logpdf(distribution_function(x[:, 0]))) + TRUTH.log_prob(x)
    torch.testing.assert_close(flow.log_prob(x), expected)


@pytest.mark.parametrize("kernel", list(KERNELS))
def test_tails_are_accurate(kernel):
    f = MixtureOfCDFs(kernel, 5)
    with torch.no_grad():
        f.start += 0.3 * torch.randn(3, 5, generator=generator(0, kernel))
    x = torch.linspace(-30, 30, 301)[:, None]
    moved = f(x)
    assert moved.value.isfinite().all()
    assert (moved.value.diff(dim=0) > 0).all()
    back = f.inverse(moved.value)
    assert (back.value - x).abs().max() < 1e-5
    distribution = {"gaussian": stats.norm, "logistic": stats.logistic}[kernel]
    u = torch.linspace(-60, 60, 99, dtype=torch.float64)
    torch.testing.assert_close(KERNELS[kernel].log_cdf(u), torch.from_numpy(distribution.logcdf(u.numpy())))
    torch.testing.assert_close(KERNELS[kernel].log_pdf(u), torch.from_numpy(distribution.logpdf(u.numpy())))
    torch.testing.assert_close(KERNELS[kernel].quantile(KERNELS[kernel].log_cdf(u), KERNELS[kernel].log_cdf(-u)), u)


def test_one_component_is_affine():
    f = MixtureOfCDFs("gaussian", 1).double()
    with torch.no_grad():
        f.start.copy_(torch.tensor([[0.3], [2.0], [math.log(3.0 - MIN_SCALE)]]))
    x = torch.linspace(-9, 9, 7, dtype=torch.float64)[:, None]
    moved = f(x)
    torch.testing.assert_close(moved.value, (x - 2) / 3)
    torch.testing.assert_close(moved.log_det, torch.full((7,), -math.log(3.0), dtype=torch.float64))


@pytest.mark.parametrize("base", ["normal", "uniform", "beta"])
@pytest.mark.parametrize("map", ["gaussian", "logistic", "spline"])
def test_values_near_the_ends_are_finite(map, base):
    flow = Flow1D((1,), map=map, base=base, mean=[0.0], std=[1.0])
    x = torch.tensor([[-500.0], [-40.0], [40.0], [500.0]])
    assert flow.log_prob(x).isfinite().all()
    z = flow.encode(x)
    assert z.isfinite().all()
    assert flow.decode(z).isfinite().all()
    if base != "normal":
        assert ((z > 0) & (z < 1)).all()


@pytest.mark.system("S86")
@pytest.mark.parametrize("base", ["normal", "uniform", "beta"])
@pytest.mark.parametrize("map", ["gaussian", "spline"])
def test_a_short_training_finds_the_density(map, base):
    spec = Spec(name="line", kind="vector", shape=(1,), mean=(0.0,), std=(1.6,))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        run = flow_1d(spec, map=map, base=base)
    model, problem = run.model, run.stages[0].problem
    assert isinstance(problem, Likelihood)
    x, test = (torch.from_numpy(TRUTH.sample(n, seed=s)) for n, s in ((4000, 1), (20_000, 2)))
    optimizer = torch.optim.Adam(model.parameters(), 3e-2)
    for step in range(150):
        optimizer.zero_grad()
        problem.loss("model", Batch(x, seed=step)).values.mean().backward()
        optimizer.step()
    with torch.no_grad():
        divergence = float((TRUTH.log_prob(test) - model.log_prob(test)).mean())
    assert -0.005 < divergence < 0.03


def test_refusals():
    with pytest.raises(ValueError, match=r"shape: got \(2,\), wanted \(1,\)"):
        Flow1D((2,), mean=[0.0] * 2, std=[1.0] * 2)
    with pytest.raises(ValueError, match=r"flow-1d: got data 'plane' of shape \(2,\), wanted vectors of one column"):
        flow_1d(Spec(name="plane", kind="vector", shape=(2,), mean=(0.0,) * 2, std=(1.0,) * 2))
    with pytest.raises(ValueError, match="flow-1d: got data 'text' of tokens"):
        flow_1d(Spec(name="text", kind="tokens", shape=(8,), levels=256))
