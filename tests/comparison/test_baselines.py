"""Real, Gaussian and mixture against scikit-learn, torch's distributions, moments, and what a bound must be."""

import copy
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.covariance import shrunk_covariance
from sklearn.mixture import GaussianMixture
from torch.distributions import MultivariateNormal

from thalweg.comparison import fitting
from thalweg.comparison.baselines import Real, Uniform, baselines
from thalweg.comparison.fitting import Fit
from thalweg.comparison.gaussians import Gaussians
from thalweg.config import DataConfig, Discrete
from thalweg.data import Dataset, Spec, Split, load
from thalweg.evaluation import evaluate


@pytest.fixture(scope="module")
def digits():
    return load(DataConfig(source="digits"))


@pytest.fixture(scope="module")
def of_digits(digits):
    return baselines(digits, seed=0)


def vectors(x, kept_values=None):
    x = x.astype(np.float32)
    d = x.shape[1]
    spec = Spec(name="cloud", kind="vector", shape=(d,), mean=(0.0,) * d, std=(1.0,) * d)
    kept_values = x[:50] if kept_values is None else kept_values
    return Dataset(spec, Split(x), Split(kept_values), Split(x))


def images(x, levels):
    spec = Spec(name="pictures", kind="image", shape=x.shape[1:], levels=levels, mean=(0.0,), std=(1.0,))
    return Dataset(spec, Split(x), Split(x[:50]), Split(x))


def cloud(n=400, d=3, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(n, d)) @ random.normal(size=(d, d)) * 10.0 ** np.arange(d) + 5.0


def noise_of(shape, seed=0):
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return torch.rand(shape, dtype=torch.float64)


