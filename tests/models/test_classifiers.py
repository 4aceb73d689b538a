"""Softmax regression and LeNet-5: parameter counts, layers by their definition, and that they learn."""

import pytest
import torch
from torch import nn

from catalogue import COLOR, DIGITS, GLYPHS, PLANE, Member
from thalweg.data import class_target
from thalweg.models.classifiers.lenet5 import LeNet5
from thalweg.models.classifiers.lenet5_1998 import C3_TABLE, OriginalLeNet5, PartialConv2d, RBFCodes, Subsampling
from thalweg.models.shallow.softmax_regression import SoftmaxRegression
from thalweg.problems.supervised import Supervised
from thalweg.recipes import CLASSIFIERS
from thalweg.training.problem import Batch

MNIST = (1, 28, 28)
OF_VECTORS = ("perceptron", "svm", "logistic-regression", "softmax-regression", "mlp")  # and of images, flattened


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.system("S9")
def test_softmax_regression_is_linear_in_scaled_pixels():
    model = Member("softmax-regression", DIGITS).trained()
    x = torch.randint(0, 17, (4, 1, 8, 8), dtype=torch.uint8)
    wanted = (x.double().flatten(1) / 16) @ model.linear.weight.double().T + model.linear.bias
    torch.testing.assert_close(model.logits(x), wanted.float())
    assert count(SoftmaxRegression(MNIST, 10, levels=256)) == 7850
    vectors = Member("softmax-regression", PLANE).trained()
    x = torch.randn(4, 2)
    wanted = vectors.linear((x - torch.tensor(PLANE.mean)) / torch.tensor(PLANE.std))
    torch.testing.assert_close(vectors.logits(x), wanted)


@pytest.mark.system("S31")
def test_lenet5_augments_as_its_options_say():
    (plain,) = Member("lenet5", COLOR).run().stages
    assert plain.augment is None
    (shifted,) = Member("lenet5", COLOR, {"shift": 2, "rotate": 5.0}).run().stages
    assert (shifted.augment.crop, shifted.augment.rotate, shifted.augment.levels) == (2, 5.0, 256)


@pytest.mark.system("S9")
def test_softmax_regression_separates_what_is_separable():
    x = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]).repeat(20, 1) + 0.3 * torch.randn(60, 2)
    y = torch.arange(60) % 3
    model = SoftmaxRegression((2,), 3, mean=(0.0, 0.0), std=(1.0, 1.0))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    first = Supervised(model).loss("model", Batch(x, y)).values
    torch.testing.assert_close(first, torch.full((60,), 3.0).log())
    for _ in range(100):
        optimizer.zero_grad()
        Supervised(model).loss("model", Batch(x, y)).values.mean().backward()
        optimizer.step()
    assert (model.logits(x).argmax(1) == y).all()


@pytest.mark.system("S16")
@pytest.mark.oracle("O14")
def test_lenet5_parameters():
    assert count(LeNet5(MNIST, 10, levels=256)) == 61_706
    assert count(LeNet5((1, 32, 32), 10, levels=256)) == 61_706
    original = OriginalLeNet5(MNIST, 10, levels=256)
    by_layer = [count(m) for m in [*original.features, *original.classifier] if count(m)]
    assert by_layer == [156, 12, 1516, 32, 48_120, 10_164]  # C1 S2 C3 S4 C5 F6 of the paper: 60,000 in all


@pytest.mark.system("S16")
@pytest.mark.parametrize("kind", [LeNet5, OriginalLeNet5])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 31, 27), (3, 32, 32), (1, 45, 64)])
def test_lenet5_takes_images_of_any_size(kind: type, shape: tuple[int, ...]):
    assert kind(shape, 7, levels=256).logits(torch.zeros(2, *shape, dtype=torch.uint8)).shape == (2, 7)


@pytest.mark.system("S16")
def test_modern_lenet5_has_no_activation_after_pooling():
    names = [type(layer).__name__ for layer in LeNet5(MNIST, 10, levels=256).features]
    assert names == ["Conv2d", "ReLU", "MaxPool2d"] * 2


