"""`thalweg explain`: pictures, numbers and a page, of runs and of a user's own modules."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from thalweg.cli import main
from thalweg.interpretability import Probe
from thalweg.interpretability.methods import METHODS, last_hidden
from thalweg.recipes.runs import open_run

pytestmark = [pytest.mark.system("S105"), pytest.mark.system("S107"), pytest.mark.system("S108")]
MODULE = """
from torch import nn

def network():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))
    net.classes, net.normalize, net.shape = ("<b>cat</b>", "dog"), ((0.5,), (0.25,)), (1, 8, 8)
    return net

def sized(): net = network(); del net.shape; return net
def sigmoid(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.Sigmoid(), nn.Linear(5, 2))
def one_layer(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
def no_gradient():
    class Steps(nn.Module):
        def forward(self, x): return (x.flatten(1)[:, :2] > 0.5).float()
    return Steps()
def number(): return 3
def fails(): raise RuntimeError("no weights\\nhere")
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A convolutional network on images of 256 levels and two classes, 1×8×8, and an autoencoder of the same images."""
    root = tmp_path_factory.mktemp("explained")
    x = np.random.default_rng(0).integers(0, 256, (60, 8, 8)).astype(np.uint8)
    np.savez(root / "images.npz", x=x, y=np.arange(60) % 2)
    for recipe in ("lenet5", "vae"):
        command = ["train", recipe, "--data", str(root / "images.npz"), "--steps", "2", "--run", str(root / recipe)]
        assert main([*command, "--device", "cpu"]) == 0
    return root


@pytest.fixture
def here(runs, tmp_path, monkeypatch):
    """A folder with the user's module and images, which is the current folder."""
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "random.py").write_text("raise SystemExit('a file of the current folder was imported')")
    (tmp_path / "dog.png").write_bytes(b"no image")
    Image.fromarray(np.full((12, 20, 3), 200, dtype=np.uint8)).save(tmp_path / "color.png")
    Image.fromarray(np.full((8, 8), 90, dtype=np.uint8)).save(tmp_path / "gray.png")
    Image.fromarray(np.full((8, 8), 9000, dtype=np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "color.png").read_bytes()[:60])
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "mine", raising=False)
    return tmp_path


