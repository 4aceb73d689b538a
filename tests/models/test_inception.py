"""Inception for FID against the published layout, block by block against its definition by hand."""

import pytest
import torch
from torch.nn import functional as F

from thalweg.models.classifiers.inception import Inception, read_inception

# What pytorch-fid's fid_inception_v3 loads its published file into, strictly: torchvision's inception_v3 with
# aux_logits=False and 1008 classes. Names and channels from torchvision's models/inception.py: out, in, kernel.
LAYOUT = {
    "Conv2d_1a_3x3": (32, 3, 3, 3),
    "Conv2d_2a_3x3": (32, 32, 3, 3),
    "Conv2d_2b_3x3": (64, 32, 3, 3),
    "Conv2d_3b_1x1": (80, 64, 1, 1),
    "Conv2d_4a_3x3": (192, 80, 3, 3),
    "Mixed_6a.branch3x3": (384, 288, 3, 3),
    "Mixed_6a.branch3x3dbl_1": (64, 288, 1, 1),
    "Mixed_6a.branch3x3dbl_2": (96, 64, 3, 3),
    "Mixed_6a.branch3x3dbl_3": (96, 96, 3, 3),
    "Mixed_7a.branch3x3_1": (192, 768, 1, 1),
    "Mixed_7a.branch3x3_2": (320, 192, 3, 3),
    "Mixed_7a.branch7x7x3_1": (192, 768, 1, 1),
    "Mixed_7a.branch7x7x3_2": (192, 192, 1, 7),
    "Mixed_7a.branch7x7x3_3": (192, 192, 7, 1),
    "Mixed_7a.branch7x7x3_4": (192, 192, 3, 3),
}
for letter, c_in, pool in (("b", 192, 32), ("c", 256, 64), ("d", 288, 64)):
    LAYOUT |= {
        f"Mixed_5{letter}.{name}": shape
        for name, shape in {
            "branch1x1": (64, c_in, 1, 1),
            "branch5x5_1": (48, c_in, 1, 1),
            "branch5x5_2": (64, 48, 5, 5),
            "branch3x3dbl_1": (64, c_in, 1, 1),
            "branch3x3dbl_2": (96, 64, 3, 3),
            "branch3x3dbl_3": (96, 96, 3, 3),
            "branch_pool": (pool, c_in, 1, 1),
        }.items()
    }
for letter, c7 in (("b", 128), ("c", 160), ("d", 160), ("e", 192)):
    LAYOUT |= {
        f"Mixed_6{letter}.{name}": shape
        for name, shape in {
            "branch1x1": (192, 768, 1, 1),
            "branch7x7_1": (c7, 768, 1, 1),
            "branch7x7_2": (c7, c7, 1, 7),
            "branch7x7_3": (192, c7, 7, 1),
            "branch7x7dbl_1": (c7, 768, 1, 1),
            "branch7x7dbl_2": (c7, c7, 7, 1),
            "branch7x7dbl_3": (c7, c7, 1, 7),
            "branch7x7dbl_4": (c7, c7, 7, 1),
            "branch7x7dbl_5": (192, c7, 1, 7),
            "branch_pool": (192, 768, 1, 1),
        }.items()
    }
for letter, c_in in (("b", 1280), ("c", 2048)):
    LAYOUT |= {
        f"Mixed_7{letter}.{name}": shape
        for name, shape in {
            "branch1x1": (320, c_in, 1, 1),
            "branch3x3_1": (384, c_in, 1, 1),
            "branch3x3_2a": (384, 384, 1, 3),
            "branch3x3_2b": (384, 384, 3, 1),
            "branch3x3dbl_1": (448, c_in, 1, 1),
            "branch3x3dbl_2": (384, 448, 3, 3),
            "branch3x3dbl_3a": (384, 384, 1, 3),
            "branch3x3dbl_3b": (384, 384, 3, 1),
            "branch_pool": (192, c_in, 1, 1),
        }.items()
    }


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model = Inception(levels=17).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # running statistics as after training, not the identity
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.2, 1.0)
    return model.requires_grad_(False)


