"""What the verbs do, on models trained for two steps."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thalweg.cli import main, models
from thalweg.cli.options import options_of_function
from thalweg.recipes import FAMILIES, recipe, recipe_names


def answer(capsys, *arguments):
    """Run with --json; return the document, the only thing on stdout."""
    capsys.readouterr()
    code = main([*map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out)


@pytest.mark.system("S5")
def test_train_prints_the_folder_and_next_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for n in (1, 2):
        assert main(["train", "softmax-regression", "--data", "digits", "--steps", "2", "--lr", "0.01"]) == 0
        out = capsys.readouterr().out
        folder = Path("runs") / f"softmax-regression-digits-{n}"
        assert f"run: {folder}" in out
        assert f"thalweg evaluate {folder}" in out
    header = json.loads((folder / "run.json").read_text())
    assert header["config"]["train"]["lr"] == 0.01
    assert header["config"]["train"]["steps"] == 2
    assert (folder / "model.safetensors").is_file()


def test_train_takes_the_recipes_options(tmp_path, capsys):
    folder = tmp_path / "run"
    options = ["--latent-dim", "3", "--no-learn-sigma", "--sigma", "0.5", "--data-seed", "4", "--seed", "9"]
    result = answer(capsys, "train", "vae", "--data", "moons", "--steps", 2, "--run", folder, *options)
    assert result["run"] == str(folder)
    assert result["last"]["step"] == 2
    config = json.loads((folder / "run.json").read_text())["config"]
    assert config["options"]["latent_dim"] == 3
    assert config["options"]["learn_sigma"] is False
    assert (config["data"]["seed"], config["train"]["seed"]) == (4, 9)


def test_overwrite_and_resume(tmp_path, capsys):
    folder = tmp_path / "run"
    train = ["train", "softmax-regression", "--data", "digits", "--run", folder, "--steps", 2]
    answer(capsys, *train)
    assert main(list(map(str, train))) == 2
    answer(capsys, *train, "--overwrite")
    assert answer(capsys, "resume", folder, "--steps", 5)["last"]["step"] == 5


def test_resuming_a_finished_run_keeps_its_report_until_the_model_changes(tmp_path, capsys):
    folder = tmp_path / "run"
    answer(capsys, "train", "softmax-regression", "--data", "digits", "--run", folder, "--steps", 2)
    answer(capsys, "evaluate", folder)
    report = (folder / "report.json").read_bytes()
    assert main(["resume", str(folder)]) == 0
    assert (folder / "report.json").read_bytes() == report
    assert "report" not in capsys.readouterr().err
    assert main(["resume", str(folder), "--steps", "4"]) == 0
    assert "the report of the previous model is removed" in capsys.readouterr().err
    assert not list(folder.glob("report.*"))


def test_a_shared_model_without_checkpoints_is_not_trained_anew(tmp_path, capsys):
    folder, shared = tmp_path / "run", tmp_path / "shared"
    answer(capsys, "train", "softmax-regression", "--data", "digits", "--run", folder, "--steps", 2)
    shared.mkdir()
    for name in ("run.json", "model.safetensors"):
        shutil.copy(folder / name, shared / name)
    model = (shared / "model.safetensors").read_bytes()
    assert main(["resume", str(shared), "--steps", "9"]) == 2
    assert "has a model but no checkpoints" in capsys.readouterr().err
    assert (shared / "model.safetensors").read_bytes() == model


@pytest.mark.parametrize(
    ("n", "name", "words"),
    [
        (10**12, "a.npz", ["-n: got 1,000,000,000,000 samples of 64 bytes", "fit into the free memory"]),
        (10**6, "a.png", ["-n: got 1,000,000 images for one picture", "or an .npz file"]),
    ],
)
def test_too_many_samples_are_refused_before_they_are_drawn(n, name, words, trained, tmp_path, capsys):
    assert main(["sample", str(trained["vae"]), "-n", str(n), "--out", str(tmp_path / name)]) == 2
    err = capsys.readouterr().err
    assert all(word in err for word in words)
    assert not (tmp_path / name).exists()


def test_written_samples_are_those_drawn(trained, tmp_path, capsys):
    for name in ("a.csv", "a.npz"):
        answer(capsys, "sample", trained["real-nvp"], "-n", 20_001, "--out", tmp_path / name)
    table = np.loadtxt(tmp_path / "a.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(table, np.load(tmp_path / "a.npz")["x"], rtol=1e-6)


SAMPLED = {"Fréchet distance", "KID", "MMD²", "sliced W1", "W1", "precision", "recall", "density", "coverage"}
QUICK = ["--temperatures", 4, "--draws", 1, "--features", "pixels"]


def measured(report):
    """The model's estimates by name."""
    name = report["models"][0]["name"]
    return {row["name"]: c["estimate"] for row in report["measures"] if "estimate" in (c := row["cells"][name])}


