"""The model is unchanged afterwards, bad input is refused in one line, and selectors select."""

import copy

import pytest
import torch
from torch import nn

from probed_networks import Net, images, same, state
from thalweg.config import DataConfig, RunConfig, TrainConfig
from thalweg.interpretability import Probe
from thalweg.interpretability.layers import parse
from thalweg.recipes.runs import open_run, train

pytestmark = pytest.mark.system("S105")


@pytest.mark.parametrize("method", ["saliency", "guided", "deconv"])
@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_as_before(method, fails):
    """State, modes, gradients and hooks, also after an exception within the forward pass."""
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(400, 3)
    )
    model(images()).sum().backward()
    model.eval()
    model[3].train()  # a mode of its own
    model[0].weight.requires_grad_(False)
    before = state(model)
    if fails:
        broken = copy.deepcopy(model)
        broken[5] = nn.Linear(7, 3)
        before = state(broken)
        with pytest.raises(RuntimeError):
            getattr(Probe(broken), method)(images())
        same(before, state(broken))
    else:
        getattr(Probe(model), method)(images())
        same(before, state(model))


def test_gradients_are_computed_where_they_are_switched_off():
    """Within no_grad and inference_mode."""
    probe, x = Probe(Net(nn.ReLU()).eval()), images()
    expected = probe.saliency(x).values
    with torch.no_grad():
        assert torch.equal(probe.saliency(x).values, expected)
    with torch.inference_mode():
        assert torch.equal(probe.saliency(images()).values, expected)


BAD = {
    "a size": (lambda p: p.saliency(torch.zeros(2, 12, 12, 3)[0, 0]), "x: got shape"),
    "integers": (lambda p: p.saliency(torch.zeros(1, 1, 12, 12, dtype=torch.uint8)), "x: got integers, wanted floats"),
    "raw values": (lambda p: p.saliency(200 * images()), r"x: got values from .* wanted floats in \[0, 1\]"),
    "NaN": (lambda p: p.saliency(images() * torch.nan), "x: got values from nan"),
    "no images": (lambda p: p.saliency(images()[:0]), "x: got shape"),
    "a list": (lambda p: p.saliency([1.0]), "x: got list"),
    "a class": (lambda p: p.saliency(images(), target=4), "target: got '4', wanted a class from 0 to 3"),
    "a name": (lambda p: p.saliency(images(), target="cot"), "or a name .did you mean"),
    "too many": (lambda p: p.saliency(images(), target=[1, 2]), "got 2 classes for 3 images"),
    "a layer": (lambda p: p.gradient(images(), layer="conv3:1"), "layer: got 'conv3', wanted a layer of the network "),
    "a channel": (lambda p: p.gradient(images(), layer="conv2:8"), "got channel 8 of 'conv2', wanted 0 to 7"),
    "no channel": (lambda p: p.gradient(images(), layer="conv2"), "wanted one of its channels, 'conv2:CHANNEL'"),
    "no number": (lambda p: p.gradient(images(), layer="conv2:x"), "wanted LAYER, LAYER:CHANNEL"),
    "a position": (
        lambda p: p.gradient(images(), layer="conv2:1@9,0"),
        "position 9,0 in 'conv2', wanted one in 4×4",
    ),
    "no extent": (lambda p: p.gradient(images(), layer="fc1:1@0,0"), "has no height and width"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_line(case):
    """It says what came and what was wanted."""
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message) as error:
        call(Probe(Net(nn.ReLU(), classes=4).eval(), classes=("cat", "dog", "cow", "hen")))
    assert "\n" not in str(error.value)


class Returns(nn.Module):
    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, x):
        return self.output(x)


def test_bad_models_are_refused():
    """Tuples, other shapes, NaN, batch normalization with the batch's statistics."""
    with pytest.raises(ValueError, match="model: got tuple for 1 images"):
        Probe(Returns(lambda x: (x, x))).saliency(images())
    with pytest.raises(ValueError, match="model: got shape"):
        Probe(Returns(lambda x: x)).saliency(images())
    with pytest.raises(FloatingPointError, match="NaN or infinity among the scores"):
        Probe(Returns(lambda x: x.flatten(1) * torch.nan)).saliency(images())
    with pytest.raises(ValueError, match="batch normalization '0' in training mode"):
        Probe(nn.Sequential(nn.BatchNorm2d(1)))
    with pytest.raises(ValueError, match="batch normalization '0' without running statistics"):
        Probe(nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False)).eval())
    with pytest.raises(ValueError, match="model: got function, wanted a torch"):
        Probe(lambda x: x)
    with pytest.raises(ValueError, match="layers: got 'cnv1', wanted modules of the model"):
        Probe(Net(nn.ReLU()).eval(), layers=["cnv1"])


