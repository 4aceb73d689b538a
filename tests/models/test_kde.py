"""Kernel density estimation: kernels in closed form, other libraries, bandwidths, loading, memory."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import gaussian_kde, kstest
from sklearn.neighbors import KernelDensity

from thalweg.models.mixtures import kde as module
from thalweg.models.mixtures.kde import KDE
from thalweg.models.mixtures.kernels import KERNELS, rule_of_thumb
from thalweg.problems.fitting import Fitting
from thalweg.randomness import generator
from thalweg.training.problem import Batch

every_kernel = pytest.mark.parametrize("kernel", KERNELS)


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=generator(seed, "normal"), dtype=torch.float64)


def fitted(x, std=None, **settings):
    d = x.shape[1]
    model = KDE((d,), mean=[0.3] * d, std=std or [1.0] * d, **settings)
    model.fit(x, None, x[:, :0])
    return model


@pytest.mark.system("S73")
@every_kernel
@pytest.mark.parametrize("d", [1, 2, 3, 7])
def test_kernels_integrate_to_one_and_have_their_moments(kernel, d):
    own = KERNELS[kernel]
    sphere = 2 * math.pi ** (d / 2) / math.gamma(d / 2)

    def radial(power):
        def inside(r):
            log_sum = own.log_sum(torch.tensor([[r * r]], dtype=torch.float64))
            return float((log_sum + own.log_constant(d)).exp()) ** (1 + (power == 0)) * sphere * r ** (d - 1 + power)

        return quad(inside, 0, 1 if own.power is not None else 12)[0]

    mass = quad(lambda r: float((own.log_sum(torch.tensor([[r * r]]).double()) + own.log_constant(d)).exp())
                * sphere * r ** (d - 1), 0, 1 if own.power is not None else 12)[0]  # fmt: skip
    assert mass == pytest.approx(1, abs=1e-6)
    roughness, variance = radial(0), radial(2) / d
    assert own.canonical(d) == pytest.approx((roughness / variance**2) ** (1 / (d + 4)), rel=1e-6)
    drawn = own.draw(20_000, d, generator(0, "k"), torch.device("cpu"))
    assert float(drawn.square().sum(1).mean() / d) == pytest.approx(variance, rel=0.03)
    if own.power is not None:  # ‖u‖² ~ Beta(d/2, power + 1)
        assert kstest(drawn.square().sum(1).numpy(), "beta", args=(d / 2, own.power + 1)).pvalue > 0.001


@pytest.mark.system("S73")
@pytest.mark.parametrize("kernel", ["gaussian", "epanechnikov", "tophat"])
@pytest.mark.parametrize("d", [1, 2, 4])
def test_agrees_with_scikit_learn(kernel, d):
    x, at = normal(300, d), 0.5 * normal(40, d, seed=1)
    reference = KernelDensity(kernel=kernel, bandwidth=1.4, rtol=0, atol=0).fit(x.numpy()).score_samples(at.numpy())
    result = fitted(x, kernel=kernel, bandwidth=1.4).log_prob(at).numpy()
    assert np.isfinite(reference).sum() > 20
    np.testing.assert_allclose(result, reference, atol=1e-6)


@pytest.mark.system("S73")
@pytest.mark.parametrize("rule", ["silverman", "scott"])
def test_rules_agree_with_scipy(rule):
    for d in (1, 2, 3):
        x, at = normal(200, d), normal(30, d, seed=1)
        x = x - x.mean(0)
        # Scipy's kernel has the covariance of the data
        x = x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T).reshape(d, d))).T
        scale = torch.arange(1, d + 1).double()
        reference = gaussian_kde((x * scale).numpy().T, bw_method=rule).logpdf((at * scale).numpy().T)
        result = fitted(x * scale, scale.tolist(), bandwidth=rule).log_prob(at * scale)
        np.testing.assert_allclose(result.numpy(), reference, atol=1e-6)


@pytest.mark.system("S73")
def test_silverman_constant():
    assert rule_of_thumb("silverman", 1, 1) == pytest.approx(1.0592, abs=5e-5)
    epanechnikov = rule_of_thumb("silverman", 1, 1, KERNELS["epanechnikov"])
    assert epanechnikov == pytest.approx(2.3449, abs=1e-4)  # (40 √π)^{1/5}


@pytest.mark.system("S73")
@every_kernel
def test_density_integrates_to_one_in_raw_units(kernel):
    model = fitted(normal(30, 2), [0.5, 3.0], kernel=kernel, bandwidth=0.7)
    a, b = torch.linspace(-6, 6, 400).double(), torch.linspace(-20, 20, 400).double()
    mass = model.log_prob(torch.cartesian_prod(a, b)).exp().sum() * (a[1] - a[0]) * (b[1] - b[0])
    assert float(mass) == pytest.approx(1, abs=0.005)


@pytest.mark.system("S73")
@every_kernel
def test_cross_validation_maximizes_the_leave_one_out_likelihood(kernel):
    x = normal(40, 2)
    model = fitted(x, kernel=kernel)

    def left_out(h):
        rest = [fitted(torch.cat([x[:i], x[i + 1 :]]), kernel=kernel, bandwidth=h) for i in range(len(x))]
        return sum(float(m.log_prob(x[i : i + 1])) for i, m in enumerate(rest)) / len(x)

    h = float(model.bandwidth)
    best = left_out(h)
    wide = KDE((2,), mean=[0.0] * 2, std=[3.0] * 2, kernel=kernel, bandwidth=h)  # in raw units
    assert best - math.log(9) == pytest.approx(float(wide.fit(3 * (x - 0.3), None, x[:, :0]).log_prob.mean()), abs=1e-5)
    assert math.isfinite(best)  # with a compact kernel every example has a neighbor
    assert best == pytest.approx(float(model.fit(x, None, x[:, :0]).log_prob.mean()), abs=1e-6)
    assert all(left_out(factor * h) < best + 1e-4 for factor in (0.7, 0.95, 1.05, 1.5))


@pytest.mark.system("S73")
@every_kernel
def test_samples_follow_the_density(kernel):
    """E of q/p over samples of p is the mass of q on the support of p, which is 1 for a narrow Gaussian q."""
    model = fitted(normal(50, 2), [1.0, 2.0], kernel=kernel, bandwidth=1.2)
    x = model.sample(20_000, generator(0, "s")).double()
    q = torch.distributions.Normal(x.mean(0), 0.3 * x.std(0))
    ratio = (q.log_prob(x).sum(1) - model.log_prob(x)).exp()
    assert float(ratio.mean()) == pytest.approx(1, abs=5 * float(ratio.std()) / math.sqrt(len(x)))


def test_parts_make_the_whole(monkeypatch):
    x, at = normal(100, 3), normal(17, 3, seed=1)
    whole = fitted(x)
    monkeypatch.setattr(module, "POINTS", 7)
    monkeypatch.setattr(module, "PAIRS", {"cpu": 21})
    parts = fitted(x)
    torch.testing.assert_close(parts.log_prob(at), whole.log_prob(at), rtol=1e-12, atol=1e-12)
    assert float(parts.bandwidth) == pytest.approx(float(whole.bandwidth), rel=1e-12)


def test_accurate_far_from_the_origin():
    x, at = normal(50, 20), normal(5, 20, seed=1)
    far = KDE((20,), mean=[1e6] * 20, std=[1.0] * 20, bandwidth=0.5)
    far.fit(x + 1e6, None, x[:, :0])
    near = KDE((20,), mean=[0.0] * 20, std=[1.0] * 20, bandwidth=0.5)
    near.fit(x, None, x[:, :0])
    torch.testing.assert_close(far.log_prob(at + 1e6), near.log_prob(at), rtol=0, atol=1e-5)


@pytest.mark.system("S73")
def test_images_are_dequantized():
    """The mean log-density of levels with noise is a lower bound on the log-probability of the level."""
    x = torch.randint(0, 4, (30, 1, 1, 1), generator=generator(0, "i"), dtype=torch.uint8)
    model = KDE((1, 1, 1), mean=[1.5], std=[1.0], levels=4, bandwidth=0.4)
    model.fit(x, torch.zeros(x.shape), x.flatten(1)[:, :0].float())
    level = torch.full((1, 1, 1, 1), 2, dtype=torch.uint8)
    u = torch.linspace(0, 1, 1001, dtype=torch.float64)[:-1] + 5e-4
    values = model.log_prob(level.expand(1000, 1, 1, 1), u.view(-1, 1, 1, 1))
    centers, width = x.flatten().double() + 0.5, 0.4
    distribution = torch.distributions.Normal(centers, width)
    inside = (distribution.cdf(torch.tensor(3.0)) - distribution.cdf(torch.tensor(2.0))).mean()
    assert float(values.double().exp().mean()) == pytest.approx(float(inside), abs=1e-5)
    assert float(values.mean()) < math.log(float(inside))


@pytest.mark.system("S73")
def test_loading_makes_room_for_the_points():
    model = fitted(normal(30, 2))
    other = KDE((2,), mean=[0.3] * 2, std=[1.0] * 2)
    other.load_state_dict(model.state_dict())
    at = normal(5, 2, seed=2)
    assert torch.equal(other.log_prob(at), model.log_prob(at))
    wrong = KDE((3,), mean=[0.3] * 3, std=[1.0] * 3)
    with pytest.raises(RuntimeError, match="size mismatch for points"):
        wrong.load_state_dict(model.state_dict())


def test_examples_without_neighbors_are_counted_and_not_averaged():
    x = torch.tensor([[0.0], [0.1], [0.2], [9.0]])
    model = KDE((1,), mean=[0.0], std=[1.0], kernel="tophat", bandwidth=1.0)
    solution = Fitting(model).closed_form_step("model", Batch(x))
    assert solution.converged
    assert len(solution.loss.values) == 3
    assert float(solution.loss.extras["outside"]) == 0.25
    assert model.log_prob(torch.tensor([[5.0]])).item() == -math.inf
    assert math.isfinite(float(fitted(x, kernel="tophat").bandwidth))


def test_refusals():
    for settings, message in (({"kernel": "cosine"}, "kernel: got"), ({"bandwidth": "best"}, "bandwidth: got"),
                              ({"bandwidth": 0.0}, "bandwidth: got 0")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            KDE((1,), mean=[0.0], std=[1.0], **settings)
    alone = Fitting(KDE((1,), mean=[0.0], std=[1.0], kernel="tophat", bandwidth=1e-9))
    with pytest.raises(ValueError, match="bandwidth: got one with no other example within reach"):
        alone.closed_form_step("model", Batch(torch.randn(5, 1, generator=generator(0, "x"))))
    with pytest.raises(ValueError, match="examples: got 1"):
        fitted(normal(1, 2))
