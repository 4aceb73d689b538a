"""A layer in the plane: groups stay together, the same seed gives the same points, and thumbnails do not overlap."""

import numpy as np
import pytest
import torch
from torch import nn

from probed_networks import Net, images
from thalweg.interpretability import Probe
from thalweg.interpretability.embed import spaced

pytestmark = pytest.mark.system("S106")


def groups(n=45):
    """Return three images with noise, and which of them each is."""
    label = torch.arange(n) % 3
    return (0.7 * images(3)[label] + 0.2 * images(n, seed=1)).clamp(0, 1), label


def test_groups_of_images_stay_together():
    """Each point's nearest is of its group; labels and trustworthiness are in the result."""
    x, label = groups()
    found = Probe(Net(nn.ReLU()).eval(), classes=("a", "b", "c", "d")).embed(x, "fc1", labels=label, perplexity=10)
    distance = torch.cdist(found.values, found.values).fill_diagonal_(torch.inf)
    assert torch.equal(label[distance.argmin(1)], label)
    assert found.values.shape == (45, 2)
    assert torch.equal(found.extra["labels"], label)
    assert 0.8 < found.extra["trustworthiness"] <= 1
    assert found.settings == {"layer": "fc1", "perplexity": 10, "components": 10, "seed": 0,
                              "trustworthiness": round(found.extra["trustworthiness"].item(), 4)}  # fmt: skip
    assert found.image().size == (800, 800)


def test_points_are_those_of_scikit_learn_and_of_the_seed():
    """Of the principal components of the activations, bit for bit."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE, trustworthiness

    net, (x, _) = Net(nn.ReLU()).eval(), groups(30)
    found = Probe(net).embed(x, "conv2", perplexity=8, seed=3)
    assert torch.equal(found.values, Probe(net).embed(x, "conv2", perplexity=8, seed=3).values)
    high = net.conv2(net.pool(torch.relu(net.conv1(x)))).flatten(1).detach().numpy()
    low = PCA(30, random_state=3).fit_transform(high)
    expected = TSNE(init="pca", perplexity=8, random_state=3).fit_transform(low)
    assert trustworthiness(high, expected, n_neighbors=5) == pytest.approx(
        found.extra["trustworthiness"].item(), abs=0.01
    )
    np.testing.assert_allclose(found.values.numpy(), expected, atol=1e-2)


def test_thumbnails_do_not_overlap():
    """Of 400 points, and every point that is left out is near one that is not."""
    places = np.random.default_rng(0).random((400, 2))
    chosen = spaced(places, 0.1, 1000)
    gaps = np.abs(places[chosen][:, None] - places[chosen]).max(-1)
    assert gaps[~np.eye(len(chosen), dtype=bool)].min() >= 0.1
    assert (np.abs(places[:, None] - places[chosen]).max(-1).min(1) < 0.1).all()
    assert spaced(places, 0.1, 7) == chosen[:7]


@pytest.mark.parametrize("channels", [1, 3])
def test_the_smallest_case(channels):
    """Ten images, in gray and in color, and a channel of the network alone."""
    probe = Probe(Net(nn.ReLU(), channels=channels).eval())
    assert probe.embed(images(10, channels), "fc1:2", perplexity=3).values.isfinite().all()


BAD = {
    "few": (lambda p: p.embed(images(9), "fc1"), "images: got 9, wanted at least 10"),
    "perplexity": (
        lambda p: p.embed(images(12), "fc1", perplexity=30),
        "perplexity: got 30 for 12 images, wanted more than 0 and less than 12",
    ),
    "labels": (
        lambda p: p.embed(images(12), "fc1", labels=[1, 2], perplexity=4),
        r"labels: got shape \(2,\) for 12 images",
    ),
    "equal": (lambda p: p.embed(images(1).expand(12, 1, 12, 12), "fc1", perplexity=4), "activations are equal for all"),
    "layer": (lambda p: p.embed(images(12), "fc7", perplexity=4), "layer: got 'fc7'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_line(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message) as error:
        call(Probe(Net(nn.ReLU()).eval()))
    assert "\n" not in str(error.value)
