"""The Parzen window against scikit-learn, its width, and the demonstration that it mis-ranks models."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn.cluster import KMeans
from sklearn.neighbors import KernelDensity

from thalweg.data import Dataset, Spec, Split
from thalweg.evaluation.groups import reference_of
from thalweg.evaluation.measures.parzen import MEANINGS, parzen_log_density, parzen_measures


class Replay:
    """A model that gives the examples it was given, over and over."""

    def __init__(self, x):
        self.x = torch.as_tensor(x)

    def sample(self, n, generator=None):
        rows = torch.arange(n) % len(self.x)
        return self.x[rows]


def splits(spec, x, thirds=3):
    parts = [Split(part) for part in np.array_split(x, thirds)]
    return Dataset(spec, parts[0], parts[1], parts[2])


@pytest.mark.parametrize("sigma", [0.05, 0.4, 1.0, 3.0])
def test_the_density_is_its_definition_and_that_of_scikit_learn(sigma):
    rng = np.random.default_rng(0)
    samples, x = rng.normal(100, 2, (1500, 5)), rng.normal(100, 2, (700, 5))
    findings = parzen_log_density(torch.from_numpy(x), torch.from_numpy(samples), sigma)
    kernels = -0.5 * cdist(x, samples, "sqeuclidean") / sigma**2
    wanted = logsumexp(kernels, axis=1) - math.log(1500) - 5 * math.log(sigma * math.sqrt(2 * math.pi))
    np.testing.assert_allclose(findings, wanted, rtol=1e-6, atol=1e-6)
    if sigma >= 1:  # where a point is many widths from every sample, scikit-learn's trees underflow
        known = KernelDensity(bandwidth=sigma).fit(samples).score_samples(x)
        np.testing.assert_allclose(findings, known, rtol=1e-6, atol=1e-6)


def test_images_are_pixels_in_the_unit_interval():
    rng = np.random.default_rng(1)
    x = rng.integers(0, 17, (90, 1, 2, 3)).astype(np.uint8)
    spec = Spec(name="noise", kind="image", shape=(1, 2, 3), levels=17)
    dataset = splits(spec, x)
    samples = rng.integers(0, 17, (200, 1, 2, 3)).astype(np.uint8)
    findings = parzen_measures(Replay(samples), reference_of(dataset, samples=200))["Parzen window"]
    sigma = findings.method["σ"]
    kernel = KernelDensity(bandwidth=sigma).fit(samples.reshape(200, 6) / 16)
    assert findings.value == pytest.approx(kernel.score_samples(dataset.test.x.reshape(-1, 6) / 16).mean(), abs=1e-6)
    assert "pixels in [0, 1]" in findings.protocol["quantity"]
    assert (findings.kind, findings.protocol["samples"], findings.n) == ("estimate", 200, 30)
    # the width is the best on the validation examples, to 1 %
    fitted = {
        s: KernelDensity(bandwidth=s).fit(samples.reshape(200, 6) / 16)
        .score_samples(dataset.validation.x.reshape(-1, 6) / 16).mean()
        for s in (0.95 * sigma, sigma, 1.05 * sigma)
    }  # fmt: skip
    assert fitted[sigma] == max(fitted.values())


def test_vectors_have_the_density_of_raw_values_whatever_their_units():
    rng = np.random.default_rng(2)
    stretch = np.array([100.0, 0.05])
    x, samples = rng.normal(size=(90, 2)), rng.normal(size=(300, 2))
    plain = Spec(name="plain", kind="vector", shape=(2,), mean=(0.0, 0.0), std=(1.0, 1.0))
    wide = Spec(name="wide", kind="vector", shape=(2,), mean=(0.0, 0.0), std=tuple(stretch))
    one = parzen_measures(Replay(samples), reference_of(splits(plain, x)))["Parzen window"]
    two = parzen_measures(Replay(samples * stretch), reference_of(splits(wide, x * stretch)))["Parzen window"]
    assert two.value == pytest.approx(one.value - math.log(100 * 0.05), abs=1e-6)
    assert one.protocol["samples"] == 10_000
    # near the density itself, which the kernels blur: the entropy of N(0, I₂) is 1 + log 2π
    assert one.value == pytest.approx(-1 - math.log(2 * math.pi), abs=0.5)


def test_it_ranks_k_means_centers_above_the_truth():
    """Theis et al., 2016: centers of the training data get a higher value than samples of the true distribution."""
    rng = np.random.default_rng(3)
    distribution = rng.normal(size=(10, 30)) * 2

    def draw(n):
        return (distribution[rng.integers(0, 10, n)] + rng.normal(size=(n, 30))).astype(np.float32)

    spec = Spec(name="blobs", kind="vector", shape=(30,))
    dataset = Dataset(spec, Split(draw(2000)), Split(draw(200)), Split(draw(500)))
    centers = KMeans(100, n_init=1, random_state=0).fit(dataset.train.x).cluster_centers_
    reference = reference_of(dataset, samples=100)
    truth, fake = (parzen_measures(Replay(x), reference)["Parzen window"] for x in (draw(100), centers))
    assert fake.beats(truth)
    assert fake.value > truth.value + 1
    assert "ranks models wrongly" in MEANINGS["Parzen window"]


def test_data_and_models_without_this_density_are_refused():
    x = np.zeros((9, 4), dtype=np.float32)
    spec = Spec(name="zero", kind="vector", shape=(4,))
    dataset = splits(spec, x)
    with pytest.raises(ValueError, match="all the same"):
        parzen_measures(Replay(x), reference_of(dataset))
    without = Dataset(spec, dataset.train, Split(x[:0]), dataset.test)
    with pytest.raises(ValueError, match="validation: got no examples"):
        parzen_measures(Replay(x), reference_of(without))