def explained(capsys, *words):
    assert main(["explain", *map(str, words), "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_writes_its_picture_and_the_numbers_of_the_probe(method, runs, here, capsys):
    """The six first test examples; the numbers are those of the probe in Python."""
    document = explained(capsys, runs / "lenet5", method)
    assert document["out"] == f"lenet5-{method}.png"
    with Image.open(here / document["out"]) as picture:
        assert min(picture.size) > 40
    assert [image.split(" (")[0] for image in document["images"]] == [f"test example {i}" for i in range(6)]
    numbers = document["results"][method]
    probe, data = Probe.of(runs / "lenet5"), open_run(runs / "lenet5").data()
    x = torch.from_numpy(data.test.x[:6] / np.float32(255))
    if METHODS[method].takes == ("target",) or method in ("gradient", "guided", "deconv", "occlusion"):
        values = getattr(probe, method)(x).values
        assert numbers["largest"] == pytest.approx(float(values.max()), rel=1e-5)
    if method == "neighbors":
        images = torch.from_numpy(data.train.x / np.float32(255))
        assert numbers["values"] == probe.neighbors(x, images, last_hidden(probe, x)).values.tolist()


def test_a_file_is_explained_like_the_example_that_it_shows(runs, here, capsys):
    """The third test example as a file, in gray and in color."""
    x = open_run(runs / "lenet5").data().test.x[2, 0]
    Image.fromarray(x).save("third.png")
    Image.fromarray(x).convert("RGB").save("third-color.png")
    one = explained(capsys, runs / "lenet5", "saliency", "--index", 2, "--target", 1)
    two = explained(capsys, runs / "lenet5", "saliency", "--image", "third.png", "third-color.png", "--target", 1)
    (p,), pair = (document["results"]["saliency"]["probability"] for document in (one, two))
    assert pair == pytest.approx([p, p], rel=1e-6)
    assert two["results"]["saliency"]["target"] == [1, 1]
    assert two["images"] == ["third.png", "third-color.png"]


def test_images_of_other_data_are_their_test_examples(runs, here, capsys):
    """The run's own file named as other data gives the same numbers, by index or by default."""
    own = explained(capsys, runs / "lenet5", "saliency", "--index", 1, 4)
    other = explained(capsys, runs / "lenet5", "saliency", "--index", 1, 4, "--data", runs / "images.npz")
    first = explained(capsys, runs / "lenet5", "saliency")
    assert own["results"] == other["results"]
    assert own["images"] == [first["images"][1], first["images"][4]]


def test_a_page_without_readable_data_has_the_other_methods(runs, here, capsys, tmp_path):
    """The data of a run are gone: a file is explained, but no patches and neighbors are searched."""
    import shutil

    shutil.copy(runs / "images.npz", tmp_path / "gone.npz")
    command = ["train", "lenet5", "--data", str(tmp_path / "gone.npz"), "--steps", "1", "--run", "run"]
    assert main([*command, "--device", "cpu"]) == 0
    capsys.readouterr()
    (tmp_path / "gone.npz").unlink()
    document = explained(capsys, "run", "all", "--image", "gray.png")
    assert set(document["failed_methods"]) == {"top-patches", "neighbors", "embed"}
    assert all("gone.npz" in reason for reason in document["failed_methods"].values())


def test_all_methods_are_on_one_page_without_network(runs, here, capsys):
    """A module whose class has a name with tags; the searched images are those of --data."""
    document = explained(capsys, "mine:network", "all", "--image", "color.png", "--data", runs / "images.npz")
    assert document["out"] == "network-all.html"
    assert not document["failed_methods"]
    page = (here / "network-all.html").read_text()
    assert all(f"<h2>{method.title}</h2>" in page for method in METHODS.values())
    assert page.count("data:image/png;base64,") == 1 + len(METHODS)
    assert "&lt;b&gt;cat&lt;/b&gt;" in page
    assert "<b>cat" not in page
    assert not re.search(r"https?://|<script|src=\"(?!data:)", page)
    assert "default-src &#x27;none&#x27;" in page


def test_the_page_has_reasons_for_methods_that_do_not_apply(runs, here, capsys):
    """A network without rectifiers, convolutions and training images."""
    failed = explained(capsys, "mine:one_layer", "all", "--image", "gray.png")["failed_methods"]
    assert {"guided", "deconv", "filters", "top-patches", "neighbors", "activations", "embed"} == set(failed)
    page = (here / "one_layer-all.html").read_text()
    assert "Not available: model: got no rectifier" in page


def test_a_module_is_normalized_and_resized_by_its_attributes(runs, here, capsys):
    """A constant image becomes (90/255 − 1/2)/(1/4); without `shape` it keeps its size."""
    found = explained(capsys, "mine:network", "occlusion", "--image", "gray.png", "--out", "a.png")
    assert found["results"]["occlusion"]["classes"] == found["predictions"]
    from thalweg.applications.explain import opened

    assert opened("mine:network").probe.normalize(torch.full((1, 1, 1, 1), 0.5)).item() == 0
    assert opened("mine:sized").probe.shape is None
    explained(capsys, "mine:sized", "saliency", "--image", "gray.png")


MISTAKES = {
    "unknown method": ("lenet5", "salience", (), r"METHOD: got 'salience', wanted .*did you mean 'saliency'"),
    "unknown layer": ("lenet5", "activations", ("--layer", "con1"), "--layer: got 'con1', wanted a layer of the netw"),
    "no spatial extent": ("lenet5", "guided", ("--layer", "classifier.4:0@1,1"), r"--layer: got a position in .*no he"),
    "no convolution": ("lenet5", "filters", ("--layer", "classifier.4"), r"--layer: got 'classifier.4', a Linear, wan"),
    "no channel": ("lenet5", "gradient", ("--layer", "features.0"), r"--layer: got 'features.0', wanted one of its ch"),
    "layer not taken": ("lenet5", "saliency", ("--layer", "features.0:1"), r"--layer: got 'features.0:1' with salienc"),
    "target not taken": ("lenet5", "filters", ("--target", "1"), r"--target: got '1' with filters, wanted none"),
    "both": ("lenet5", "guided", ("--layer", "features.0:1", "--target", "1"), "--target: got '1' with a layer"),
    "class": ("lenet5", "saliency", ("--target", "2"), "--target: got '2', wanted a class from 0 to 1"),
    "index": ("lenet5", "saliency", ("--index", "600"), "--index: got 600, wanted a test example of images.npz from"),
    "negative index": ("lenet5", "saliency", ("--index", "-1"), "--index: got -1, wanted a test example"),
    "index and image": ("lenet5", "saliency", ("--index", "1", "--image", "gray.png"), "--index: got 1 with image fil"),
    "no file": ("lenet5", "saliency", ("--image", "cat.png"), "--image: got 'cat.png', wanted an image file that exis"),
    "no image": ("lenet5", "saliency", ("--image", "dog.png"), r"dog.png: got no readable image"),
    "damaged image": ("lenet5", "saliency", ("--image", "half.png"), r"half.png: got no readable image .image file is"),
    "16 bits": ("lenet5", "saliency", ("--image", "deep.png"), r"deep.png: got 16 bits per channel, wanted 8"),
    "all of two": ("lenet5", "all", ("--index", "1", "2"), "--index: got 2 images, wanted one for the page"),
    "no classifier": ("vae", "saliency", (), "RUN: got vae on images.npz, wanted a classifier of"),
    "no run": ("no-run", "saliency", (), "no-run"),
    "no rectifier": ("mine:one_layer", "guided", ("--image", "gray.png"), "model: got no rectifier in the forward pas"),
    "sigmoid": ("mine:sigmoid", "deconv", ("--image", "gray.png"), "model: got no rectifier"),
    "no hidden layer": ("mine:one_layer", "neighbors", ("--image", "gray.png", "--data", "digits"), "--layer: got a n"),
    "no gradient": ("mine:no_gradient", "saliency", ("--image", "gray.png"), "model: got scores without a gradient in"),
    "no data": ("mine:network", "saliency", (), "--data: got nothing with mine:network, wanted the data"),
    "not images": ("mine:network", "saliency", ("--data", "moons"), "--data: got moons of kind vector, wanted images"),
    "wrong size": ("mine:sized", "saliency", ("--image", "color.png"), "--image: got images of shape .1, 12, 20., wit"),
    "sizes": ("mine:sized", "saliency", ("--image", "gray.png", "color.png"), "--image: got 'color.png' of shape"),
    "no module": ("mine:number", "saliency", (), "RUN: got 'mine:number', which returned int, wanted a torch.nn.Modul"),
    "factory fails": ("mine:fails", "saliency", (), "RUN: got 'mine:fails', wanted a factory .*RuntimeError: no weigh"),
    "no factory": ("mine:none", "saliency", (), r"RUN: got 'mine:none', wanted a factory"),
    "no such module": ("minus:none", "saliency", (), r"RUN: got 'minus:none', wanted a factory .*ModuleNotFoundError"),
    "out": ("lenet5", "saliency", ("--out", "a.jpg"), "--out: got 'a.jpg', wanted a file name ending in .png"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_no_file(mistake, runs, here, capsys):
    source, method, options, message = MISTAKES[mistake]
    files = sorted(path.name for path in here.glob("*.*"))
    assert main(["explain", source if ":" in source else str(runs / source), method, *options]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.count("\n") == 1, err
    assert re.search(message, err), err
    assert sorted(path.name for path in here.glob("*.*")) == files