@pytest.mark.system("S16")
def test_partial_connections_are_those_of_the_table():
    layer, x = PartialConv2d(6, C3_TABLE, kernel=5), torch.randn(2, 6, 14, 14)
    nn.init.normal_(layer.kernels)
    got, used = layer(x), 0
    for out, inputs in enumerate(C3_TABLE):
        kernels = layer.kernels[used : used + len(inputs)][None]
        used += len(inputs)
        torch.testing.assert_close(got[:, out : out + 1], nn.functional.conv2d(x[:, list(inputs)], kernels))
    assert used == 60
    # Every feature map of S2 is connected to ten of C3
    assert [sum(k in inputs for inputs in C3_TABLE) for k in range(6)] == [10] * 6


@pytest.mark.system("S16")
def test_subsampling_is_the_sum_times_a_coefficient_plus_a_bias():
    layer, x = Subsampling(2), torch.randn(1, 2, 4, 4)
    nn.init.normal_(layer.coefficient)
    nn.init.normal_(layer.bias)
    sums = x.unfold(2, 2, 2).unfold(3, 2, 2).sum((-1, -2))
    torch.testing.assert_close(layer(x), sums * layer.coefficient + layer.bias)


@pytest.mark.system("S16")
def test_rbf_output_is_nearest_code():
    layer = RBFCodes(84, 10)
    assert torch.equal(layer(layer.codes).argmax(1), torch.arange(10))
    assert torch.equal(layer(layer.codes).diagonal(), torch.zeros(10))
    assert set(layer.codes.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(layer.codes, RBFCodes(84, 10).codes)


@pytest.mark.system("S16")
@pytest.mark.parametrize("kind", [LeNet5, OriginalLeNet5])
def test_lenet5_fits_its_training_examples(kind: type):
    torch.manual_seed(0)
    model = kind((1, 8, 8), 4, levels=17)
    batch = Batch(torch.randint(0, 17, (16, 1, 8, 8), dtype=torch.uint8), torch.arange(16) % 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        Supervised(model).loss("model", batch).values.mean().backward()
        optimizer.step()
    assert (model.logits(batch.x).argmax(1) == batch.y).all()


@pytest.mark.system("S9", "S16")
@pytest.mark.parametrize("name", ["softmax-regression", "lenet5"])
def test_refusals(name: str):
    from dataclasses import replace

    with pytest.raises(ValueError, match=f"{name}: got data 'scans' without labels, wanted classes"):
        Member(name, replace(DIGITS, target=class_target(None))).run()
    with pytest.raises(ValueError, match="one class only"):
        Member(name, replace(DIGITS, target=class_target(("a",)))).run()
    with pytest.raises(ValueError, match="lenet5: got data 'plane' of kind vector, wanted images"):
        Member("lenet5", PLANE).run()


TRANSFORMS = {"shift": 1, "border": "reflect", "color": 0.2, "cutout": 2, "erase": 0.5, "mixup": 0.5, "cutmix": 1.0}


@pytest.mark.system("S31")
@pytest.mark.parametrize("name", [name for name in CLASSIFIERS if name not in OF_VECTORS])
def test_every_image_classifier_has_the_transforms_and_an_accuracy_of_unmixed_images_only(name):
    member = Member(name, GLYPHS if name in ("alexnet", "zfnet", "vgg", "airbench") else DIGITS, TRANSFORMS)
    (stage,) = member.run().stages
    augment = stage.augment
    assert (augment.crop, augment.border, augment.cutout, augment.erase) == (1, "reflect", 2, 0.5)
    assert (augment.brightness, augment.contrast, augment.saturation) == (0.2, 0.2, 0.2)
    assert (augment.mixup, augment.cutmix, augment.fill) == (0.5, 1.0, member.spec.mean)
    batch = member.batch(8)
    mixed = augment(batch)
    assert mixed.y.shape == (8, len(member.spec.classes))
    stage.problem.model.train()
    loss = stage.problem.loss("model", mixed)
    assert bool(loss.values.isfinite().all())
    assert "accuracy" not in loss.extras
    stage.problem.model.eval()
    assert "accuracy" in stage.problem.loss("model", batch).extras
