"""The cut is the minimum over all masks, and finds objects where a threshold of the saliency does not."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from probed_networks import images
from thalweg.interpretability import Probe
from thalweg.interpretability.segmentation import SMOOTHNESS, _neighbors, graph_cut, minimum_cut
from thalweg.randomness import generator

pytestmark = pytest.mark.system("S107")
SIDE = 64


def overlap(a, b):
    """Return the intersection over the union."""
    return float((a & b).sum() / (a | b).sum())


def best_threshold(saliency, inside):
    """Return the largest overlap of the object with the pixels above a threshold."""
    thresholds = saliency.flatten().quantile(torch.linspace(0.5, 0.99, 50))
    return max(overlap(saliency >= t, inside) for t in thresholds)


def scene(seed, noise=0.2):
    """Return a reddish ellipse on a greenish texture, (3, 64, 64), where it is, and a noisy saliency map."""
    g = generator(seed, "scene")
    row, column = torch.meshgrid(torch.arange(SIDE) * 1.0, torch.arange(SIDE) * 1.0, indexing="ij")
    middle, half = 18 + 28 * torch.rand(2, generator=g), 9 + 7 * torch.rand(2, generator=g)
    inside = ((row - middle[0]) / half[0]) ** 2 + ((column - middle[1]) / half[1]) ** 2 < 1
    texture = 0.5 + 0.25 * torch.sin(row / 2 + seed) * torch.cos(column / 3)
    texture = texture + noise * torch.randn(SIDE, SIDE, generator=g)
    background = torch.stack([0.5 * texture, texture, 0.8 * texture])
    object = torch.tensor([0.85, 0.35, 0.2]).view(3, 1, 1) + noise * torch.randn(3, SIDE, SIDE, generator=g)
    saliency = torch.randn(SIDE, SIDE, generator=g).abs() * torch.where(inside, 4.0, 1.0)
    return torch.where(inside, object, background).clamp(0, 1), inside, saliency


@pytest.mark.parametrize("seed", range(6))
def test_the_object_is_found_where_thresholds_fail(seed):
    """IoU ≥ .95; the best of all thresholds reaches about .5."""
    image, inside, saliency = scene(seed)
    mask = graph_cut(image, saliency)
    assert overlap(mask, inside) >= 0.95
    assert 0.4 < best_threshold(saliency, inside) < 0.6


def test_a_network_that_responds_to_the_color_of_the_object():
    """Its gradient is a random weight, four times as large where the object is."""
    net = nn.Sequential(nn.Conv2d(3, 1, 1), nn.LeakyReLU(0.25), nn.Flatten(), nn.Linear(SIDE**2, 2)).eval()
    net[0].weight.data = torch.tensor([1.0, -0.8, -0.2]).view(1, 3, 1, 1)
    nn.init.constant_(net[0].bias, -0.1)
    net[3].weight.data = torch.randn(2, SIDE**2, generator=generator(0, "weights"))
    scenes = [scene(seed, noise=0.1) for seed in (1, 2)]
    found = Probe(net).segment(torch.stack([image for image, _, _ in scenes]), target=0)
    for mask, map, (_, inside, _) in zip(found.values, found.extra["saliency"], scenes, strict=True):
        assert overlap(mask, inside) >= 0.95
        assert best_threshold(map, inside) < 0.6
    assert found.values.dtype == torch.bool
    assert found.image().size[0] > 0
    assert found.warnings == ()


@pytest.mark.parametrize("seed", range(4))
def test_the_cut_is_the_minimum_over_all_masks(seed):
    """Of the 2¹² masks of 3×4 pixels."""
    draw = np.random.default_rng(seed)
    ratio = draw.normal(size=(3, 4)) * 12
    i, j, cost = _neighbors(draw.random((3, 4, 3)))
    assert len(i) == 3 * 3 + 2 * 4 + 2 * 2 * 3
    masks = np.array(list(itertools.product([False, True], repeat=12)))
    energy = -(masks @ ratio.ravel()) + (masks[:, i] != masks[:, j]) @ cost
    best = masks[energy.argmin()].reshape(3, 4)
    assert 0 < best.sum() < 12
    assert np.array_equal(minimum_cut(ratio, i, j, cost), best)


def test_costs_of_neighbors():
    """5 exp(−d²/2s²)/dist for colors 0, 1, 1 in a row, where s² = 1/2; the diagonal is √2 long."""
    i, j, cost = _neighbors(np.array([[[0.0], [1.0], [1.0]]]))
    assert list(zip(i, j, strict=True)) == [(0, 1), (1, 2)]
    np.testing.assert_allclose(cost, SMOOTHNESS * np.exp([-1.0, 0.0]))
    i, j, cost = _neighbors(np.zeros((2, 2, 1)))
    assert sorted(zip(i, j, (SMOOTHNESS / cost) ** 2, strict=True))[0][:2] == (0, 1)
    assert dict(zip(zip(i, j, strict=True), (SMOOTHNESS / cost) ** 2, strict=True)) == pytest.approx(
        {(0, 1): 1, (2, 3): 1, (0, 2): 1, (1, 3): 1, (0, 3): 2, (1, 2): 2}
    )


def test_images_without_an_object():
    """Of one color, and with a saliency of zeros: an empty mask, and a warning."""
    assert not graph_cut(torch.zeros(3, 9, 9), torch.rand(9, 9)).any()
    net = nn.Sequential(nn.Flatten(), nn.Linear(144, 2)).eval()
    nn.init.zeros_(net[1].weight)
    found = Probe(net).segment(images(2))
    assert not found.values.any()
    assert found.warnings[-1] == "No pixel belongs to the object in the images 0, 1."
    with pytest.raises(ValueError, match=r"saliency: got shape \(8, 9\) for an image of shape \(3, 9, 9\)"):
        graph_cut(torch.zeros(3, 9, 9), torch.zeros(8, 9))


def test_one_salient_pixel_and_the_smallest_images():
    """A mixture is fitted to the colors even where one pixel alone is salient."""
    saliency = torch.zeros(28, 28)
    saliency[5, 5] = 1.0
    image = torch.rand(1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert graph_cut(image, saliency).shape == (28, 28)
    for height, width in ((2, 2), (1, 20), (4, 5)):
        assert graph_cut(torch.rand(3, height, width), torch.rand(height, width)).shape == (height, width)