@pytest.fixture
def kept_clean(trained):
    """Reports are taken out of the folders that other tests read."""
    yield trained
    for folder in trained.values():
        for path in folder.glob("report.*"):
            path.unlink()
        shutil.rmtree(folder / "measured", ignore_errors=True)


def test_evaluate(kept_clean, capsys):
    run = kept_clean["vae"]
    result = answer(capsys, "evaluate", run, "--limit", 50, *QUICK)
    assert json.loads((run / "report.json").read_text()) | {"folder": str(run)} == result
    assert (run / "report.html").read_text().startswith("<!doctype html>")
    by_name = measured(result)
    assert {"log-likelihood", "bits/dim", "AIS", "IWAE-64", "squared error", "PSNR", "SSIM"} | SAMPLED <= by_name.keys()
    assert by_name["bits/dim"]["kind"] == "upper bound"
    assert by_name["bits/dim"]["n"] == 50
    assert result["models"][0]["parameters"] > 10_000
    assert [m["name"] for m in result["models"]] == ["vae", "real", "uniform", "gaussian", "gaussian-mixture"]


def test_evaluate_a_classifier_and_a_flow(kept_clean, capsys):
    result = answer(capsys, "evaluate", kept_clean["softmax-regression"], *QUICK)
    by_name = measured(result)
    assert {"accuracy", "top-5 accuracy", "label loss", "calibration error"} <= by_name.keys()
    assert not SAMPLED & by_name.keys()
    baselines = ["majority-class", "nearest-neighbor", "linear-classifier"]
    assert [m["name"] for m in result["models"]] == ["softmax-regression", *baselines]
    result = answer(capsys, "evaluate", kept_clean["real-nvp"], "--limit", 100, *QUICK)
    divergence = measured(result)["KL from truth"]
    assert divergence["kind"] == "exact"
    assert divergence["value"] > 0


def test_evaluate_a_gan(kept_clean, capsys):
    by_name = measured(answer(capsys, "evaluate", kept_clean["wgan"], *QUICK))
    assert by_name.keys() >= SAMPLED | {"AIS", "Parzen window"}
    assert by_name["coverage"]["protocol"]["n_fake"] == 180
    assert by_name["MMD²"]["method"]["p-value"] == 0.005  # after two steps no sample is a digit


def test_evaluate_prints_a_table(kept_clean, capsys):
    assert main(["evaluate", str(kept_clean["real-nvp"]), "--limit", "100", "--temperatures", "0"]) == 0
    out = capsys.readouterr().out
    assert "KL from truth" in out
    assert "gaussian-mixture" in out
    assert out.rstrip().endswith("report.html")


@pytest.mark.parametrize("recipe", ["vae", "wgan"])
def test_sample_a_picture(recipe, trained, tmp_path, capsys):
    result = answer(capsys, "sample", trained[recipe], "-n", 10, "--out", tmp_path / "a.png")
    assert result["n"] == 10
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "L"
        assert image.size == (4 * 34 + 2, 3 * 34 + 2)


def test_sample_values(trained, tmp_path, capsys):
    for name in ("a.npz", "b.npz"):
        answer(capsys, "sample", trained["vae"], "-n", 7, "--seed", 3, "--out", tmp_path / name)
    a, b = (np.load(tmp_path / name)["x"] for name in ("a.npz", "b.npz"))
    assert a.shape == (7, 1, 8, 8)
    assert a.dtype == np.uint8
    assert (a == b).all()
    answer(capsys, "sample", trained["vae"], "-n", 7, "--seed", 4, "--out", tmp_path / "c.npz")
    assert (np.load(tmp_path / "c.npz")["x"] != a).any()


def test_sample_of_a_class_and_at_a_temperature(tmp_path, capsys):
    data = tmp_path / "two.npz"
    x = np.concatenate([np.random.default_rng(0).normal(center, 0.1, (100, 2)) for center in (-5.0, 5.0)])
    np.savez(data, x=x.astype(np.float32), y=np.repeat([0, 1], 100))
    run = tmp_path / "run"
    settings = [
        "--hidden",
        8,
        "--layers",
        2,
        "--steps",
        300,
        "--ema",
        0.9,
        "--warmup",
        0,
        "--lr",
        0.01,
        "--conditional",
    ]
    answer(capsys, "train", "real-nvp", "--data", data, "--run", run, *settings)
    for label, center in (("0", -5.0), ("1", 5.0)):
        spread = []
        for temperature in (0.1, 1.0):
            options = ["--label", label, "--temperature", temperature, "--out", tmp_path / "a.npz"]
            answer(capsys, "sample", run, "-n", 40, *options)
            drawn = np.load(tmp_path / "a.npz")["x"]
            assert abs(np.median(drawn) - center) < 3.0
            spread.append(drawn.std(0).max())
        assert spread[0] < 0.5 * spread[1]
    assert main(["sample", str(run), "--label", "2", "--out", str(tmp_path / "b.npz")]) == 2
    assert "--label: got '2', wanted one of 0, 1" in capsys.readouterr().err