def test_names_and_shapes_are_the_published_ones(network):
    wanted = {}
    for name, shape in LAYOUT.items():
        wanted[f"{name}.conv.weight"] = shape
        wanted |= {f"{name}.bn.{part}": shape[:1] for part in ("weight", "bias", "running_mean", "running_var")}
        wanted[f"{name}.bn.num_batches_tracked"] = ()
    assert len(LAYOUT) == 94
    assert {name: tuple(t.shape) for name, t in network.state_dict().items()} == wanted


def test_parameters(network):
    # torchvision tells 27,161,264 with the auxiliary classifier and 1,000 classes; Keras 21,802,784 without a top,
    # with moving means and variances but without the 17,216 scales
    conv0, conv1, aux_fc = 768 * 128 + 2 * 128, 128 * 768 * 25 + 2 * 768, 768 * 1000 + 1000
    count = sum(p.numel() for p in network.parameters())
    assert count == 27_161_264 - conv0 - conv1 - aux_fc - (2048 * 1000 + 1000)
    assert count == 21_802_784 - 2 * 17_216 + 17_216


def conv(network, name, x, stride=1, padding=(0, 0)):
    """Convolution, normalization by the running statistics with ε = 0.001, ReLU."""
    state = network.state_dict()
    y = F.conv2d(x, state[f"{name}.conv.weight"], stride=stride, padding=padding)
    mean, var, weight, bias = (
        state[f"{name}.bn.{part}"].view(-1, 1, 1) for part in ("running_mean", "running_var", "weight", "bias")
    )
    return ((y - mean) / (var + 0.001).sqrt() * weight + bias).clamp(min=0)


def chain(network, block, x, *steps):
    for name, *how in steps:
        x = conv(network, f"{block}.{name}", x, *how)
    return x


def mean_of_neighbors(x):
    ones = torch.ones_like(x[:, :1])
    kernel = torch.ones(1, 1, 3, 3)
    total = torch.cat([F.conv2d(channel, kernel, padding=1) for channel in x.split(1, dim=1)], dim=1)
    return total / F.conv2d(ones, kernel, padding=1)  # at the border, of six or four


ROW, COLUMN = (1, (0, 3)), (1, (3, 0))


def test_block_of_35(network):
    x = torch.rand(1, 256, 7, 7)
    wanted = [
        chain(network, "Mixed_5c", x, ["branch1x1"]),
        chain(network, "Mixed_5c", x, ["branch5x5_1"], ["branch5x5_2", 1, 2]),
        chain(network, "Mixed_5c", x, ["branch3x3dbl_1"], ["branch3x3dbl_2", 1, 1], ["branch3x3dbl_3", 1, 1]),
        chain(network, "Mixed_5c", mean_of_neighbors(x), ["branch_pool"]),
    ]
    assert (network.Mixed_5c(x) - torch.cat(wanted, dim=1)).abs().max() < 1e-5


def test_block_of_17(network):
    x = torch.rand(1, 768, 8, 8)
    double = [["branch7x7dbl_1"]] + [[f"branch7x7dbl_{i}", *(COLUMN if i % 2 == 0 else ROW)] for i in range(2, 6)]
    wanted = [
        chain(network, "Mixed_6b", x, ["branch1x1"]),
        chain(network, "Mixed_6b", x, ["branch7x7_1"], ["branch7x7_2", *ROW], ["branch7x7_3", *COLUMN]),
        chain(network, "Mixed_6b", x, *double),
        chain(network, "Mixed_6b", mean_of_neighbors(x), ["branch_pool"]),
    ]
    assert (network.Mixed_6b(x) - torch.cat(wanted, dim=1)).abs().max() < 1e-5


