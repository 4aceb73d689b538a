"""Filters, activations, the patches of a channel, nearest neighbors."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import nn

from probed_networks import Net, images
from thalweg.interpretability import Probe
from thalweg.interpretability.filters import dictionary
from thalweg.interpretability.neighbors import features, nearest

pytestmark = pytest.mark.system("S105")


def test_filters_are_the_weights():
    """All of a layer, or one of it; pictures of first and deeper layers."""
    net = Net(nn.ReLU(), channels=3).eval()
    probe = Probe(net)
    assert torch.equal(probe.filters("conv1").values, net.conv1.weight.detach())
    assert torch.equal(probe.filters("conv2:3").values[0], net.conv2.weight.detach()[3])
    assert probe.filters("conv1").tiles.shape == (2, 3, 3, 3, 3)
    assert probe.filters("conv2").tiles.shape == (8, 6, 1, 3, 3)
    assert probe.filters("conv2").image().size[0] > 100
    with pytest.raises(ValueError, match="got 'fc1', a Linear, wanted a convolution of images"):
        probe.filters("fc1")


def test_activations_are_those_of_the_forward_pass():
    """In chunks as at once."""
    net, x = Net(nn.ReLU()).eval(), images(5)
    probe = Probe(net)
    expected = net.conv2(net.pool(torch.relu(net.conv1(x)))).detach()
    probe._chunk = 2
    torch.testing.assert_close(probe.activations(x, "conv2").values, expected)
    torch.testing.assert_close(probe.activations(x, "conv2:1").values, expected[:, 1])
    torch.testing.assert_close(probe.activations(x, "conv2:1@0,3").values, expected[:, 1, 0, 3])
    assert probe.activations(x, "fc1").values.shape == (5, 10)
    for layer in ("conv2", "conv2:1", "fc1", "fc1:3", "conv2:1@0,3"):
        assert probe.activations(x, layer)._repr_png_()


def test_the_layer_before_an_in_place_rectifier_keeps_its_values():
    """Negative activations are shown."""
    net = Net(nn.ReLU(inplace=True)).eval()
    assert Probe(net).activations(images(2), "conv1").values.min() < 0


def test_top_patches_are_where_the_channel_is_largest():
    """A filter that looks for a cross finds it in each image, at its place."""
    cross = torch.tensor([[0, 1, 0], [1, 1, 1], [0, 1, 0.0]])
    net = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    with torch.no_grad():
        net[0].weight.copy_((cross - cross.mean())[None, None])
        net[0].bias.zero_()
    x, places = torch.zeros(6, 1, 12, 12), [(1, 1), (4, 7), (10, 10), (5, 5), (0, 11), (8, 2)]
    for i, (row, column) in enumerate(places):
        for a in range(3):
            for b in range(3):
                if 0 <= row + a - 1 < 12 and 0 <= column + b - 1 < 12:
                    x[i, 0, row + a - 1, column + b - 1] = cross[a, b] * (i + 1) / 6
    found = Probe(net).top_patches(x, "0:0", k=4)
    assert found.extra["index"].tolist() == [5, 3, 2, 4]
    assert found.extra["position"].tolist() == [list(places[i]) for i in (5, 3, 2, 4)]
    for patch, i in zip(found.values, (5, 3, 2), strict=False):
        torch.testing.assert_close(patch[0], cross * (i + 1) / 6)
    corner = Probe(net).top_patches(x[4:5], "0:0")
    assert corner.values.shape == (1, 1, 3, 3)
    assert (corner.values[0, 0, 0] == 0.5).all()  # above the image


def test_top_patches_of_a_linear_layer_are_whole_images():
    """Its receptive field is the image."""
    found = Probe(Net(nn.ReLU()).eval()).top_patches(images(5), "fc1:2", k=3)
    assert found.values.shape == (3, 1, 12, 12)
    assert torch.equal(found.values, images(5)[found.extra["index"]])
    with pytest.raises(ValueError, match="wanted one of its channels, 'fc1:CHANNEL'"):
        Probe(Net(nn.ReLU()).eval()).top_patches(images(5), "fc1")


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_nearest_are_those_of_scikit_learn(offset):
    """Also far from 0, where the expanded square loses its digits."""
    draw = np.random.default_rng(0)
    known, x = (torch.from_numpy(offset + draw.normal(size=(n, 5))).float() for n in (300, 20))
    index, distance = nearest(x, known, 4)
    expected = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(known.double()).kneighbors(x.double())
    assert np.allclose(distance, expected[0], rtol=1e-3, atol=1e-4)
    assert (index.numpy() == expected[1]).mean() > 0.97


def test_neighbors_by_features_and_by_pixels():
    """An image is its own nearest neighbor; features may disagree with pixels."""
    probe, x = Probe(Net(nn.ReLU()).eval()), images(30)
    found = probe.neighbors(x[:3], x, "fc1", k=4)
    assert found.values[:, 0].tolist() == [0, 1, 2]
    assert found.extra["pixels"][:, 0].tolist() == [0, 1, 2]
    z = features(probe, x, "fc1")
    torch.testing.assert_close(found.extra["distance"][0], (z[found.values[0]] - z[0]).norm(dim=1))
    assert found.tiles.shape == (6, 5, 1, 12, 12)


def test_the_dictionary_has_unit_atoms_and_finds_what_patches_are_made_of():
    """Patches of vertical stripes give vertical atoms."""
    stripes = (torch.arange(16) % 4 < 2).float().expand(20, 1, 16, 16)
    atoms = dictionary(stripes, size=4, atoms=4, patches=300)
    assert atoms.shape == (4, 1, 4, 4)
    used = atoms[(atoms[:, 0].std((1, 2)) > 0.05)]
    assert len(used)
    assert used.diff(dim=2).abs().max() < 0.1 * used.diff(dim=3).abs().max()
    with pytest.raises(ValueError, match="images: got shape"):
        dictionary(stripes, size=17)
