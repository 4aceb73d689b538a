"""Receptive fields of positions against the pixels that the Jacobian reaches."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thalweg.nn.receptive_field import receptive_fields

pytestmark = [pytest.mark.system("S30"), pytest.mark.system("S105")]


class Padded(nn.Module):
    """Padding and slices by function."""

    def __init__(self):
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 1, 3, stride=2), nn.Conv2d(1, 1, 1)

    def forward(self, x):
        return self.last(self.conv(F.pad(x, (1, 2, 3, 0)))[:, :, ::2, 1:])


class Pooled(nn.Module):
    """Pooling by function, with the stride that it has by default, and a slice from the end."""

    def __init__(self):
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 1)

    def forward(self, x):
        return self.last(F.avg_pool2d(self.conv(x), 3)[:, :, -4:])


class Branches(nn.Module):
    """A sum of branches with different fields."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.last = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 5, padding=2), nn.AvgPool2d(3, 2, 1)

    def forward(self, x):
        return self.last(self.one(x) + self.two(x))


CASES = {
    "padding and stride": (nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.Conv2d(2, 1, 3, 2, 1)), "1"),
    "dilation": (nn.Sequential(nn.Conv2d(1, 2, 3, dilation=2, padding=2), nn.AvgPool2d(3, 2, 1)), "1"),
    "rectangular kernels": (nn.Sequential(nn.Conv2d(1, 1, (3, 5), (1, 2), (0, 2)), nn.Conv2d(1, 1, (1, 3))), "1"),
    "padding and slices by function": (Padded(), "last"),
    "pooling by function and a slice from the end": (Pooled(), "last"),
    "branches": (Branches(), "last"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_jacobian_reaches_just_these_pixels(case):
    """For every position, the rectangle of nonzero derivatives is the field cut at the borders of the image."""
    network, layer = CASES[case]
    network.eval()
    torch.manual_seed(0)
    x = torch.rand(1, 1, 19, 23, requires_grad=True)
    rows, columns = receptive_fields(network, x.detach())[layer]
    y = network(x)
    for i in range(y.shape[2]):
        for j in range(y.shape[3]):
            (slope,) = torch.autograd.grad(y[0, 0, i, j], x, retain_graph=True)
            reached = slope[0, 0].nonzero()
            if not len(reached):  # it sees the padding only
                assert rows.start + i * rows.step + rows.side <= 0
                continue
            for axis, at, side, found in zip((rows, columns), (i, j), (19, 23), reached.T, strict=True):
                start = axis.start + at * axis.step
                assert (int(found.min()), int(found.max())) == (max(start, 0), min(start + axis.side, side) - 1)


def test_what_reads_everything_has_no_field():
    """Linear layers, global pooling and transposed convolutions."""
    network = nn.Sequential(nn.ConvTranspose2d(1, 1, 2, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 1))
    assert set(receptive_fields(network, torch.zeros(1, 1, 8, 8)).values()) == {None}


@pytest.mark.parametrize("training", [True, False])
def test_the_modes_of_the_modules_are_not_changed(training):
    network = nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1)).train(training)
    receptive_fields(network, torch.zeros(1, 1, 8, 8))
    assert {module.training for module in network.modules()} == {training}
