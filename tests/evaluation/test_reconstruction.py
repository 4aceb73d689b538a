"""Structural similarity against its definition, which models have reconstructions, and what is drawn of them."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate
from torch.distributions import Independent, Normal

from thalweg.config import DataConfig, RunConfig
from thalweg.data import Dataset, Spec, Split, load
from thalweg.evaluation.examples import Examples, frozen
from thalweg.evaluation.groups import reference_of
from thalweg.evaluation.measures.reconstruction import MEANINGS, between, reconstruction_measures, similarity
from thalweg.recipes.runs import build


def smooth(n, size, seed=0, channels=1):
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (n, channels, -(-size // 4), -(-size // 4)))
    return np.kron(coarse, np.ones((1, 1, 4, 4)))[..., :size, :size].astype(np.uint8)


def ssim(x, y, side, peak):
    """Wang et al., 2004: a Gaussian window, only where it lies within the image, one image and channel at a time."""
    offsets, sigma = np.arange(side) - side // 2, 1.5 * side / 11
    window = np.exp(-0.5 * (offsets / sigma) ** 2)
    window = np.outer(window, window) / window.sum() ** 2
    inside = (slice(side // 2, -(side // 2)),) * 2
    values = []
    for a, b in zip(x.reshape(-1, *x.shape[2:]), y.reshape(-1, *y.shape[2:]), strict=True):
        mean_a, mean_b, aa, bb, ab = (correlate(v, window)[inside] for v in (a, b, a * a, b * b, a * b))
        c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
        var_a, var_b, cov = aa - mean_a**2, bb - mean_b**2, ab - mean_a * mean_b
        top = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
        values.append((top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())
    return np.array(values).reshape(len(x), -1).mean(axis=1)


@pytest.mark.parametrize(("size", "side", "channels"), [(16, 11, 1), (12, 11, 3), (8, 7, 1), (6, 5, 1), (3, 3, 1)])
def test_similarity_is_its_definition(size, side, channels):
    x = smooth(5, size, channels=channels)
    noise = np.random.default_rng(1).normal(0, 20, x.shape)
    findings = similarity(lambda x: x + torch.from_numpy(noise), Examples(x), peak=255)
    wanted = ssim(x.astype(np.float64), x + noise, side, 255)
    np.testing.assert_allclose(findings.parts, wanted, rtol=1e-6)
    assert findings.value == pytest.approx(wanted.mean(), rel=1e-6)
    assert findings.protocol["window"].startswith(f"{side}×{side} Gaussian")
    assert similarity(lambda x: x, Examples(x), peak=255).value == pytest.approx(1.0)


class Coder:
    """Codes are the pixels, rebuilt with an error."""

    def __init__(self, error=0.0):
        self.error = error

    def encode(self, x):
        return x.float().flatten(1)

    def decode(self, z):
        return z.unflatten(1, (1, 8, 8)) + self.error


class Flow(Coder):
    def log_prob(self, x):
        return torch.zeros(len(x))


def images(n=20, size=8):
    part = Split(smooth(n, size))
    return Dataset(Spec(name="smooth", kind="image", shape=(1, size, size), levels=256), part, part, part)


def test_an_invertible_model_has_no_error_and_no_reconstructions():
    exact = reconstruction_measures(Flow(1e-3), reference_of(images()))  # what float32 leaves
    assert not exact.estimates
    assert [f.section for f in exact.figures] == ["interpolations"]
    broken = reconstruction_measures(Flow(2.0), reference_of(images()))  # its inverse is none
    assert broken["squared error"].value == pytest.approx(4.0)
    exact = reconstruction_measures(Coder(), reference_of(images()))  # without log_prob it is no flow
    assert exact["squared error"].value == 0.0
    assert exact["PSNR"].value == math.inf
    assert exact.figure("reconstructions").layout == "pairs"


def test_measures_and_pictures_of_an_autoencoder():
    dataset = images()
    findings = reconstruction_measures(Coder(3.4), reference_of(dataset, batch_size=7))
    assert {e.name for e in findings.estimates} == set(MEANINGS)
    assert findings["squared error"].value == pytest.approx(3.4**2, rel=1e-5)
    assert findings["PSNR"].value == pytest.approx(20 * math.log10(255 / 3.4), rel=1e-5)
    pairs = findings.figure("reconstructions").values
    assert pairs.shape == (8, 2, 1, 8, 8)
    assert pairs.dtype == np.uint8
    wanted = np.clip(pairs[:, 0].astype(int) + 3, 0, 255)  # 3.4 rounded, and within the levels
    np.testing.assert_array_equal(pairs[:, 1], wanted)
    assert all(any(np.array_equal(one, x) for x in dataset.test.x) for one in pairs[:, 0])
    again = reconstruction_measures(Coder(3.4), reference_of(dataset, batch_size=7))
    np.testing.assert_array_equal(again.figure("reconstructions").values, pairs)


def test_interpolations_begin_and_end_at_examples():
    dataset = images()
    findings = reconstruction_measures(Coder(), reference_of(dataset)).figure("interpolations").values
    assert findings.shape == (4, 8, 1, 8, 8)
    ends = findings[:, [0, -1]].reshape(8, 1, 8, 8)
    assert all(any(np.array_equal(one, x) for x in dataset.test.x) for one in ends)
    assert len({one.tobytes() for one in ends}) == 8
    # without a distribution of the codes along straight lines
    np.testing.assert_allclose(findings[:, 3], findings[:, 0] * (4 / 7) + findings[:, -1] * (3 / 7), atol=0.5001)


def test_a_decoder_without_encoder_goes_between_draws_of_its_prior():
    class Generator:
        prior = Independent(Normal(torch.zeros(64), torch.ones(64)), 1)

        def decode(self, z):
            return z.norm(dim=1)[:, None, None, None].expand(len(z), 1, 8, 8) * 10

    findings = reconstruction_measures(Generator(), reference_of(images()))
    assert not findings.estimates
    rows = findings.figure("interpolations").values[:, :, 0, 0, 0] / 10.0
    assert rows.shape == (4, 8)
    assert rows.min() > 6  # a straight line would pass at 8/√2, where no draw is


def test_great_circles():
    a, b = torch.tensor([[2.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, 2.0], [3.0, 0.0], [-1.0, 0.0]])
    path = between(a, b, 5, spherical=True)
    angles = torch.linspace(0, math.pi / 2, 5)
    torch.testing.assert_close(path[0], 2 * torch.stack([angles.cos(), angles.sin()], dim=1))
    torch.testing.assert_close(path[1:], between(a, b, 5, spherical=False)[1:])  # on one line through 0


def test_a_vae_on_digits():
    dataset = load(DataConfig(source="digits"))
    model = build(RunConfig(recipe="vae", data=DataConfig(source="digits")), dataset.spec).model
    with frozen(model):
        findings = reconstruction_measures(model, reference_of(dataset))
    assert [e.name for e in findings.estimates] == ["squared error", "PSNR", "SSIM"]
    assert findings.figure("reconstructions").values.max() <= 16
    assert -0.2 < findings["SSIM"].value < 0.5  # untrained: the mean of the data
    assert findings["SSIM"].protocol["window"] == "7×7 Gaussian, σ = 0.955"


def test_missing_measures_have_a_reason_of_one_line():
    findings = reconstruction_measures(Coder(), reference_of(images(1)))
    assert [(m.name, m.reason) for m in findings.missing] == [
        ("interpolations", "codes: got 1 of torch.float32, wanted at least two of real numbers")
    ]
    with pytest.raises(ValueError, match="wanted at least 3×3 for a window"):
        similarity(lambda x: x, Examples(np.zeros((2, 1, 2, 9))), peak=1)
    with pytest.raises(ValueError, match="decode: got shape"):
        similarity(lambda x: x[:, :, 1:], Examples(np.zeros((2, 1, 9, 9))), peak=1)
