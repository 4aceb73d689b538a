"""Applications of autoencoders: `thalweg cluster`, `thalweg compress`, and anomalies, on real digits."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, roc_auc_score

from thalweg.cli import main
from thalweg.data import load
from thalweg.evaluation.groups import evaluate
from thalweg.recipes.runs import open_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An autoencoder of the digits, trained for a second or two."""
    folder = tmp_path_factory.mktemp("applications") / "run"
    options = ["--architecture", "dense", "--hidden", "128", "--steps", "400", "--lr", "3e-3", "--device", "cpu"]
    assert main(["train", "autoencoder", "--data", "digits", *options, "--run", str(folder)]) == 0
    return folder


def answer(capsys, *arguments):
    capsys.readouterr()
    code = main([*map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out)


def refusal(capsys, *arguments):
    capsys.readouterr()
    assert main([*map(str, arguments)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err


def columns(path):
    with open(path) as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def size(path):
    with Image.open(path) as image:
        return image.size


@pytest.mark.system("S72")
def test_clusters_of_digits_are_mostly_digits(run, tmp_path, capsys):
    result = answer(capsys, "cluster", run, "--split", "train", "--out", tmp_path / "c.csv")
    measures = {m["name"]: m for m in result["measures"]}
    table = {name: values.astype(int) for name, values in columns(tmp_path / "c.csv").items()}
    y = load(open_run(run).config.data).train.y
    assert (table["label"] == y).all()
    assert (table["index"] == load(open_run(run).config.data).train.index).all()  # rows of the source
    assert np.bincount(table["cluster"]).tolist() == result["sizes"]
    assert len(result["sizes"]) == result["clusters"] == 10
    assert measures["NMI"]["value"] == pytest.approx(normalized_mutual_info_score(y, table["cluster"]))
    assert measures["ARI"]["value"] == pytest.approx(adjusted_rand_score(y, table["cluster"]))
    assert measures["NMI"]["value"] > 0.55
    assert measures["matched accuracy"]["value"] > 55
    assert measures["NMI"]["varies"] == "train examples"
    assert measures["NMI"]["protocol"]["clusters"] == 10


@pytest.mark.system("S72")
def test_clusters_are_drawn_and_printed(run, trained, tmp_path, capsys):
    assert main(["cluster", str(run), "--clusters", "4", "--out", str(tmp_path / "c.png")]) == 0
    out = capsys.readouterr().out
    assert "180 codes in 4 clusters of" in out
    assert "NMI  " in out
    assert "matched accuracy" in out
    assert size(tmp_path / "c.png") == (960, 297)
    answer(
        capsys, "cluster", trained["real-nvp"], "--clusters", 2, "--out", tmp_path / "plane.png"
    )  # vectors: their codes
    assert size(tmp_path / "plane.png") == (720, 720)
    answer(capsys, "cluster", run, "--out", tmp_path / "c.npz")
    with np.load(tmp_path / "c.npz") as file:
        assert {name: file[name].shape for name in file} == {
            "index": (180,),
            "cluster": (180,),
            "label": (180,),
            "centers": (10, 20),
        }


@pytest.mark.system("S72")
def test_data_without_labels_are_clustered_without_measures(trained, tmp_path, capsys):
    source = tmp_path / "points.csv"
    np.savetxt(source, np.random.default_rng(0).normal(size=(200, 2)), delimiter=",", header="a,b", comments="")
    result = answer(capsys, "cluster", trained["real-nvp"], source, "--clusters", 3, "--out", tmp_path / "c.csv")
    assert result["measures"] == []
    assert list(columns(tmp_path / "c.csv")) == ["index", "cluster"]
    assert "CLUSTERS" not in (err := refusal(capsys, "cluster", trained["real-nvp"], source))
    assert "--clusters: got none, and 'points.csv' has no classes, wanted a number of clusters" in err


@pytest.mark.system("S72")
def test_data_that_cannot_be_clustered_are_refused(run, trained, tmp_path, capsys):
    assert "of the recipe wgan, wanted a model that can encode" in refusal(capsys, "cluster", trained["wgan"])
    assert "--clusters: got 0" in refusal(capsys, "cluster", run, "--clusters", 0)
    assert "--clusters: got 500, wanted a number from 1 to 180" in refusal(capsys, "cluster", run, "--clusters", 500)
    assert "--out: got 'c.txt', wanted" in refusal(capsys, "cluster", run, "--out", "c.txt")
    assert "moons" in refusal(capsys, "cluster", run, "moons")


@pytest.mark.system("S72")
def test_a_rate_distortion_curve_of_digits(run, tmp_path, capsys):
    result = answer(capsys, "compress", run, "--out", tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text()).items() <= result.items()
    assert next(iter(result["curves"])) == "autoencoder"
    assert len(result["curves"]) == 4
    points = result["curves"]["autoencoder"]
    rates, errors = ([p[name]["value"] for p in points] for name in ("bits/pixel", "squared error"))
    assert rates == sorted(rates)
    assert errors[:4] == sorted(errors[:4], reverse=True)
    assert [p["setting"] for p in points] == pytest.approx([points[0]["setting"] / 2**i for i in range(6)])
    for point in points:
        assert point["bits/pixel"]["value"] == pytest.approx(8 * point["bytes"] / (180 * 64))
        assert sum(point["parts"].values()) == point["bytes"]
    opened = open_run(run, device="cpu")
    x = torch.from_numpy(load(opened.config.data).test.x)
    with torch.no_grad():
        exact = (opened.model.reconstruct(x).clamp(0, 16) - x).square().mean().item()
        z = opened.model.encode(x)
        coarse = opened.model.decode((z / points[0]["setting"]).round() * points[0]["setting"])
    assert result["unquantized"]["squared error"]["value"] == pytest.approx(exact, rel=1e-5)
    assert errors[-1] == pytest.approx(exact, rel=0.02)
    assert errors[0] == pytest.approx((coarse.clamp(0, 16) - x).square().mean().item(), rel=1e-3)
    assert points[0]["setting"] == pytest.approx(2 * z.var(dim=0, correction=0).mean().sqrt().item(), rel=1e-5)
    sheet = next(p for p in result["curves"]["JPEG, all images in one file"] if p["setting"] == 20)
    assert rates[1] < sheet["bits/pixel"]["value"]  # at about the same error
    assert errors[1] < 1.5 * sheet["squared error"]["value"]


@pytest.mark.system("S72")
def test_curves_are_written_and_printed(run, trained, tmp_path, capsys):
    assert main(["compress", str(run), "--points", "2", "--out", str(tmp_path / "r.csv")]) == 0
    out = capsys.readouterr().out
    assert "JPEG, all images in one file" in out
    assert "not counted: the network's" in out
    table = columns(tmp_path / "r.csv")
    assert len(table["coder"]) == 2 + 3 * 9
    assert set(table["coder"]) >= {"autoencoder", "JPEG, without headers"}
    assert table["psnr"].astype(float).min() > 10
    answer(capsys, "compress", trained["vae"], "--points", 1, "--out", tmp_path / "r.png")  # any model will do
    assert size(tmp_path / "r.png") == (768, 528)


@pytest.mark.system("S72")
def test_data_that_cannot_be_compressed_are_refused(run, trained, capsys):
    assert "a real-nvp of vectors, wanted one of images" in refusal(capsys, "compress", trained["real-nvp"])
    assert "of the recipe wgan, wanted a model that can encode and decode" in refusal(
        capsys, "compress", trained["wgan"]
    )
    assert "--points: got 0" in refusal(capsys, "compress", run, "--points", 0)
    assert "--out: got 'r.pdf'" in refusal(capsys, "compress", run, "--out", "r.pdf")


@pytest.mark.system("S72")
def test_inverted_and_shuffled_digits_are_found(run):
    opened = open_run(run, device="cpu")
    data = load(opened.config.data)
    x = np.asarray(data.test.x)
    shuffled = np.random.default_rng(0).permuted(x.reshape(len(x), -1), axis=1).reshape(x.shape)
    others = {"inverted": (16 - x).astype(np.uint8), "shuffled": shuffled}
    result = {e.name: e for e in evaluate(opened.model, data, anomalies=others)}
    for name, anomalous in others.items():
        estimate = result[f"anomaly AUROC: {name}"]
        assert estimate.value > 99
        with torch.no_grad():
            both = opened.model.score(torch.from_numpy(np.concatenate([x, anomalous]))).numpy()
        assert estimate.value == pytest.approx(100 * roc_auc_score(np.repeat([0, 1], len(x)), both))
