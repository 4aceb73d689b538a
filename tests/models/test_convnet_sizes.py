"""Parameters and multiply-adds of the convolutional classifiers, as the papers and published networks have them."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from thalweg.models.classifiers.alexnet import AlexNet
from thalweg.models.classifiers.convnetjs import ConvNetJS
from thalweg.models.classifiers.densenet import DenseNet
from thalweg.models.classifiers.googlenet import MODULES, GoogLeNet
from thalweg.models.classifiers.lenet5 import LeNet5
from thalweg.models.classifiers.nin import NiN
from thalweg.models.classifiers.resnet import ResNet
from thalweg.models.classifiers.resnext import ResNeXt
from thalweg.models.classifiers.senet import SENet
from thalweg.models.classifiers.vgg import VGG
from thalweg.models.classifiers.zfnet import ZFNet
from thalweg.nn.inception import InceptionModule

LARGE, SMALL, OF_2012 = ((3, 224, 224), 1000), ((3, 32, 32), 10), ((3, 227, 227), 1000)

# network, image and classes, options, parameters, millions of multiply-adds (of convolutions and linear layers)
SIZES = [
    (lambda *size: LeNet5(*size, levels=256), ((1, 28, 28), 10), {}, 61_706, 0.42),
    (lambda *size: LeNet5(*size, levels=256), SMALL, {}, 62_006, 0.65),
    (AlexNet, LARGE, {}, 61_100_840, 714),
    (AlexNet, LARGE, {"variant": "text"}, 61_838_248, 839),
    (AlexNet, OF_2012, {"variant": "two-tower"}, 60_965_224, 724),
    (AlexNet, SMALL, {"variant": "cifar"}, 28_515_146, 158),
    (ZFNet, LARGE, {}, 62_357_608, 1_168),
    (VGG, LARGE, {"blocks": 11}, 132_863_336, 7_609),
    (VGG, LARGE, {"blocks": 13}, 133_047_848, 11_308),
    (VGG, LARGE, {"blocks": 16}, 138_357_544, 15_470),
    (VGG, LARGE, {"blocks": 19}, 143_667_240, 19_632),
    (VGG, SMALL, {"blocks": "cifar-a"}, 28_328_522, 247),
    (VGG, SMALL, {"blocks": "cifar-a", "hidden": 512}, 9_935_434, 229),
    (VGG, SMALL, {"blocks": "cifar-b"}, 32_850_250, 310),
    (VGG, SMALL, {"blocks": "cifar-b", "hidden": 512}, 8_952_138, 286),
    (NiN, SMALL, {}, 966_986, 222),
    (GoogLeNet, LARGE, {}, 6_998_552, 1_583),
    (GoogLeNet, LARGE, {"auxiliary": True}, 6_998_552 + 6_379_728, 1_583),
    (GoogLeNet, SMALL, {}, 5_864_762, 1_447),
    (ConvNetJS, SMALL, {}, 22_466, 3.9),
    *[
        (ResNet, LARGE, {"depth": depth}, count, macs)
        for depth, count, macs in (
            (18, 11_689_512, 1_814), (34, 21_797_672, 3_664), (50, 25_557_032, 4_089), (101, 44_549_160, 7_801),
            (152, 60_192_808, 11_514),
        )
    ],
    *[
        (ResNet, LARGE, {"depth": depth, "stride_first": True}, count, macs)
        for depth, count, macs in ((50, 25_557_032, 3_858), (101, 44_549_160, 7_570), (152, 60_192_808, 11_282))
    ],
    (ResNet, LARGE, {"depth": 34, "shortcut": "padding"}, 21_623_848, 3_644),
    *[
        (ResNet, SMALL, {"depth": depth}, count, macs)
        for depth, count, macs in (
            (18, 11_173_962, 555), (34, 21_282_122, 1_159), (50, 23_520_842, 1_298), (101, 42_512_970, 2_510),
            (152, 58_156_618, 3_722),
        )
    ],
    *[
        (ResNet, SMALL, {"depth": depth, "shortcut": kind}, count + more, macs)
        for depth, count, macs in (
            (20, 269_722, 40.6), (32, 464_154, 68.9), (44, 658_586, 97.2), (56, 853_018, 125.5),
            (110, 1_727_962, 252.9), (1202, 19_421_274, 2_829),
        )
        for kind, more in (("padding", 0), ("projection", 2_752))
    ],
    (ResNeXt, LARGE, {}, 25_028_904, 4_230),
    (ResNeXt, LARGE, {"depth": 101, "width": 8}, 88_791_336, 16_414),
    (SENet, LARGE, {"depth": 18}, 11_778_592, 1_814),
    (SENet, LARGE, {"depth": 50}, 28_088_024, 4_092),
    (SENet, SMALL, {"depth": 18}, 11_263_042, 556),
    (DenseNet, LARGE, {}, 7_978_856, 2_834),
    (DenseNet, SMALL, {"depth": 100, "growth": 12}, 769_162, 288),
]  # fmt: skip


def built(make: Callable[..., nn.Module], size: tuple, options: dict) -> nn.Module:
    with torch.device("meta"):  # no memory and no initialization
        return make(*size, **options).eval()


def count(network: nn.Module, *kinds: type) -> int:
    layers = [m for m in network.modules() if isinstance(m, kinds)] if kinds else [network]
    return sum(p.numel() for layer in layers for p in layer.parameters())


@pytest.mark.system("S16", "S17", "S18", "S19", "S20", "S21", "S22", "S23", "S24", "S25", "S27", "S28", "S29", "S30")
@pytest.mark.oracle("O12", "O13", "O14", "O15", "O16")
@pytest.mark.parametrize(("make", "size", "options", "parameters", "millions"), SIZES)
def test_parameters_and_multiply_adds(make, size, options, parameters, millions):
    network = built(make, size, options)
    assert count(network) == parameters
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, *size[0], device="meta"))
    assert counter.get_total_flops() / 2e6 == pytest.approx(millions, rel=0.015 if millions < 1 else 0.008)


@pytest.mark.parametrize(
    ("make", "size", "options", "convolutions", "linear"),
    [
        (AlexNet, LARGE, {}, 2_469_696, 58_631_144),
        (AlexNet, OF_2012, {"variant": "two-tower"}, 2_334_080, 58_631_144),
        (ZFNet, LARGE, {}, 3_726_464, 58_631_144),
        (VGG, LARGE, {"blocks": 19}, 20_024_384, 123_642_856),
        (lambda *size: LeNet5(*size, levels=256), ((1, 28, 28), 10), {}, 2_572, 59_134),
    ],
)
def test_shares_of_convolutions_and_linear_layers(make, size, options, convolutions, linear):
    network = built(make, size, options)
    assert (count(network, nn.Conv2d), count(network, nn.Linear)) == (convolutions, linear)


@pytest.mark.parametrize(
    ("name", "parameters", "channels"),
    [
        ("3a", 163_696, 256), ("3b", 388_736, 480), ("4a", 376_176, 512), ("4b", 449_160, 512), ("4c", 510_104, 512),
        ("4d", 605_376, 528), ("4e", 868_352, 832), ("5a", 1_043_456, 832), ("5b", 1_444_080, 1024),
    ],
)  # fmt: skip
@pytest.mark.system("S23")
@pytest.mark.oracle("O15")
def test_inception_modules(name, parameters, channels):
    before = dict(zip(MODULES, (192, 256, 480, 512, 512, 512, 528, 832, 832), strict=True))[name]
    module = InceptionModule(before, *MODULES[name])
    assert (count(module), module.channels) == (parameters, channels)
    assert module.five[1][0].kernel_size == (5, 5)  # several libraries have a 3×3 here


@pytest.mark.system("S15")
@pytest.mark.oracle("O60", "O11")
def test_a_reduction_before_a_convolution_saves_parameters():
    assert count(nn.Conv2d(192, 96, 1)) == 18_528
    assert count(nn.Conv2d(192, 32, 5)) == 153_632
    assert count(nn.Sequential(nn.Conv2d(192, 16, 1), nn.Conv2d(16, 32, 5))) == 15_920
