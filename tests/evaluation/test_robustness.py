"""Corruptions of images against slicing, scipy and the noise's moments; known classifiers under them."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from thalweg.data import Dataset, Spec, Split, class_target
from thalweg.evaluation import reference_of
from thalweg.evaluation.measures import robustness
from thalweg.evaluation.measures.robustness import CORRUPTIONS, blurred, corrupted, robustness_measures, shifted
from thalweg.randomness import generator

SHAPES = [(1, 5, 9), (3, 8, 6)]  # not square, so that swapped axes are noticed
NOISE, SHIFT, BLUR = CORRUPTIONS


def random():
    return generator(0, "test")


def reference(x, y, kind="image", levels=256, classes=("a", "b"), **settings):
    spec = Spec(name="x", kind=kind, shape=x.shape[1:], levels=levels, target=class_target(classes))
    part = Split(x, y)
    return reference_of(Dataset(spec, part, part, part), **settings)


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda c: c.name)
@pytest.mark.parametrize("shape", SHAPES)
def test_severity_0_changes_nothing_and_others_keep_type_and_levels(corruption, shape):
    x = torch.randint(0, 17, (20, *shape), generator=random(), dtype=torch.uint8)
    assert corrupted(x, corruption, 0, 17, random()) is x
    for severity in corruption.severities:
        result = corrupted(x, corruption, severity, 17, random())
        assert (result.shape, result.dtype) == (x.shape, x.dtype)
        assert result.max() <= 16
        assert (result != x).any()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pixels", [1, 2, 5, 10])
def test_shift_is_slicing(shape, pixels):
    x = torch.arange(1, 1 + 4 * int(np.prod(shape))).reshape(4, *shape)
    result = shifted(x, pixels, torch.arange(4))
    wanted = torch.zeros_like(x)
    wanted[0, :, :-pixels] = x[0, :, pixels:]
    wanted[1, :, pixels:] = x[1, :, :-pixels]
    wanted[2, :, :, :-pixels] = x[2, :, :, pixels:]
    wanted[3, :, :, pixels:] = x[3, :, :, :-pixels]
    assert torch.equal(result, wanted)
    assert result.any() == (pixels < max(shape[1:]))


def test_all_directions_of_a_shift_are_drawn_equally_often():
    x = torch.zeros(4000, 1, 3, 3)
    x[:, :, 1, 1] = 1
    counts = corrupted(x, SHIFT, 1, 2, random()).sum(0)[0]
    assert counts.sum() == 4000
    assert all(900 < counts[place] < 1100 for place in [(0, 1), (2, 1), (1, 0), (1, 2)])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sigma", BLUR.severities)
def test_blur_is_scipys(shape, sigma):
    x = torch.rand(2, *shape, generator=random(), dtype=torch.float64)
    wanted = gaussian_filter(x.numpy(), (0, 0, sigma, sigma), mode="nearest", truncate=4.0)
    np.testing.assert_allclose(blurred(x, sigma), wanted, rtol=1e-12)
    flat = torch.full((1, *shape), 13, dtype=torch.uint8)
    assert torch.equal(corrupted(flat, BLUR, sigma, 17, random()), flat)


@pytest.mark.parametrize("std", [0.05, 0.1])
@pytest.mark.parametrize("levels", [17, 256, 1001])
def test_noise_has_the_standard_deviation(std, levels):
    x = torch.full((40, 3, 20, 30), levels // 2, dtype=torch.int32)
    result = corrupted(x, NOISE, std, levels, random()).double() - levels // 2
    n, wanted = result.numel(), std * (levels - 1)
    assert result.std() == pytest.approx(np.hypot(wanted, np.sqrt(1 / 12)), rel=5 / np.sqrt(2 * n))
    assert abs(result.mean()) < 5 * wanted / np.sqrt(n)
    assert torch.corrcoef(result.flatten(1))[0, 1:].abs().max() < 0.15  # images have noise of their own


def test_noise_is_clipped():
    x = torch.zeros(2, 1, 9, 9, dtype=torch.uint8)
    assert (corrupted(x, NOISE, 0.3, 256, random()) == 0).float().mean() == pytest.approx(0.5, abs=0.15)


class Constant:
    def logits(self, x):
        return torch.tensor([[1.0, 0.0]]).expand(len(x), -1)


def test_a_constant_classifier_has_the_same_accuracy_under_all():
    x = np.random.default_rng(0).integers(0, 256, (30, 1, 6, 5)).astype(np.uint8)
    findings = robustness_measures(Constant(), reference(x, np.arange(30) % 3 // 2))
    assert [e.name for e in findings] == list(robustness.MEANINGS)
    for estimate, curve in zip(findings, findings.figures, strict=True):
        assert estimate.value == pytest.approx(200 / 3)
        assert estimate.low < estimate.value < estimate.high
        assert curve.y == pytest.approx([200 / 3] * 6)
    always = robustness_measures(Constant(), reference(x, np.zeros(30, dtype=np.int64)))["accuracy under blur"]
    assert always.low < always.value == always.high == 100  # Student's interval would be empty
    assert always.method["interval"] == "Wilson"


class Center:
    """Class 1 where the pixel in row 2, column 3 is bright."""

    def logits(self, x):
        return torch.stack([torch.full((len(x),), 100.0), x[:, 0, 2, 3].float()], 1)


def test_the_curve_is_the_accuracy_over_the_severity():
    """Shifts of 2 to the sides move a column of width 3 away; of 3, the border reaches the center from above, too."""
    x = np.zeros((800, 1, 5, 7), dtype=np.uint8)
    x[:, :, :, 2:5] = 200
    known = reference(x, np.ones(800, dtype=np.int64), batch_size=100, split="validation")
    findings = robustness_measures(Center(), known)
    curve, estimate = findings.figures[1], findings["accuracy under shift"]
    assert (curve.panel, curve.x) == ("accuracy under shift", [0, 1, 2, 3, 4, 5])
    assert curve.y[:2] == [100, 100]
    assert curve.y[2] == pytest.approx(50, abs=8)
    assert curve.y[3:] == [0, 0, 0]
    assert all(low <= y <= high for low, y, high in zip(curve.low, curve.y, curve.high, strict=True))
    assert estimate.value == pytest.approx(np.mean(curve.y[1:]))
    assert (estimate.varies, estimate.n, len(estimate.parts)) == ("validation examples", 800, 800)
    assert estimate.protocol["severities"] == [1, 2, 3, 4, 5]


def test_large_splits_are_reduced_by_the_seed(monkeypatch):
    monkeypatch.setattr(robustness, "MAX_EXAMPLES", 50)
    x = np.random.default_rng(0).integers(0, 256, (120, 1, 5, 7)).astype(np.uint8)
    known = [reference(x, np.arange(120) % 2, seed=seed) for seed in (0, 0, 1)]
    first, again, other = (robustness_measures(Center(), one) for one in known)
    protocol = first["accuracy under noise"].protocol
    assert (protocol["examples"], protocol["of"], protocol["chosen by seed"]) == (50, 120, 0)
    assert [f.y for f in first.figures] == [f.y for f in again.figures] != [f.y for f in other.figures]


@pytest.mark.parametrize("change", [{"kind": "vector"}, {"levels": None}])
def test_other_data_have_none(change):
    x = np.zeros((9, 1, 5, 7), dtype=np.uint8)
    assert robustness_measures(Constant(), reference(x, np.arange(9) % 2, **change)).estimates == []
