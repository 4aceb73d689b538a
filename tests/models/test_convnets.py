"""The layers of the convolutional classifiers, one by one: what popular implementations get wrong, and embeddings."""

import pytest
import torch
from torch import nn

from thalweg.batch import Batch
from thalweg.models.classifiers.alexnet import AlexNet
from thalweg.models.classifiers.convnet import size_after
from thalweg.models.classifiers.densenet import DenseNet
from thalweg.models.classifiers.googlenet import GoogLeNet
from thalweg.models.classifiers.nin import NiN
from thalweg.models.classifiers.resnet import ResNet
from thalweg.models.classifiers.resnet_v2 import PreActivationBlock, ResNetV2
from thalweg.models.classifiers.resnext import ResNeXt
from thalweg.models.classifiers.senet import SENet
from thalweg.models.classifiers.vgg import VGG
from thalweg.models.classifiers.zfnet import ZFNet
from thalweg.nn.preprocess import Standardize
from thalweg.nn.residual import BasicBlock, Bottleneck, PaddingShortcut, SqueezeExcitation
from thalweg.problems.supervised import WithAuxiliaryHeads

SMALL = ((3, 32, 32), 10)


def layers(network, *kinds):
    return [m for m in network.modules() if isinstance(m, kinds)]


def images(n=2, side=32, seed=0):
    return torch.randint(0, 256, (n, 3, side, side), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def randomize(network, seed=0):
    """Draw all parameters and running statistics anew, so that nothing is 0 or 1."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=draw))
        for norm in layers(network, nn.BatchNorm2d):
            norm.running_mean.copy_(0.1 * torch.randn(norm.running_mean.shape, generator=draw))
            norm.running_var.copy_(0.5 + torch.rand(norm.running_var.shape, generator=draw))
    return network


@pytest.mark.system("S17")
@pytest.mark.parametrize("make", [lambda: AlexNet(*SMALL, variant="cifar"), lambda: VGG(*SMALL, blocks="cifar-a")])
def test_dropout_follows_the_activation_of_hidden_linear_layers(make):
    with torch.device("meta"):
        classifier = make().classifier
    kinds = [type(layer) for layer in classifier]
    hidden = [nn.Linear, nn.ReLU, nn.Dropout]
    assert kinds == [nn.Flatten, *hidden, *hidden, nn.Linear]


@pytest.mark.system("S17")
def test_the_fourth_convolution_of_alexnet():
    with torch.device("meta"):
        channels = {v: layers(AlexNet((3, 224, 224), 9, variant=v), nn.Conv2d)[3].out_channels
                    for v in ("one-tower", "text")}  # fmt: skip
        groups = [c.groups for c in layers(AlexNet((3, 227, 227), 9, variant="two-tower"), nn.Conv2d)]
    assert channels == {"one-tower": 256, "text": 384}
    assert groups == [1, 2, 1, 2, 2]


@pytest.mark.system("S17")
def test_response_normalization_is_that_of_the_paper():
    """b = a/(k + α Σ a²)^β over 5 neighbors, k = 2, α = 1e-4, β = 3/4; torch divides α by the number of neighbors."""
    norm = layers(AlexNet((3, 227, 227), 2, variant="two-tower"), nn.LocalResponseNorm)[0]
    a = torch.arange(1.0, 8.0).view(1, 7, 1, 1) * 30
    squares = torch.stack([a[0, max(0, i - 2) : i + 3].square().sum() for i in range(7)]).view(1, 7, 1, 1)
    torch.testing.assert_close(norm(a), a / (2 + 1e-4 * squares) ** 0.75)


@pytest.mark.system("S17", "S18")
def test_small_images_keep_maps_of_three_by_three():
    assert size_after(AlexNet(*SMALL, variant="cifar").features, (3, 32, 32)) == (256, 3, 3)


@pytest.mark.system("S14", "S22")
@pytest.mark.oracle("O10")
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (2, 17, 40)])
@pytest.mark.parametrize("make", [NiN, VGG, AlexNet, ZFNet])
def test_sizes_are_those_of_the_layers(make, shape):
    options = {"blocks": "cifar-b", "hidden": 8} if make is VGG else {"variant": "cifar"} if make is AlexNet else {}
    with torch.device("meta"):
        network = make(shape, 3, **options)
        x = torch.zeros(1, *shape)
        for layer in network.features:
            x = layer(x)
    assert size_after(network.features, shape) == tuple(x.shape[1:])


@pytest.mark.system("S22")
def test_nin_rounds_sizes_up():
    features = NiN(*SMALL).features
    x, sides = torch.zeros(1, 3, 32, 32), []
    for layer in features:
        x = layer(x)
        sides.append(x.shape[-1])
    assert sorted(set(sides), reverse=True) == [32, 16, 8]


@pytest.mark.system("S20", "S21")
def test_activations_of_a_deep_network_keep_their_size():
    torch.manual_seed(0)
    network, x = VGG(*SMALL, blocks="cifar-b", hidden=64, mean=(127.0,) * 3, std=(74.0,) * 3), images(8)
    stds, y = [], network.preprocess(x)
    for layer in layers(network.features, nn.Conv2d, nn.ReLU, nn.MaxPool2d):
        y = layer(y).detach()
        if isinstance(layer, nn.Conv2d):
            stds.append(float(y.std()))
    assert all(0.3 < std / stds[0] < 3 for std in stds), stds


@pytest.mark.system("S20")
def test_vgg_grows_from_a_shallower_network():
    shallow, deep = (VGG(*SMALL, blocks=blocks, hidden=16) for blocks in (11, 19))
    before = layers(deep, nn.Conv2d)[4].weight.clone()
    deep.initialize_from(shallow)
    for a, b in zip(layers(deep, nn.Linear), layers(shallow, nn.Linear), strict=True):
        assert torch.equal(a.weight, b.weight)
    assert torch.equal(layers(deep, nn.Conv2d)[0].weight, layers(shallow, nn.Conv2d)[0].weight)
    assert torch.equal(layers(deep, nn.Conv2d)[4].weight, before)


@pytest.mark.parametrize(
    "network",
    [
        lambda: VGG(*SMALL, blocks="cifar-a", hidden=8, batch_norm=True), lambda: GoogLeNet(*SMALL, batch_norm=True),
        lambda: ResNet(*SMALL), lambda: ResNet(*SMALL, depth=50), lambda: ResNetV2(*SMALL), lambda: SENet(*SMALL),
        lambda: ResNeXt(*SMALL, depth=29, groups=2), lambda: DenseNet(*SMALL, depth=22, growth=4),
    ],
)  # fmt: skip
def test_no_convolution_with_batch_normalization_has_a_bias(network):
    with torch.device("meta"):
        assert all(layer.bias is None for layer in layers(network(), nn.Conv2d))


@pytest.mark.system("S23")
def test_auxiliary_classifiers_are_in_the_order_of_their_modules():
    network = GoogLeNet((3, 96, 96), 7, auxiliary=True).eval()
    x = images(2, 96)
    heads = network.heads(x)
    assert [tuple(h.shape) for h in heads] == [(2, 7)] * 3
    torch.testing.assert_close(network(x), heads[0])
    first, second = network.auxiliary["4a"], network.auxiliary["4d"]
    assert (layers(first, nn.Conv2d)[0].in_channels, layers(second, nn.Conv2d)[0].in_channels) == (512, 528)
    with pytest.raises(ValueError, match="auxiliary: got images of 64×64, wanted sides of at least 80"):
        GoogLeNet((3, 64, 64), 7, auxiliary=True)


@pytest.mark.system("S23")
def test_auxiliary_losses_count_three_tenths_in_training_only():
    network = GoogLeNet((3, 96, 96), 4, auxiliary=True)
    for dropout in layers(network, nn.Dropout):
        dropout.p = 0.0
    problem, batch = WithAuxiliaryHeads(network), Batch(images(2, 96), torch.tensor([1, 3]))
    first, second, third = (nn.functional.cross_entropy(h, batch.y, reduction="none") for h in network.heads(batch.x))
    torch.testing.assert_close(problem.loss("model", batch).values, first + 0.3 * (second + third))
    network.eval()
    torch.testing.assert_close(problem.loss("model", batch).values, first)


@pytest.mark.system("S26")
def test_v1_and_v1_5_differ_in_the_convolution_with_the_stride():
    for first in (False, True):
        with torch.device("meta"):
            block = ResNet(*SMALL, depth=50, stride_first=first).features[2][0]
        kernels = {c.kernel_size for c in layers(block.branch, nn.Conv2d) if c.stride == (2, 2)}
        assert kernels == {(1, 1) if first else (3, 3)}
    torch.manual_seed(0)
    network = ResNet(*SMALL, depth=18)
    torch.manual_seed(0)
    same = ResNet(*SMALL, depth=18, stride_first=True)
    assert torch.equal(network.eval()(images()), same.eval()(images()))


@pytest.mark.system("S24")
def test_every_convolution_of_a_resnet_has_batch_normalization():
    for depth in (18, 20, 50):
        with torch.device("meta"):
            network = ResNet(*SMALL, depth=depth)
        assert len(layers(network, nn.Conv2d)) == len(layers(network, nn.BatchNorm2d))


@pytest.mark.system("S25")
def test_padding_shortcuts_have_no_parameters():
    shortcut = PaddingShortcut(2, 4, 2)
    assert not list(shortcut.parameters())
    x = torch.arange(32.0).view(1, 2, 4, 4)
    y = shortcut(x)
    assert torch.equal(y[:, :2], x[:, :, ::2, ::2])
    assert not y[:, 2:].any()


@pytest.mark.system("S24")
@pytest.mark.oracle("O17")
def test_a_shallower_resnet_is_embedded_in_a_deeper_one():
    shallow, deep = randomize(ResNet(*SMALL, depth=18), 1), randomize(ResNet(*SMALL, depth=34), 2)
    deep.embed(shallow)
    x = images()
    for network in (shallow, deep):
        network.eval()
    assert torch.equal(shallow(x), deep(x))


@pytest.mark.system("S24")
@pytest.mark.parametrize("block", [BasicBlock(4, 4), Bottleneck(16, 4)])
def test_a_branch_of_zeros_leaves_the_identity(block):
    norm = layers(block, nn.BatchNorm2d)[-1]
    nn.init.zeros_(norm.weight)
    x = torch.rand(2, block.channels, 5, 5)
    assert torch.equal(block(x), x)


@pytest.mark.system("S26")
def test_v2_has_one_path_of_identities():
    network = randomize(ResNetV2(*SMALL, depth=20)).eval()
    for stage in list(network.features)[1:4]:
        for block in stage:
            nn.init.zeros_(block.convs[-1].weight)
    first = network.features[0](network.preprocess(images()))
    torch.testing.assert_close(network.features[1](first), first)
    second = network.features[2]
    activated = torch.relu(second[0].norms[0](first))
    torch.testing.assert_close(second(first), second[0].shortcut(activated))  # the projection reads the activated input


@pytest.mark.system("S26")
@pytest.mark.parametrize("depth", [18, 20, 50])
def test_v2_ends_with_normalization_and_activation(depth):
    network = randomize(ResNetV2(*SMALL, depth=depth)).eval()
    convs = sum(len(block.convs) for block in layers(network, PreActivationBlock))
    assert len(layers(network, nn.BatchNorm2d)) == convs + 1
    assert not layers(network.features[0], nn.BatchNorm2d, nn.ReLU)  # those of the first block follow the stem
    assert bool((network.features(network.preprocess(images())) >= 0).all())


@pytest.mark.system("S27")
@pytest.mark.oracle("O18")
def test_a_grouped_convolution_is_a_sum_of_paths():
    block = randomize(Bottleneck(8, 6, channels=8, groups=3)).double().eval()
    x = torch.randn(2, 8, 5, 5, dtype=torch.float64)
    first, _, middle, _, last = block.branch
    paths = []
    for path in range(3):
        rows = slice(2 * path, 2 * path + 2)
        y = torch.relu(first(x)[:, rows])
        y = nn.functional.conv2d(y, middle[0].weight[rows], padding=1)
        norm = middle[1]
        y = nn.functional.batch_norm(y, norm.running_mean[rows], norm.running_var[rows], norm.weight[rows],
                                     norm.bias[rows])  # fmt: skip
        paths.append(nn.functional.conv2d(torch.relu(y), last[0].weight[:, rows]))
    expected = torch.relu(last[1](sum(paths)) + x)
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-12)


@pytest.mark.system("S28")
def test_squeeze_and_excitation():
    layer = randomize(SqueezeExcitation(32, reduction=8))
    x = torch.randn(2, 32, 4, 4)
    weights = layer(torch.ones(2, 32, 4, 4))
    assert bool(((weights > 0) & (weights < 1)).all())
    means = x.mean((2, 3))
    _, _, first, _, second, _ = layer.excite
    hidden = torch.relu(means @ first.weight.T + first.bias)
    expected = x * torch.sigmoid(hidden @ second.weight.T + second.bias)[:, :, None, None]
    torch.testing.assert_close(layer(x), expected)
    for parameter in second.parameters():
        nn.init.zeros_(parameter)
    torch.testing.assert_close(layer(x), x / 2)
    assert all(linear.bias is not None for linear in layers(layer, nn.Linear))


@pytest.mark.system("S28")
def test_excitation_scales_the_branch_alone():
    block = randomize(BasicBlock(16, 16, excitation=True)).eval()
    nn.init.zeros_(block.branch[2][1].weight)
    nn.init.zeros_(block.branch[2][1].bias)
    x = torch.randn(2, 16, 5, 5)
    torch.testing.assert_close(block(x), torch.relu(x))


@pytest.mark.parametrize("make", [ResNet, ResNetV2, VGG, DenseNet, GoogLeNet])
def test_recomputed_activations_change_nothing(make):
    options = {
        VGG: {"blocks": "cifar-a", "hidden": 8, "batch_norm": True},
        DenseNet: {"depth": 22, "growth": 4},
        GoogLeNet: {"batch_norm": True},
    }.get(make, {"depth": 20})
    results = []
    for checkpointed in (False, True):
        torch.manual_seed(0)
        network = make(*SMALL, **options).train()
        network.checkpointed = checkpointed
        torch.manual_seed(1)
        network(images(4)).square().sum().backward()
        buffers = [b for n, b in network.named_buffers()]
        results.append(([p.grad for p in network.parameters()], buffers))
    for a, b in zip(results[0][0], results[1][0], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    for a, b in zip(results[0][1], results[1][1], strict=True):
        assert torch.equal(a, b)


def test_channels_are_standardized_within_the_network():
    network = ResNet(*SMALL, depth=20, mean=(120.0, 110.0, 100.0), std=(60.0, 62.0, 64.0))
    assert isinstance(network.preprocess, Standardize)
    x = images(1)
    expected = (x[0, 2].double() - 100) / 64
    torch.testing.assert_close(network.preprocess(x)[0, 2].double(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ResNet(*SMALL, depth=19), "depth: got 19, wanted 18, 34"),
        (lambda: ResNet((3, 3, 9), 2), "wanted sides of at least 4"),
        (lambda: ResNetV2(*SMALL, depth=7), "depth: got 7"),
        (lambda: ResNeXt(*SMALL, depth=18), "depth: got 18, wanted 50"),
        (lambda: DenseNet(*SMALL, depth=99), "depth: got 99"),
        (lambda: GoogLeNet((1, 2, 8), 2), "wanted sides of at least 4"),
        (lambda: VGG((3, 30, 30), 2, blocks="cifar-a"), "images of 30×30, too small for this network"),
        (lambda: AlexNet((1, 28, 28), 2), "images of 28×28, too small"),
    ],
)
def test_what_cannot_be_built_is_refused(make, words):
    with torch.device("meta"), pytest.raises(ValueError, match=words):
        make()
