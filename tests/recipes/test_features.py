"""The features that samples are compared by: the trained network and its cache, other networks, and errors."""

import subprocess
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.neighbors import KNeighborsClassifier

from thalweg.config import DataConfig
from thalweg.data import Dataset, Spec, Split, class_target, load
from thalweg.models.classifiers.inception import Inception
from thalweg.recipes import feature_network
from thalweg.recipes.features import features_for


@pytest.fixture(scope="module")
def digits():
    return load(DataConfig(source="digits"))


@pytest.fixture(scope="module")
def kept(digits, tmp_path_factory):
    """A cache that contains the network of the digits, and the messages."""
    cache, messages = tmp_path_factory.mktemp("cache"), []
    return cache, features_for(digits, cache=cache, log=messages.append), messages


def small(n=40, shape=(3, 9, 8), labels=False, fingerprint="f00"):
    """A small data set of random images."""
    x = np.random.default_rng(0).integers(0, 256, (n, *shape)).astype(np.uint8)
    part = Split(x, np.arange(n) % 2 if labels else None)
    channels = shape[0]
    spec = Spec(name="small", kind="image", shape=shape, levels=256, mean=(127.0,) * channels, std=(74.0,) * channels,
                target=class_target(("a", "b") if labels else None), fingerprint=fingerprint)  # fmt: skip
    return Dataset(spec, part, part, part)


def of(result, x):
    return result.extract(torch.from_numpy(np.array(x))).numpy()


def neighbors_accuracy(result, data):
    known = KNeighborsClassifier(5).fit(of(result, data.train.x), data.train.y)
    return known.score(of(result, data.test.x), data.test.y)


# the network


def test_it_is_trained_once(digits, kept, monkeypatch):
    cache, first, messages = kept
    assert messages == ["training a feature network for the images of digits, once for these data"]
    monkeypatch.delattr(feature_network, "_train")  # its absence would be noticed
    again = features_for(digits, "auto", cache=cache, log=messages.append)
    assert len(messages) == 1
    assert again.name == first.name
    assert (of(again, digits.test.x) == of(first, digits.test.x)).all()
    files = [path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file()]
    assert files == [f"features/{digits.spec.fingerprint}-2.safetensors"]


def test_its_features_have_unit_variance_on_average(digits, kept):
    _, result, _ = kept
    assert of(result, digits.train.x).var(axis=0).mean() == pytest.approx(1, abs=0.01)


def test_its_name_has_the_hash_of_its_weights(digits, kept):
    import hashlib

    from safetensors.torch import save

    cache, result, _ = kept
    weights = load_file(cache / "features" / f"{digits.spec.fingerprint}-2.safetensors")
    digest = hashlib.sha256(save(dict(sorted(weights.items())))).hexdigest()
    assert result.name == f"network trained on digits (sha256 {digest[:12]})"


def test_features_of_a_classifier_separate_classes(digits, kept):
    _, result, _ = kept
    features = of(result, digits.test.x)
    assert features.shape == (180, 64)
    assert neighbors_accuracy(result, digits) >= 0.95
    assert (features.std(axis=0) > 1e-3).all()  # none is dead


def test_features_without_labels_are_a_code(digits, tmp_path):
    bare = replace(digits.spec, target=None, fingerprint="bare")
    data = Dataset(bare, Split(digits.train.x), Split(digits.validation.x), Split(digits.test.x))
    result = features_for(data, cache=tmp_path)
    features = of(result, digits.train.x)
    assert features.shape == (1437, 64)
    # a linear map from the 64 latent dimensions back to the 64 pixels explains most of the variance
    x = digits.train.x.reshape(1437, -1).astype(np.float64)
    design = np.column_stack([features, np.ones(len(x))])
    rest = x - design @ np.linalg.lstsq(design, x, rcond=None)[0]
    assert rest.var() < 0.1 * (x - x.mean(axis=0)).var()