def log_prob(model, x, seed=0):
    """With the noise of `noise_of`."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return model.log_prob(x)


# the Gaussian


def test_gaussian_of_vectors_is_torchs():
    x = cloud()
    model, data = Fit(vectors(x), 0).gaussian(), torch.from_numpy(x.astype(np.float32))
    x = data.double().numpy()
    wanted = MultivariateNormal(torch.from_numpy(x.mean(axis=0)), torch.from_numpy(np.cov(x.T, bias=True)))
    assert model.observation == "continuous"
    assert model.log_prob(data).numpy() == pytest.approx(wanted.log_prob(data.double()).numpy(), rel=1e-9)


def test_gaussian_of_images_adds_the_noises_moments_exactly(digits, of_digits):
    model, x = of_digits["gaussian"], torch.from_numpy(digits.test.x)
    train = digits.train.x.reshape(1437, -1).astype(np.float64)
    covariance = torch.from_numpy(np.cov(train.T, bias=True) + np.eye(64) / 12)
    wanted = MultivariateNormal(torch.from_numpy(train.mean(axis=0) + 0.5), covariance)
    assert model.observation == "dequantized"
    noisy = (x.double() + noise_of(x.shape)).flatten(1)
    assert log_prob(model, x).numpy() == pytest.approx(wanted.log_prob(noisy).numpy(), rel=1e-9)
    # three pixels of these scans never vary: there is nothing but the noise
    still = train.std(axis=0) == 0
    assert still.sum() >= 3
    factor = model._factor(0)
    assert (factor @ factor.T).diagonal()[still].numpy() == pytest.approx(1 / 12)


def test_uniform_levels_cost_what_a_gaussian_must():
    # of [0, 256) uniform: log₂ of √(2πe · 256²/12), 0.2546 bits above the 8 there are
    x = np.random.default_rng(0).integers(0, 256, (20_000, 1, 2, 2)).astype(np.uint8)
    data = images(x, 256)
    model = Fit(data, 0).gaussian()
    findings = evaluate(SimpleNamespace(log_prob=model.log_prob, observation=model.observation), data)
    bits, nats = findings["bits/dim"], findings["log-likelihood"]
    assert bits.value == pytest.approx(0.5 * math.log2(2 * math.pi * math.e * 256**2 / 12), abs=3e-3)
    assert (bits.kind, nats.kind) == ("upper bound", "lower bound")
    assert bits.value == pytest.approx(-nats.value / (4 * math.log(2)))
    assert bits.protocol["quantity"] == "probability of the raw levels"


def test_noise_makes_a_singular_covariance_invertible():
    x = cloud().astype(np.float32)
    twice = np.column_stack([x, x[:, 0] - 2 * x[:, 1]])
    covariance = fitted_covariance(Fit(vectors(twice), 0).gaussian())
    scale = np.sqrt(np.diag(covariance))
    assert np.linalg.eigvalsh(covariance / np.outer(scale, scale))[0] == pytest.approx(1e-6, rel=0.01)
    # where no column is made of others nothing is added
    alone = fitted_covariance(Fit(vectors(x), 0).gaussian())
    assert alone == pytest.approx(np.cov(x.astype(np.float64).T, bias=True), rel=1e-9)


def fitted_covariance(model):
    factor = model._factor(0)
    return (factor @ factor.T).numpy()


def few_images(n=60):
    """Images of 4 factors and noise, in 100 dimensions, 32 levels: training, validation and test."""
    random = np.random.default_rng(0)
    loads = random.normal(size=(4, 100))
    x = 16 + 3 * random.normal(size=(3 * n, 4)) @ loads + random.normal(size=(3 * n, 100))
    x = np.clip(x, 0, 31).astype(np.uint8).reshape(-1, 1, 10, 10)
    return replace(images(x[:n], 32), validation=Split(x[n : 2 * n]), test=Split(x[2 * n :]))


@pytest.mark.parametrize("held_out", [True, False])
def test_fewer_examples_than_dimensions(held_out):
    data = few_images()
    if not held_out:
        data = replace(data, validation=Split(data.validation.x[:0]))
    fit, x = Fit(data, 0), torch.from_numpy(data.test.x)
    result = baselines(data)
    assert fit.shrinkage > 0
    flat = data.train.x.reshape(len(data.train.x), -1).astype(np.float64)
    wanted = shrunk_covariance(np.cov(flat.T, bias=True) + np.eye(100) / 12, fit.shrinkage)
    assert fitted_covariance(fit.gaussian()) == pytest.approx(wanted, rel=1e-9)
    # likelier than uniform levels, as the covariance without shrinkage is not
    assert log_prob(result["gaussian"], x).mean() > result["uniform"].log_prob(x).mean() + 10
    raw = fit._single(fit.mean, fit.covariance, 0.0)
    assert log_prob(raw, x).mean() < result["uniform"].log_prob(x).mean()


def test_shrinkage_is_the_likeliest_of_held_out_examples():
    fit = Fit(few_images(), 0)
    values = [fit._validation_log_prob(fit._single(fit.mean, fit.covariance, share)) for share in fitting.SHRINKAGE]
    assert fit.shrinkage == fitting.SHRINKAGE[int(np.argmax(values))]
    assert values[0] < max(values) > values[-1]


def test_shrinkage_is_zero_if_held_out_examples_do_not_support_it():
    for seed in range(12):
        x = cloud(n=450, d=3, seed=seed)
        assert Fit(vectors(x[50:], kept_values=x[:50]), 0).shrinkage == 0


# discrete columns


def counts(n=6_000, offset=0.0, kept_values=500):
    """Poisson counts, halves of a die, and, from `offset`, a normal column: data and their exact log-distribution."""
    random = np.random.default_rng(0)
    x = np.column_stack(
        [random.poisson(9.0, n), random.integers(1, 7, n) / 2, offset + random.normal(size=n)]
    )  # float64: at 1e12 its steps are 1e-4
    discrete = (Discrete(), Discrete(0.5, tuple(np.arange(1, 7) / 2)), None)
    spec = Spec(name="counts", kind="vector", shape=(3,), mean=(0.0,) * 3, std=(1.0,) * 3, discrete=discrete)
    distribution = stats.poisson.logpmf(x[:, 0], 9.0) - math.log(6) + stats.norm.logpdf(x[:, 2] - offset)
    first, second = kept_values, 2 * kept_values
    data = Dataset(spec, Split(x[second:]), Split(x[first:second]), Split(x[:first]))
    return data, distribution[:first]


@pytest.mark.parametrize("offset", [0.0, -3e5, 1e12])
@pytest.mark.parametrize("kind", ["gaussian", "mixture"])
def test_discrete_columns_are_dequantized(kind, offset):
    """The mean log-density is below minus the entropy, and not by more than the columns are from Gaussian."""
    data, distribution = counts(offset=offset)
    model = getattr(Fit(data, 0), kind)()
    assert model.observation == "dequantized"
    apart = distribution - log_prob(model, torch.from_numpy(data.test.x)).numpy()
    error = apart.std() / math.sqrt(len(apart))
    # of uniform cells on an interval a Gaussian lacks ½ log(2πe/12) = 0.176 nats
    assert -2 * error < apart.mean() < 0.25 + 2 * error
    findings = evaluate(SimpleNamespace(log_prob=model.log_prob, observation=model.observation), data)["log-likelihood"]
    assert findings.kind == "lower bound"
    assert findings.low < distribution.mean()


def test_gaussian_of_discrete_columns_has_the_noises_moments():
    data, _ = counts(offset=1e3)
    model, x = Fit(data, 0).gaussian(), data.train.x
    steps = np.array([1.0, 0.5, 0.0])
    wanted = np.cov(x.T, bias=True) + np.diag(steps**2 / 12)
    assert fitted_covariance(model) == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    assert (model.center + model.means[0]).numpy() == pytest.approx(x.mean(axis=0) + steps / 2, rel=1e-12)
    noise = noise_of(data.test.x.shape) * torch.from_numpy(steps)
    distribution = MultivariateNormal(torch.from_numpy(x.mean(axis=0) + steps / 2), torch.from_numpy(wanted))
    expected = distribution.log_prob(torch.from_numpy(data.test.x) + noise) + math.log(0.5)
    assert log_prob(model, torch.from_numpy(data.test.x)).numpy() == pytest.approx(expected.numpy(), rel=1e-8)


def test_mixture_of_discrete_columns_has_the_noises_mean():
    """EM keeps the mean of what it is fitted to: the values and half a step."""
    random = np.random.default_rng(0)
    x = np.where(random.random((3_000, 2)) < 0.5, random.poisson(3.0, (3_000, 2)), random.poisson(40.0, (3_000, 2)))
    spec = Spec(name="counts", kind="vector", shape=(2,), mean=(0.0,) * 2, std=(1.0,) * 2, discrete=(Discrete(),) * 2)
    model = Fit(Dataset(spec, Split(x[:2_500]), Split(x[2_500:]), Split(x[:0])), 0).mixture()
    assert len(model.means) > 1
    mean = model.center + model.log_weights.exp() @ model.means
    assert mean.numpy() == pytest.approx(x[:2_500].mean(axis=0) + 0.5, abs=0.05)


@pytest.mark.parametrize("kind", ["gaussian", "mixture"])
def test_samples_of_discrete_columns_are_values(kind):
    data, _ = counts(offset=1e12)
    drawn = getattr(Fit(data, 0), kind)().sample(20_000, torch.Generator().manual_seed(0)).numpy()
    assert drawn.dtype == np.float64
    assert (drawn[:, 0] == drawn[:, 0].round()).all()
    assert set(drawn[:, 1]) <= set(np.arange(1, 7) / 2)
    assert drawn[:, 0].mean() == pytest.approx(9.0, abs=0.1)
    assert drawn[:, 1].mean() == pytest.approx(1.75, abs=0.05)
    assert (drawn[:, 2] - 1e12).mean() == pytest.approx(0.0, abs=0.05)
    assert (drawn[:, 2] - 1e12).std() == pytest.approx(1.0, abs=0.05)


# uniform levels


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_uniform_levels(levels):
    data = images(np.random.default_rng(0).integers(0, levels, (60, 1, 3, 4)).astype(np.uint8), levels)
    model = Uniform((1, 3, 4), levels)
    findings = evaluate(model, data)
    assert findings["bits/dim"].value == pytest.approx(math.log2(levels), rel=1e-14)
    assert (findings["bits/dim"].kind, findings["log-likelihood"].kind) == ("exact", "exact")
    drawn = model.sample(2_000, torch.Generator().manual_seed(0))
    assert (drawn.shape, drawn.dtype) == ((2_000, 1, 3, 4), torch.uint8)
    assert stats.chisquare(np.bincount(drawn.flatten().numpy(), minlength=levels)).pvalue > 1e-3
    assert (drawn == model.sample(2_000, torch.Generator().manual_seed(0))).all()


# the mixture


def test_gaussians_are_scikit_learns():
    random = np.random.default_rng(0)
    x = np.concatenate([random.normal(size=(300, 2)), random.normal(size=(200, 2)) @ [[3, 1], [0, 0.2]] + [4, -2]])
    theirs = GaussianMixture(3, random_state=0).fit(x)
    ours = Gaussians(theirs.weights_, theirs.means_, np.linalg.cholesky(theirs.covariances_), shape=(2,))
    assert ours.log_prob(torch.from_numpy(x)).numpy() == pytest.approx(theirs.score_samples(x), rel=1e-10)
    assert sum(p.numel() for p in ours.parameters()) == 3 + 3 * 2 + 3 * 3  # as many numbers as were fitted


def test_mixture_finds_the_distribution_of_a_mixture():
    data = load(DataConfig(source="three-gaussians", examples=6000))
    model = Fit(data, 0).mixture()
    assert len(model.means) == 3
    x = torch.from_numpy(data.test.x)
    gap = torch.as_tensor(data.density.log_prob(x)).double() - model.log_prob(x)
    assert abs(gap.mean()) < 0.02  # nats
    assert Fit(data, 0).gaussian().log_prob(x).mean() < model.log_prob(x).mean() - 0.3


def test_mixture_of_many_dimensions_is_its_definition(digits, of_digits):
    model, x = of_digits["gaussian-mixture"], torch.from_numpy(digits.test.x)
    noisy = (x.double() + noise_of(x.shape)).flatten(1)
    terms = [
        log_weight + MultivariateNormal(mean, scale_tril=model._factor(k)).log_prob(noisy)
        for k, (log_weight, mean) in enumerate(zip(model.log_weights, model.means, strict=True))
    ]
    assert len(terms) > 3
    assert log_prob(model, x).numpy() == pytest.approx(torch.stack(terms).logsumexp(dim=0).numpy(), rel=1e-9)
    assert model.log_weights.exp().sum().item() == pytest.approx(1.0)
    smallest = min(torch.linalg.eigvalsh(model._factor(k) @ model._factor(k).T)[0].item() for k in range(len(terms)))
    assert smallest >= 1 / 12 - 1e-9  # the noise of dequantization is in every component


def test_mixture_keeps_the_variance_of_the_data(digits, of_digits):
    model = of_digits["gaussian-mixture"]
    weights, apart = model.log_weights.exp(), model.means - model.log_weights.exp() @ model.means
    own = sum(w * model._factor(k).square().sum() for k, w in enumerate(weights))
    total = own + weights @ apart.square().sum(dim=1)
    train = digits.train.x.reshape(len(digits.train.x), -1).astype(np.float64)
    assert total.item() == pytest.approx(train.var(axis=0).sum() + 64 / 12, rel=3e-3)


def test_mixture_is_likelier_than_the_gaussian(digits, of_digits):
    x = torch.from_numpy(digits.test.x)
    apart = log_prob(of_digits["gaussian-mixture"], x).mean() - log_prob(of_digits["gaussian"], x).mean()
    assert apart > 15  # nats an image: 0.34 bits/dim


def test_a_mixture_of_gaussian_data_is_the_gaussian():
    # of 200 examples in 40 dimensions a component more only memorizes them
    data = vectors(np.random.default_rng(0).normal(size=(200, 40)), np.random.default_rng(1).normal(size=(100, 40)))
    fit = Fit(data, 0)
    assert len(fit.mixture().means) == 1
    assert list(baselines(data)) == ["real", "gaussian"]  # once


def test_mixtures_without_validation_examples():
    data = vectors(cloud(n=10), kept_values=np.zeros((0, 3)))
    assert len(Fit(data, 0).mixture().means) == 1
    data = vectors(np.concatenate([cloud(n=200), cloud(n=200) + 1000]), kept_values=np.zeros((0, 3)))
    assert len(Fit(data, 0).mixture().means) > 1


# samples


@pytest.mark.parametrize("kind", ["gaussian", "mixture"])
def test_samples_have_the_distributions_moments(kind):
    x = np.concatenate([cloud(), cloud(seed=1) @ np.diag([1.0, -1.0, 0.5]) + [60.0, 0.0, 0.0]])
    fit = Fit(vectors(x), 0)
    model = getattr(fit, kind)()
    drawn = model.sample(40_000, torch.Generator().manual_seed(0))
    assert (drawn.shape, drawn.dtype) == ((40_000, 3), torch.float64)
    drawn, weights = drawn.double().numpy(), model.log_weights.exp().numpy()
    means, own = (
        (model.center + model.means).numpy(),
        [(model._factor(k) @ model._factor(k).T).numpy() for k in range(len(weights))],
    )
    mean = weights @ means
    covariance = sum(w * (c + np.outer(m - mean, m - mean)) for w, c, m in zip(weights, own, means, strict=True))
    scale = np.sqrt(np.diag(covariance))
    assert (drawn.mean(axis=0) - mean) / scale == pytest.approx(np.zeros(3), abs=0.02)
    assert np.cov(drawn.T) / np.outer(scale, scale) == pytest.approx(covariance / np.outer(scale, scale), abs=0.03)


def test_images_are_rounded_down():
    # x + u has the density, so a sample's level is what is below it: a distribution around 3.5 gives threes
    narrow = Gaussians(np.ones(1), np.full((1, 4), 3.5), 0.1 * np.eye(4)[None], shape=(1, 2, 2), levels=17)
    drawn = narrow.sample(1000)
    assert (drawn.shape, drawn.dtype) == ((1000, 1, 2, 2), torch.uint8)
    assert (drawn == 3).all()
    wide = Gaussians(np.ones(1), np.full((1, 4), 8.5), 20 * np.eye(4)[None], shape=(1, 2, 2), levels=17)
    assert {wide.sample(1000).min().item(), wide.sample(1000).max().item()} == {0, 16}


def test_samples_are_a_function_of_the_generator(of_digits):
    state = torch.random.get_rng_state()
    for name in ("gaussian", "gaussian-mixture"):
        a, b, c = (of_digits[name].sample(20, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
        assert (a == b).all()
        assert (a != c).any()
    assert (torch.random.get_rng_state() == state).all()


# many dimensions


@pytest.mark.parametrize("levels", [None, 9])
def test_leading_directions(levels, monkeypatch):
    monkeypatch.setattr(fitting, "MANY", 10)
    monkeypatch.setattr(fitting, "RANK", 3)
    random = np.random.default_rng(0)
    x = random.normal(size=(500, 3)) @ random.normal(size=(3, 12)) + random.normal(size=(500, 12)) + 4
    data = vectors(x) if levels is None else images(np.clip(x, 0, 8).astype(np.uint8).reshape(-1, 1, 3, 4), 9)
    fit = Fit(data, 0)
    model = fit.gaussian()
    u, inside = model.basis, model._factor(0) @ model._factor(0).T
    across = torch.eye(12, dtype=torch.float64) - u @ u.T
    full = MultivariateNormal(model.center + u @ model.means[0], u @ inside @ u.T + model.rest * across)
    points = torch.from_numpy(data.test.x)
    noisy = points.double() if levels is None else points.double() + noise_of(points.shape)
    assert log_prob(model, points).numpy() == pytest.approx(full.log_prob(noisy.flatten(1)).numpy(), rel=1e-8)
    # the trace is kept: what the leading directions do not hold is spread over all others
    flat = data.train.x.reshape(500, -1).astype(np.float64)
    trace = flat.var(axis=0).sum() + (0 if levels is None else 12 / 12)
    assert full.covariance_matrix.trace().item() == pytest.approx(trace, rel=0.01)
    if levels is None:
        drawn = model.sample(50_000, torch.Generator().manual_seed(0)).double()
        assert (torch.cov(drawn.T) - full.covariance_matrix).abs().max() < 0.05 * trace / 12
    assert torch.isfinite(fit.mixture().log_prob(points)).all()


def test_leading_directions_of_discrete_columns():
    random = np.random.default_rng(0)
    basis, steps = np.linalg.qr(random.normal(size=(5, 2)))[0], torch.tensor([0.5, 0.0, 0.25, 2.0, 0.0])
    discrete = tuple(Discrete(step, (0.0, step)) if step else None for step in steps.tolist())
    shared = {"shape": (5,), "discrete": discrete, "basis": basis, "center": np.arange(5.0), "rest": 0.7}
    model = Gaussians(np.ones(1), np.array([[1.0, -1.0]]), np.diag([2.0, 0.5])[None], **shared)
    u = torch.from_numpy(basis)
    inside, across = torch.diag(torch.tensor([4.0, 0.25]).double()), torch.eye(5).double() - u @ u.T
    full = MultivariateNormal(model.center + u @ model.means[0], u @ inside @ u.T + 0.7 * across)
    x = torch.from_numpy(random.normal(size=(20, 5)))
    expected = full.log_prob(x + noise_of(x.shape) * steps) + math.log(0.5 * 0.25 * 2.0)
    assert log_prob(model, x).numpy() == pytest.approx(expected.numpy(), rel=1e-9)


# real


def test_real_gives_each_held_out_example_once(digits):
    real = Real(digits.validation.x, seed=0)
    drawn = torch.cat([real.sample(n, torch.Generator()) for n in (100, 50, 30)])
    assert drawn.shape == (180, 1, 8, 8)
    assert drawn.dtype == torch.uint8
    keys = sorted(x.tobytes() for x in drawn.numpy())
    assert keys == sorted(x.tobytes() for x in digits.validation.x)
    assert not {x.tobytes() for x in digits.test.x} & set(keys)
    assert (drawn.numpy() != digits.validation.x).any()  # in another order
    again = Real(digits.validation.x, seed=0)
    assert (again.sample(180) == drawn).all()
    assert (again.sample(5) == drawn[:5]).all()  # and from the first again
    assert (Real(digits.validation.x, seed=1).sample(180) != drawn).any()


def test_real_has_no_more_than_there_are(digits):
    words = "real: got 181 samples asked for, wanted at most the 180 validation examples"
    with pytest.raises(ValueError, match=words):
        Real(digits.validation.x).sample(181)
    with pytest.raises(ValueError, match="at most the 0 validation examples"):
        Real(digits.validation.x[:0]).sample(1)


def test_real_has_no_abilities_but_samples(of_digits):
    abilities = {"logits", "log_prob", "elbo", "encode", "decode", "score", "prior", "posterior", "observation"}
    assert not {name for name in abilities if hasattr(of_digits["real"], name)}


def test_real_samples_are_not_separated_from_held_out_examples(digits, of_digits):
    findings = {name: evaluate(model, digits)["MMD²"] for name, model in of_digits.items()}
    assert findings["real"].method["p-value"] > 0.01
    assert findings["gaussian"].method["p-value"] == 0.005
    assert abs(findings["real"].value) < findings["gaussian-mixture"].value < findings["gaussian"].value


# all


def test_baselines_are_a_function_of_the_seed(digits, of_digits):
    again = baselines(digits, seed=0)
    assert list(again) == ["real", "uniform", "gaussian", "gaussian-mixture"]
    for name in ("gaussian", "gaussian-mixture"):
        for a, b in zip(again[name].parameters(), of_digits[name].parameters(), strict=True):
            assert (a == b).all()


def test_baselines_move_to_a_device_with_all_tensors(of_digits):
    moved = copy.deepcopy(of_digits["gaussian-mixture"]).to("meta")
    assert moved.log_prob(torch.zeros(3, 1, 8, 8, device="meta", dtype=torch.uint8)).device.type == "meta"


def test_text_has_the_real_baseline_only(tmp_path):
    (tmp_path / "in.txt").write_text("to be or not to be " * 400)
    assert list(baselines(load(DataConfig(source=str(tmp_path / "in.txt"))))) == ["real"]


def test_the_global_random_state_is_unchanged(digits):
    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    baselines(replace(digits, validation=Split(digits.validation.x[:60])), seed=3)
    assert (torch.random.get_rng_state() == torch_state).all()
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002


def test_dequantized_bound_is_below_the_probability_of_the_level():
    # one pixel: E log p(x + u) ≤ log ∫ p(x + u) du, which a normal distribution tells
    model = Gaussians(np.ones(1), np.array([[2.2]]), np.array([[[1.5]]]), shape=(1, 1, 1), levels=5)
    for level in range(5):
        x = torch.full((20_000, 1, 1, 1), level, dtype=torch.uint8)
        exact = math.log(stats.norm.cdf(level + 1, 2.2, 1.5) - stats.norm.cdf(level, 2.2, 1.5))
        assert exact - 0.08 < log_prob(model, x).mean().item() < exact