def test_sample_points(trained, tmp_path, capsys):
    answer(capsys, "sample", trained["real-nvp"], "-n", 12, "--out", tmp_path / "a.csv")
    with open(tmp_path / "a.csv") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 13
    assert len(rows[0]) == 2
    assert all(np.isfinite(float(v)) for row in rows[1:] for v in row)
    answer(capsys, "sample", trained["real-nvp"], "--out", tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (720, 720)


def test_pictures_go_into_the_run_folder(trained, tmp_path, capsys):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(trained["vae"], run)
    shutil.rmtree(run / "samples", ignore_errors=True)
    answer(capsys, "sample", run, "--out", run / "samples" / "a.png")
    assert [path.name for path in (run / "samples").iterdir()] == ["a.png"]


def test_encode(trained, tmp_path, capsys):
    result = answer(capsys, "encode", trained["vae"], "--out", tmp_path / "z.npz", "--batch-size", 33)
    with np.load(tmp_path / "z.npz") as file:
        z, y = file["z"], file["y"]
    assert result["shape"] == [180, 20]
    assert z.shape == (180, 20)
    assert y.shape == (180,)
    answer(capsys, "encode", trained["vae"], "digits", "--split", "validation", "--out", tmp_path / "z.csv")
    table = np.genfromtxt(tmp_path / "z.csv", delimiter=",", names=True)
    assert table.dtype.names[-1] == "label"
    answer(capsys, "encode", trained["real-nvp"], "--out", tmp_path / "points.csv")
    assert (tmp_path / "points.csv").read_text().startswith("z0,z1\n")


def test_models(capsys):
    result = {m["name"]: m for m in answer(capsys, "models")["models"]}
    assert list(result) == recipe_names()
    for model in result.values():
        assert model["paper"], model["name"]
        assert model["abilities"], model["name"]
        assert model["parameters"], model["name"]
    assert result["softmax-regression"]["parameters"]["image"] == 7850
    assert result["lenet5"]["parameters"]["image"] > 40_000
    assert {"elbo", "sample", "encode", "decode"} <= set(result["vae"]["abilities"])
    assert "log_prob" in result["real-nvp"]["abilities"]
    assert main(["models", "--family", "gans"]) == 0
    out = capsys.readouterr().out
    assert "wgan" in out
    assert "lenet5" not in out


def test_layers_of_a_model(tmp_path, capsys):
    size = ["--shape", "3,224,224", "--classes", "1000"]
    result = answer(capsys, "models", "resnet", "--layers", *size, "--depth", "50", "--variant", "v1")
    assert (result["parameters"], round(result["macs"] / 1e6), result["depth"]) == (25_557_032, 3858, 54)
    assert result["shares"]["Conv"]["macs"] > 0.99
    assert result["layers"][1]["receptive_field"] == 7
    assert main(["models", "convnetjs", "--layers", "--out", str(tmp_path / "layers.png")]) == 0
    out = capsys.readouterr().out
    assert "22,466 parameters, 3,920,000 MACs per image (FLOPs = 2 × MACs)" in out
    with Image.open(tmp_path / "layers.png") as image:
        assert image.width == 1000
    assert main(["models", "resnet", "--layers", "--shape", "3,224"]) == 2
    assert "--shape: got '3,224', wanted channels, height and width" in capsys.readouterr().err
    assert main(["models", "vae", "--layers"]) == 2
    assert "--layers: got vae, wanted a classifier: perceptron" in capsys.readouterr().err


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_has_help_on_its_layers(name, capsys):
    """Recipes with an option layers of their own are no classifiers, and all options of a classifier are known."""
    parser = models.parser([name])
    if name in FAMILIES["classifiers"]:
        assert {option.name for option in options_of_function(recipe(name))} <= set(parser.options)
    else:
        assert main(["models", name, "--layers"]) == 2
        assert f"--layers: got {name}, wanted a classifier" in capsys.readouterr().err


def test_data(capsys):
    names = {row["name"] for row in answer(capsys, "data", "list")["data"]}
    assert {"digits", "glyphs", "moons", "mnist"} <= names
    info = answer(capsys, "data", "info", "digits")["info"]
    assert info["shape"] == [1, 8, 8]
    assert info["examples"]["test"] == 180
    assert answer(capsys, "data", "fetch", "moons")["files"] == []
    assert main(["data", "info", "moons", "--data-examples", "100"]) == 0
    assert "exact density  yes" in capsys.readouterr().out
    assert main(["data", "list"]) == 0
    assert "eight-gaussians" in capsys.readouterr().out
