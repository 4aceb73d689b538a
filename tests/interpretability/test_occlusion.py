"""Occlusion against the exact sums of a linear model, and its three maps."""

import pytest
import torch
from torch import nn

from probed_networks import Net, images
from thalweg.interpretability import Probe
from thalweg.interpretability.occlusion import windows

pytestmark = pytest.mark.system("S107")


@pytest.mark.parametrize(("shape", "size", "stride", "grid"), [
    ((12, 12), 3, 3, (4, 4)), ((12, 9), 4, 3, (4, 3)), ((5, 7), 5, 1, (1, 3)), ((4, 4), 4, 2, (1, 1)),
    ((10, 10), 3, 4, (3, 3)),
])  # fmt: skip
def test_windows_cover_the_image(shape, size, stride, grid):
    """Every mask is a square of the size, the last ends at the border."""
    masks, got = windows(shape, size, stride)
    assert got == grid
    assert masks.flatten(1).sum(1).eq(size * size).all()
    assert masks[-1, -1, -1]
    assert stride > size or masks.any(0).all()


@pytest.mark.oracle("O54")
@pytest.mark.parametrize("fill", ["zero", "gray", 0.25])
def test_a_linear_model_loses_the_sum_of_its_weights_in_the_square(fill):
    """S(x) − S(covered) = Σ w (x − fill) within the square, for every position and class."""
    linear = nn.Sequential(nn.Flatten(), nn.Linear(2 * 144, 3))
    x = images(2, channels=2)
    found = Probe(linear).occlusion(x, target=[1, 2], size=4, stride=4, fill=fill)
    value = {"zero": 0.0, "gray": 0.5}.get(fill, fill)
    weights = linear[1].weight.detach().view(3, 2, 12, 12)
    for i, k in enumerate((1, 2)):
        product = ((x[i] - value) * weights[k]).sum(0)
        sums = product.view(3, 4, 3, 4).sum((1, 3))
        expected = sums.repeat_interleave(4, 0).repeat_interleave(4, 1)
        torch.testing.assert_close(found.extra["attribution"][i], expected, atol=1e-5, rtol=1e-5)
        scores = linear(x[i : i + 1])[0].detach()
        others = ((x[i] - value) * weights).sum(1).view(3, 3, 4, 3, 4).sum((2, 4))
        covered = scores[:, None, None] - others
        torch.testing.assert_close(found.values[i], covered.softmax(0)[k], atol=1e-5, rtol=1e-5)
        assert torch.equal(found.extra["class"][i], covered.argmax(0))
    assert found.target == (1, 2)


def test_overlapping_squares_are_averaged():
    """The attribution of a pixel is the mean over the positions that cover it."""
    net, x = Net(nn.ReLU()).eval(), images(1)
    found = Probe(net).occlusion(x, target=0, size=5, stride=2)
    masks, _ = windows((12, 12), 5, 2)
    with torch.no_grad():
        drops = torch.stack([net(x)[0, 0] - net(torch.where(m, 0.5, x))[0, 0] for m in masks])
    expected = (masks * drops[:, None, None]).sum(0) / masks.sum(0)
    torch.testing.assert_close(found.extra["attribution"][0], expected, atol=1e-5, rtol=1e-4)


def test_the_strongest_feature_map():
    """Of a layer, the channel with the largest sum in the whole image, and its sums with the square."""
    net, x = Net(nn.ReLU()).eval(), images(2)
    probe = Probe(net)
    found = probe.occlusion(x, size=6, stride=3, layer="conv2")
    masks, grid = windows((12, 12), 6, 3)
    with torch.no_grad():
        for i in range(2):
            maps = torch.relu(net.conv2(net.pool(torch.relu(net.conv1(x[i : i + 1])))))[0].sum((1, 2))
            channel = int(maps.argmax())
            assert int(found.extra["channel"][i]) == channel
            covered = torch.where(masks[:, None], 0.5, x[i])
            sums = torch.relu(net.conv2(net.pool(torch.relu(net.conv1(covered)))))[:, channel].sum((1, 2))
            torch.testing.assert_close(found.extra["feature map"][i], sums.view(grid), atol=1e-5, rtol=1e-5)
    chosen = probe.occlusion(x, size=6, stride=3, layer="conv2:1")
    assert chosen.extra["channel"].tolist() == [1, 1]


def test_a_constant_image_is_not_changed_by_blur():
    """Covering by the blurred image changes nothing where there is nothing to blur."""
    found = Probe(Net(nn.ReLU()).eval()).occlusion(torch.full((1, 1, 12, 12), 0.3), fill="blur")
    assert found.extra["attribution"].abs().max() < 1e-5


def test_settings_out_of_range_are_refused():
    """In one line each."""
    probe, x = Probe(Net(nn.ReLU()).eval()), images(1)
    for settings, message in (({"size": 13}, "size: got 13, wanted at most 12"), ({"size": 0}, "size: got 0"),
                              ({"stride": 0}, "stride: got 0"), ({"fill": "grey"}, "fill: got 'grey'"),
                              ({"fill": 2.0}, "fill: got 2.0")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            probe.occlusion(x, **settings)


def test_the_picture():
    """The image above its map, which is enlarged to the same size."""
    found = Probe(Net(nn.ReLU()).eval()).occlusion(images(2), size=4, stride=4)
    assert found.values.shape == (2, 3, 3)
    assert found.image().size == (2 * 96 + 2, 2 * 96 + 2)


def test_layers_without_height_and_width_and_numbers_of_classes():
    """The activation of a linear unit is the map; another number of classes than images is refused."""
    net, x = Net(nn.ReLU()).eval(), images(3)
    found = Probe(net).occlusion(x, size=6, stride=6, layer="fc1:2")
    masks, grid = windows((12, 12), 6, 6)
    with torch.no_grad():
        hidden = torch.relu(net.conv2(net.pool(torch.relu(net.conv1(torch.where(masks[:, None], 0.5, x[0]))))))
        expected = net.fc1(hidden.flatten(1))[:, 2].clamp(min=0).view(grid)
    torch.testing.assert_close(found.extra["feature map"][0], expected)
    assert Probe(net).occlusion(x, layer="fc1").extra["channel"].shape == (3,)
    for target in ([0, 1], [0, 1, 2, 3], []):
        with pytest.raises(ValueError, match="classes for 3 images, wanted one or as many"):
            Probe(net).occlusion(x, target)