@pytest.mark.parametrize("damage", ["cut", "turned", "others", "bare", "empty"])
def test_a_damaged_file_is_replaced(damage, tmp_path):
    data, messages = small(labels=True), []
    first = features_for(data, cache=tmp_path)
    path = tmp_path / "features" / "f00-2.safetensors"
    whole = path.read_bytes()
    if damage == "others":
        save_file(
            {"weight": torch.zeros(3)}, path, metadata={"sha256": feature_network._digest({"weight": torch.zeros(3)})}
        )
    elif damage == "bare":
        save_file(load_file(path), path)  # without its checksum
    else:
        turned = bytearray(whole)
        turned[-1] ^= 1  # one bit
        path.write_bytes({"cut": whole[: len(whole) // 2], "turned": bytes(turned), "empty": b""}[damage])
    again = features_for(data, cache=tmp_path, log=messages.append)
    assert again.name == first.name  # the same data and seed, the same weights
    assert len(messages) == 2
    assert "is damaged" in messages[0]
    assert "\n" not in messages[0]
    assert path.read_bytes() == whole
    assert features_for(data, cache=tmp_path, log=messages.append).name == first.name
    assert len(messages) == 2


def test_other_data_have_another_network(tmp_path):
    one, other = small(fingerprint="one"), small(n=30, fingerprint="other")
    assert features_for(one, cache=tmp_path).name != features_for(other, cache=tmp_path).name
    assert len(list((tmp_path / "features").iterdir())) == 2


def test_data_without_a_fingerprint_are_not_kept(tmp_path):
    features_for(small(fingerprint=""), cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path):
    (tmp_path / "features").write_text("a file where the folder should be")
    messages = []
    result = features_for(small(), cache=tmp_path, log=messages.append)
    assert of(result, small().test.x).shape == (40, 64)
    assert "cannot be written" in messages[1]


def test_the_default_cache_is_that_of_the_data(tmp_path, monkeypatch):
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path))
    features_for(small())
    assert (tmp_path / "features" / "f00-2.safetensors").is_file()


def test_two_processes_at_once(tmp_path):
    code = (
        "import sys; from thalweg.config import DataConfig; from thalweg.data import load;"
        "from thalweg.recipes.features import features_for;"
        "print(features_for(load(DataConfig(source='digits', examples=60)), cache=sys.argv[1]).name)"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    names = {process.communicate(timeout=1800)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    messages = []
    names.add(features_for(load(DataConfig(source="digits", examples=60)), cache=tmp_path, log=messages.append).name)
    assert messages == []
    assert len(names) == 1
    assert len(list((tmp_path / "features").iterdir())) == 1  # no half-written file is left


def test_global_randomness_is_left_alone(tmp_path):
    before = torch.random.get_rng_state()
    features_for(small(), cache=tmp_path)
    assert (torch.random.get_rng_state() == before).all()


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 64, 64), (3, 100, 70)])
@pytest.mark.parametrize("labeled", [True, False])
def test_images_of_any_size(shape, labeled):
    spec = small(n=2, shape=shape).spec
    network = feature_network._network(spec, labeled)
    x = torch.randint(0, 256, (2, *shape), dtype=torch.uint8)
    assert network(x).shape == (2, 64)
    assert (network[0](x).mean().abs() < 0.1) or shape == (1, 8, 8)


# the raw values


def test_raw_values(digits):
    points = load(DataConfig(source="moons", examples=100))
    assert features_for(points) is None
    assert features_for(points, "auto") is None
    assert features_for(digits, "pixels") is None
    assert features_for(small(shape=(1, 7, 9))) is None  # too small for the network


# others


def test_a_factory_of_ones_own(digits, monkeypatch):
    own = types.ModuleType("own_features")
    own.sums = lambda: lambda x: x.flatten(1).float().sum(dim=1, keepdim=True)
    own.number = lambda: 3
    own.broken = lambda: 1 / 0
    monkeypatch.setitem(sys.modules, "own_features", own)
    result = features_for(digits, "own_features:sums")
    assert result.name == "own_features:sums"
    assert of(result, digits.test.x[:2]).ravel().tolist() == digits.test.x[:2].reshape(2, -1).sum(axis=1).tolist()
    for choice, words in {
        "own_features:number": "which returned int, wanted a callable",
        "own_features:broken": "ZeroDivisionError: division by zero",
        "own_features:missing": "AttributeError",
        "nowhere.at_all:features": "ModuleNotFoundError: No module named 'nowhere'",
    }.items():
        with pytest.raises(ValueError, match=words) as refused:
            features_for(digits, choice)
        assert str(refused.value).startswith(f"features: got '{choice}'")
        assert "\n" not in str(refused.value)


def test_inception(digits, tmp_path):
    import hashlib

    torch.manual_seed(0)
    path = tmp_path / "weights.pth"
    network = Inception(levels=17).eval()
    torch.save(network.state_dict(), path)
    result = features_for(digits, str(path))
    assert result.name == f"Inception-v3 (sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:12]})"
    with torch.no_grad():
        wanted = network(torch.from_numpy(digits.test.x[:2]))
    assert (result.extract(torch.from_numpy(digits.test.x[:2])) == wanted).all()
    points = load(DataConfig(source="moons", examples=100))
    with pytest.raises(ValueError, match="with data 'moons' of kind vector, wanted images"):
        features_for(points, str(path))


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("autp", r"features: got 'autp', wanted one of auto, pixels, .*\(did you mean 'auto'\?\)"),
        ("gone.pth", "features: got gone.pth, which cannot be read"),
    ],
)
def test_another_choice(choice, words, digits):
    with pytest.raises(ValueError, match=words):
        features_for(digits, choice)