def test_selectors():
    """Names with dots and digits."""
    assert parse("a.0.b", ["a.0.b"]) == ("a.0.b", None, None)
    assert parse("a.0.b:3", ["a.0.b"]) == ("a.0.b", 3, None)
    assert parse("1:0@2,3", ["1"]) == ("1", 0, (2, 3))


def test_a_run_is_probed_in_its_own_units(tmp_path):
    """Images in [0, 1] become the levels of the data; classes have their names."""
    config = RunConfig(recipe="lenet5", data=DataConfig(source="digits"), train=TrainConfig(steps=2))
    folder = train(config, tmp_path / "run")
    probe, opened = Probe.of(folder), open_run(folder)
    raw = torch.from_numpy(opened.data().test.x[:4])
    x = (raw / 16).float()
    torch.testing.assert_close(probe.scores(x), opened.model.eval().logits(raw), atol=1e-5, rtol=1e-5)
    found = probe.saliency(x, target="3")
    assert found.target == (3, 3, 3, 3)
    assert found._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"x: got images of shape \(1, 9, 9\), wanted \(1, 8, 8\)"):
        probe.saliency(torch.zeros(1, 1, 9, 9))


def test_progress_counts_images():
    """After each chunk."""
    probe, seen = Probe(Net(nn.ReLU()).eval()), []
    probe._chunk = 2
    probe.saliency(images(5), progress=lambda done, n: seen.append((done, n)))
    assert seen == [(2, 5), (4, 5), (5, 5)]


FIELDS = {
    "a name twice": ({"classes": ("a", "a", "b", "c")}, "classes: got the same name twice"),
    "numbers": ({"classes": (1, 2, 3, 4)}, "wanted a sequence of names"),
    "one number": ({"classes": 5}, "classes: got 5"),
    "a flat shape": ({"shape": (12, 12)}, "shape: got"),
    "an empty shape": ({"shape": (1, 0, 12)}, "shape: got"),
    "a number": ({"normalize": 3}, "normalize: got 3"),
    "a negative std": ({"normalize": ((0.5,), (-0.1,))}, "normalize: got"),
    "a zero std": ({"normalize": ((0.5,), (0.0,))}, "normalize: got"),
    "two lengths": ({"normalize": ((0.5,), (0.1, 0.2))}, "normalize: got"),
}


@pytest.mark.parametrize("case", FIELDS)
def test_fields_that_cannot_be_used_are_refused(case):
    """When the probe is made."""
    fields, message = FIELDS[case]
    with pytest.raises(ValueError, match=message):
        Probe(Net(nn.ReLU()).eval(), **fields)


def test_scores_that_cannot_be_explained_are_refused():
    """Without a gradient, of integers, infinite, and more or fewer than the names of the classes."""
    linear = nn.Linear(144, 4)
    for output, error, message in (
        (lambda x: linear(x.flatten(1)).detach(), ValueError, "without a gradient in the images"),
        (lambda x: linear(x.flatten(1)).long(), ValueError, "scores of type torch.int64"),
        (lambda x: linear(x.flatten(1)) / 0, FloatingPointError, "NaN or infinity"),
    ):
        with pytest.raises(error, match=message):
            Probe(Returns(output)).saliency(images())
    with pytest.raises(ValueError, match="classes: got 2 names for 4 scores"):
        Probe(Net(nn.ReLU()).eval(), classes=("a", "b")).saliency(images())


def test_layers_that_return_tuples_are_no_obstacle_where_they_are_not_selected():
    """A recurrent layer within the network."""

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.out = nn.LSTM(12, 5, batch_first=True), nn.Linear(5, 3)

        def forward(self, x):
            return self.out(self.lstm(x[:, 0])[0][:, -1])

    probe = Probe(Recurrent().eval())
    assert probe.saliency(images()).values.any()
    assert probe.occlusion(images()).values.shape[0] == 3
    assert probe.activations(images(), "out").values.shape == (3, 3)
    assert probe.activation_statistics(images()).settings["layers"] == ["out"]
    with pytest.raises(ValueError, match="got 'lstm', which returns tuple"):
        probe.activations(images(), "lstm")
