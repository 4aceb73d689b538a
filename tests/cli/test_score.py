"""`thalweg score`: every row against the score of the model itself, in the order of the source."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from thalweg.applications.score import score
from thalweg.cli import main
from thalweg.data import load
from thalweg.evaluation.examples import seeded
from thalweg.recipes.runs import open_run


def answer(capsys, *arguments):
    capsys.readouterr()
    code = main([*map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out), err


def table_of(path):
    with open(path) as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def unsure(run, x):
    """Minus the largest softmax probability."""
    with torch.no_grad():
        logits = open_run(run, device="cpu").model.logits(torch.from_numpy(np.array(x)))
    return -logits.double().softmax(dim=1).amax(dim=1).numpy()


@pytest.mark.system("S72")
def test_the_score_of_a_classifier_is_its_negative_confidence(trained, tmp_path, capsys):
    run, out = trained["softmax-regression"], tmp_path / "s.csv"
    result, _ = answer(capsys, "score", run, "digits", "--out", out, "--batch-size", 100)
    data = load(open_run(run).config.data)
    table = table_of(out)
    assert list(table) == ["index", "score", "percentile"]
    assert result["n"] == len(table["score"]) == 1797
    assert result["score"] == "−largest softmax probability"
    assert (table["index"] == np.arange(1797)).all()
    from sklearn.datasets import load_digits

    expected = unsure(run, load_digits().images.astype(np.uint8)[:, None])  # in the order of the source
    assert table["score"] == pytest.approx(expected, abs=1e-6)
    own = unsure(run, data.test.x)
    percentile = [100 * np.mean((own < s) + 0.5 * (own == s)) for s in expected[:50]]
    assert table["percentile"][:50] == pytest.approx(percentile, abs=0.3)
    assert result["beyond_95"] == (table["percentile"] > 95).sum()
    assert len(result["most_anomalous"]) == 5
    assert result["most_anomalous"][0]["score"] == pytest.approx(expected.max())
    assert result["most_anomalous"][0]["index"] == expected.argmax()


def test_the_runs_own_test_split(trained, tmp_path, capsys):
    result, _ = answer(capsys, "score", trained["vae"], "--seed", 3, "--out", tmp_path / "s.npz")
    with np.load(tmp_path / "s.npz") as file:
        table = dict(file)
    assert (result["split"], result["n"], result["score"]) == ("test", 180, "−elbo")
    assert table["percentile"].mean() == pytest.approx(50.0)
    opened = open_run(trained["vae"], device="cpu")
    x = torch.from_numpy(load(opened.config.data).test.x)
    with torch.no_grad(), seeded(3, "score", 0):
        assert table["score"] == pytest.approx(-opened.model.elbo(x).double().numpy())
    answer(capsys, "score", trained["vae"], "--split", "all", "--out", tmp_path / "all.npz")
    with np.load(tmp_path / "all.npz") as file:
        assert len(file["index"]) == 1797


def test_a_table_is_scored_row_by_row(trained, tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(40, 2))
    x[7] = 500.0
    source = tmp_path / "points.csv"
    np.savetxt(source, x, delimiter=",", header="a,b", comments="")
    result, _ = answer(capsys, "score", trained["real-nvp"], source, "--out", tmp_path / "s.csv")
    assert result["most_anomalous"][0]["index"] == 7
    assert result["most_anomalous"][0]["percentile"] == 100.0
    table = table_of(tmp_path / "s.csv")
    with torch.no_grad():
        wanted = -open_run(trained["real-nvp"], device="cpu").model.log_prob(torch.from_numpy(x.astype(np.float32)))
    assert table["score"] == pytest.approx(wanted.double().numpy(), rel=1e-5)


def test_images_of_a_folder_are_in_order_of_their_names(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "cache"))
    (tmp_path / "in").mkdir()
    x = np.random.default_rng(1).integers(0, 256, (12, 1, 8, 8)).astype(np.uint8)
    for i, image in enumerate(x):
        Image.fromarray(image[0]).save(tmp_path / "in" / f"{i:02}.png")
    answer(capsys, "score", trained["own"], tmp_path / "in", "--out", tmp_path / "s.csv")
    with open(tmp_path / "s.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["index"] for row in rows] == [f"{i:02}.png" for i in range(12)]
    assert [float(row["score"]) for row in rows] == pytest.approx(unsure(trained["own"], x), abs=1e-6)


def test_labels_may_differ_from_those_of_the_run(trained, tmp_path, capsys):
    source = tmp_path / "others.npz"
    np.savez(source, x=np.zeros((20, 8, 8), dtype=np.uint8), y=np.array(["cat"] * 20))
    result, _ = answer(capsys, "score", trained["own"], source, "--out", tmp_path / "s.csv")
    assert result["n"] == 20


def test_without_the_runs_own_data_there_are_no_percentiles(trained, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(trained["own"], run)
    header = json.loads((run / "run.json").read_text())
    del header["checksum"]  # edited on purpose
    header["config"]["data"]["source"] = str(tmp_path / "gone.npz")
    (run / "run.json").write_text(json.dumps(header))
    source = tmp_path / "images.npz"
    np.savez(source, x=np.zeros((20, 8, 8), dtype=np.uint8))
    result, err = answer(capsys, "score", run, source, "--out", tmp_path / "s.csv")
    assert result["beyond_95"] is None
    assert list(table_of(tmp_path / "s.csv")) == ["index", "score"]
    assert "no percentiles: the run's own data cannot be read" in err
    header["config"]["data"]["source"] = str(source)  # other images than it was trained on
    (run / "run.json").write_text(json.dumps(header))
    assert "have changed" in answer(capsys, "score", run, source, "--out", tmp_path / "s.csv")[1]


def test_infinite_scores_are_written(trained, tmp_path, capsys, monkeypatch):
    from thalweg.models.shallow.softmax_regression import SoftmaxRegression

    monkeypatch.setattr(SoftmaxRegression, "score", lambda self, x: x.flatten(1).float().sum(1).log(), raising=False)
    source = tmp_path / "images.npz"
    x = np.ones((20, 8, 8), dtype=np.uint8)
    x[3] = 0
    np.savez(source, x=x)
    result, _ = answer(capsys, "score", trained["own"], source, "--out", tmp_path / "s.csv")
    assert table_of(tmp_path / "s.csv")["score"][3] == -np.inf
    assert result["score"] == "the model's own score"
    monkeypatch.setattr(SoftmaxRegression, "score", lambda self, x: x.flatten(1).float().sum(1).log().neg())
    result, _ = answer(capsys, "score", trained["own"], source, "--out", tmp_path / "s.csv")
    assert result["most_anomalous"][0] == {"index": 3, "score": "inf", "percentile": 100.0}


def test_a_model_that_has_no_score(trained, tmp_path):
    opened = replace(open_run(trained["own"]), model=nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"dir: got .*, wanted a model that has an anomaly score"):
        score(opened)


def test_the_printed_summary(trained, tmp_path, capsys):
    assert main(["score", str(trained["softmax-regression"]), "--out", str(tmp_path / "s.csv")]) == 0
    out = capsys.readouterr().out
    assert "180 scores (−largest softmax probability): " in out
    assert "above the 95th percentile of the run's own test examples: " in out
    assert "most anomalous: " in out