def test_blocks_that_halve(network):
    x = torch.rand(1, 288, 9, 9)
    wanted = [
        chain(network, "Mixed_6a", x, ["branch3x3", 2]),
        chain(network, "Mixed_6a", x, ["branch3x3dbl_1"], ["branch3x3dbl_2", 1, 1], ["branch3x3dbl_3", 2]),
        F.max_pool2d(x, 3, 2),
    ]
    assert (network.Mixed_6a(x) - torch.cat(wanted, dim=1)).abs().max() < 1e-5
    x = torch.rand(1, 768, 9, 9)
    seven = [["branch7x7x3_1"], ["branch7x7x3_2", *ROW], ["branch7x7x3_3", *COLUMN], ["branch7x7x3_4", 2]]
    wanted = [
        chain(network, "Mixed_7a", x, ["branch3x3_1"], ["branch3x3_2", 2]),
        chain(network, "Mixed_7a", x, *seven),
        F.max_pool2d(x, 3, 2),
    ]
    assert (network.Mixed_7a(x) - torch.cat(wanted, dim=1)).abs().max() < 1e-5


@pytest.mark.parametrize(("block", "channels"), [("Mixed_7b", 1280), ("Mixed_7c", 2048)])
def test_blocks_of_8(network, block, channels):
    x = torch.randn(1, channels, 5, 5)  # negative values tell a maximum of neighbors from one with zeros around
    one = chain(network, block, x, ["branch3x3_1"])
    two = chain(network, block, x, ["branch3x3dbl_1"], ["branch3x3dbl_2", 1, 1])
    pooled = mean_of_neighbors(x) if block == "Mixed_7b" else F.max_pool2d(x, 3, 1, 1)
    wanted = [
        chain(network, block, x, ["branch1x1"]),
        chain(network, block, one, ["branch3x3_2a", 1, (0, 1)]),
        chain(network, block, one, ["branch3x3_2b", 1, (1, 0)]),
        chain(network, block, two, ["branch3x3dbl_3a", 1, (0, 1)]),
        chain(network, block, two, ["branch3x3dbl_3b", 1, (1, 0)]),
        chain(network, block, pooled, ["branch_pool"]),
    ]
    assert (getattr(network, block)(x) - torch.cat(wanted, dim=1)).abs().max() < 1e-5


def test_images_are_brought_to_size_and_scale(network):
    seen = []
    handle = network.Conv2d_1a_3x3.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    x = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    x[0, 0, 0] = 16
    features = network(x)
    handle.remove()
    assert features.shape == (2, 2048)
    assert features.isfinite().all()
    (y,) = seen
    assert y.shape == (2, 3, 299, 299)
    assert (y[:, 0] == y[:, 2]).all()
    assert (y[1] == -1).all()
    assert (y[0, 0, 0, 0], y[0, 0, -1, 0]) == (1.0, -1.0)
    # pixels of the small image stand at 74.25 and 223.75; between them it is a straight line
    line = 1 - 2 * ((torch.arange(299) + 0.5) / 299 * 2 - 0.5).clamp(0, 1)
    assert (y[0, 0, :, 7] - line).abs().max() < 1e-5


def test_two_channels(network):
    with pytest.raises(ValueError, match="images: got 2 channels, wanted 1 or 3"):
        network(torch.zeros(1, 2, 8, 8))


def test_a_file_of_the_published_layout_is_read(network, tmp_path):
    fc = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    torch.save(network.state_dict() | fc, tmp_path / "inception.pth")
    read = read_inception(tmp_path / "inception.pth", levels=17)
    assert not read.training
    x = torch.randint(0, 17, (1, 3, 8, 8), dtype=torch.uint8)
    assert (read(x) == network(x)).all()
    # files of before torch 0.4.1 count no batches
    old = {name: t for name, t in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    assert (read_inception(tmp_path / "old.pth", levels=17)(x) == network(x)).all()


class Harmful:
    def __reduce__(self):
        return (print, ("harm done",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"not a file of tensors", "which holds no tensors"),
        ({"weight": torch.zeros(3)}, "which holds other tensors"),
        ([1, 2, 3], "which holds other tensors"),
        ({"Mixed_5b": Harmful()}, "which holds no tensors"),
    ],
)
def test_another_file_is_refused_in_one_line(content, words, tmp_path, capsys):
    path = tmp_path / "other.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(ValueError, match=words) as refused:
        read_inception(path)
    assert "\n" not in str(refused.value)
    assert "wanted the weights of Inception for FID" in str(refused.value)
    assert len(str(refused.value)) < 400
    assert capsys.readouterr().out == ""
