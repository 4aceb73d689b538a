"""The table of layers: counts, shapes and receptive fields against known networks and gradients."""

import pytest
import torch
from torch import nn

from thalweg.models.classifiers.convnetjs import ConvNetJS
from thalweg.models.classifiers.googlenet import GoogLeNet
from thalweg.models.classifiers.resnet import ResNet
from thalweg.models.classifiers.vgg import VGG
from thalweg.nn.layer_table import layer_table
from thalweg.nn.receptive_field import receptive_fields

SMALL = ((3, 32, 32), 10)


def seen(network: nn.Module, side: int) -> int:
    """Return the side of the part of the input that the gradient of one central output value reaches."""
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.01)  # positive, so that nothing cancels
    x = torch.ones(1, 3, side, side, requires_grad=True)
    for name, layer in list(network.named_modules()):
        if isinstance(layer, nn.MaxPool2d):  # a maximum passes the gradient to one of its inputs
            pool = nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
            network.set_submodule(name, pool)
    y = network(x)
    y[0, :, y.shape[2] // 2, y.shape[3] // 2].sum().backward()
    reached = (x.grad[0].abs().sum(0) > 0).nonzero()
    return int(reached[:, 0].max() - reached[:, 0].min() + 1)


@pytest.mark.system("S30")
def test_a_table_has_the_counts_of_the_network():
    table = layer_table(ConvNetJS(*SMALL), torch.zeros(2, 3, 32, 32))
    assert table.parameters == sum(layer.parameters for layer in table.layers) == 22_466
    assert table.macs == sum(layer.macs for layer in table.layers)
    assert [layer.macs for layer in table.layers if layer.macs] == [1_228_800, 2_048_000, 640_000, 3_200]
    assert [layer.shape for layer in table.layers if layer.kind == "MaxPool2d"] == [
        (16, 16, 16),
        (20, 8, 8),
        (20, 4, 4),
    ]
    assert (table.depth, table.batch) == (4, 2)
    assert table.share("Conv", "macs") == pytest.approx(1 - 3200 / table.macs)
    assert all(layer.seconds > 0 for layer in table.layers)


@pytest.mark.system("S30")
@pytest.mark.parametrize(("depth", "layers"), [(18, 21), (20, 22)])
def test_depth_counts_the_layers_with_weights(depth, layers):
    """18 and 20 layers on the longest path; projection shortcuts, three and two of them, count too."""
    network = ResNet(*SMALL, depth=depth)
    mode = network.training
    assert layer_table(network, torch.zeros(1, 3, 32, 32)).depth == layers
    assert network.training is mode


@pytest.mark.system("S30")
@pytest.mark.parametrize(
    ("make", "layer"),
    [
        (lambda: VGG((3, 224, 224), 2, blocks="cifar-b", hidden=1).features[:2], "1.4"),
        (lambda: ResNet(*SMALL, depth=8).features[:2], "1.0.branch.2.1"),
        (lambda: ResNet(*SMALL, depth=8, shortcut="padding").features[:3], "2.0.branch.2.1"),
        (lambda: GoogLeNet(*SMALL).features[:3], "3b.five.1.1"),
    ],
)
def test_receptive_fields_are_what_gradients_reach(make, layer):
    part = make().eval()
    assert receptive_fields(part, torch.zeros(1, 3, 64, 64))[layer].side == seen(part, 64)
