"""Convolution, pooling and their sizes by definition, against torch."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thalweg.models.classifiers.convnet import size_after
from thalweg.nn.definitions import convolution, convolution_matrix, output_size, parameters, pooling


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.system("S14")
@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (3, 2)])
def test_a_convolution_is_that_of_torch(dimensions, stride, padding):
    size, kernel = (7, 6, 5)[:dimensions], (3, 2, 3)[:dimensions]
    x, weight, bias = normal(2, 3, *size), normal(4, 3, *kernel, seed=1), normal(4, seed=2)
    expected = (F.conv1d, F.conv2d, F.conv3d)[dimensions - 1](x, weight, bias, stride=stride, padding=padding)
    torch.testing.assert_close(convolution(x, weight, bias, stride=stride, padding=padding), expected)


@pytest.mark.system("S14")
def test_a_convolution_does_not_flip_the_kernel():
    x, weight = normal(1, 1, 5, 5), normal(1, 1, 3, 3, seed=1)
    by_hand = sum(weight[0, 0, a, b] * x[0, 0, 1 + a, 2 + b] for a in range(3) for b in range(3))
    torch.testing.assert_close(convolution(x, weight)[0, 0, 1, 2], by_hand)


@pytest.mark.system("S14")
@pytest.mark.oracle("O9")
@pytest.mark.parametrize(
    ("settings", "size"),
    [((7, 5), 3), ((7, 5, 1, 2), 7), ((7, 3), 5), ((7, 3, 2), 3), ((7, 3, 3, 1), 3)],
)
def test_sizes(settings, size):
    assert output_size(*settings, exact=True) == size


@pytest.mark.system("S14")
@pytest.mark.oracle("O9")
def test_sizes_that_do_not_fit():
    assert output_size(7, 3, 3) == 2
    with pytest.raises(ValueError, match=r"which give 2\.333 windows; wanted a stride that divides 4"):
        output_size(7, 3, 3, exact=True)
    with pytest.raises(ValueError, match="kernel: got 9 for a side of 5 with padding 1, wanted at most 7"):
        output_size(5, 9, padding=1)


@pytest.mark.system("S14", "S15")
@pytest.mark.oracle("O10")
def test_sizes_are_those_of_torch():
    for n in range(1, 20):
        for kernel, stride, padding, ceil in ((3, 2, 0, True), (3, 2, 1, True), (2, 2, 0, False), (5, 3, 2, True)):
            if n + 2 * padding < kernel:
                continue
            layer = nn.MaxPool1d(kernel, stride, padding, ceil_mode=ceil)
            expected = layer(torch.zeros(1, 1, n)).shape[-1]
            assert output_size(n, kernel, stride, padding, ceil=ceil) == expected, (n, kernel, stride, padding)
    assert (output_size(32, 3, 2, ceil=True), output_size(16, 3, 2, ceil=True), output_size(32, 3, 2)) == (16, 8, 15)
    layers = nn.Sequential(nn.MaxPool2d(3, 2, ceil_mode=True), nn.AvgPool2d(3, 2, ceil_mode=True))
    assert size_after(layers, (1, 32, 32)) == (1, 8, 8)


@pytest.mark.system("S14")
@pytest.mark.oracle("O11")
@pytest.mark.parametrize(("c_in", "c_out", "kernel", "groups"), [(192, 96, 1, 1), (3, 8, 5, 1), (8, 4, 3, 4)])
def test_parameters_are_those_of_torch(c_in, c_out, kernel, groups):
    layer = nn.Conv2d(c_in, c_out, kernel, groups=groups)
    assert parameters(c_in, c_out, kernel, groups=groups) == sum(p.numel() for p in layer.parameters())
    assert parameters(192, 96, 1) == 18_528


@pytest.mark.system("S15")
@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("padding", [0, 1])
def test_pooling_is_that_of_torch(ceil, average, padding):
    x = normal(2, 3, 8, 7)
    if average:
        expected = F.avg_pool2d(x, 3, 2, padding, ceil_mode=ceil)
    else:
        expected = F.max_pool2d(x, 3, 2, padding, ceil_mode=ceil)
    torch.testing.assert_close(pooling(x, 3, stride=2, padding=padding, average=average, ceil=ceil), expected)


@pytest.mark.system("S15")
def test_global_average_pooling_ignores_translations():
    x = normal(1, 2, 6, 6)
    whole = pooling(x, 6, average=True)[:, :, 0, 0]
    torch.testing.assert_close(whole, nn.AdaptiveAvgPool2d(1)(x)[:, :, 0, 0])
    torch.testing.assert_close(whole, pooling(x.roll((2, 3), (2, 3)), 6, average=True)[:, :, 0, 0])


@pytest.mark.system("S15")
def test_a_convolution_of_one_pixel_is_a_linear_layer_at_every_pixel():
    x, weight, bias = normal(2, 5, 3, 4), normal(6, 5, 1, 1, seed=1), normal(6, seed=2)
    expected = F.linear(x.permute(0, 2, 3, 1), weight[:, :, 0, 0], bias).permute(0, 3, 1, 2)
    torch.testing.assert_close(convolution(x, weight, bias), expected)


@pytest.mark.system("S15")
def test_an_mlpconv_is_a_perceptron_applied_to_every_patch():
    x, first, second = normal(1, 3, 6, 6), normal(8, 3, 3, 3, seed=1), normal(4, 8, 1, 1, seed=2)
    maps = convolution(convolution(x, first).relu(), second).relu()
    patch = x[0, :, 2:5, 1:4].flatten()  # with all its channels
    hidden = (first.flatten(1) @ patch).relu()
    torch.testing.assert_close(maps[0, :, 2, 1], (second.flatten(1) @ hidden).relu())


@pytest.mark.system("S14")
def test_a_convolution_is_a_product_with_a_banded_matrix():
    w, x = normal(3), normal(9, seed=1)
    matrix = convolution_matrix(w, 9)
    torch.testing.assert_close(matrix @ x, convolution(x.view(1, 1, -1), w.view(1, 1, -1))[0, 0])
    assert all(torch.equal(matrix[i + 1, 1:], matrix[i, :-1]) for i in range(len(matrix) - 1))


@pytest.mark.system("S14")
def test_a_convolution_commutes_with_shifts():
    x, weight = torch.zeros(1, 1, 9, dtype=torch.float64), normal(1, 1, 3, seed=1)
    x[0, 0, 3:5] = normal(2, seed=2)  # away from the borders
    torch.testing.assert_close(convolution(x.roll(2, 2), weight), convolution(x, weight).roll(2, 2))
