"""`thalweg ensemble`: mixtures and averages of trained classifiers, as run folders that need no other folder."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from thalweg.applications.average import AverageResult, _estimate_statistics, average
from thalweg.applications.ensemble import ensemble, fitted_weights
from thalweg.applications.members import Measured, Members
from thalweg.cli import main
from thalweg.config import DataConfig, RunConfig, TrainConfig
from thalweg.data import Dataset, Spec, Split
from thalweg.evaluation.estimates.intervals import mean_of, rate
from thalweg.recipes.runs import cost, open_run, train
from thalweg.training.records import read_metrics
from thalweg.training.statistics import normalizing_layers

DIGITS = DataConfig(source="digits", examples=300)
PERCEPTRON = {"hidden": 16, "depth": 1}
NETWORK = {"depth": 8}  # with batch normalization
RUNS = {
    "a": ("mlp", PERCEPTRON, DIGITS, 0),
    "b": ("mlp", PERCEPTRON, DIGITS, 1),
    "linear": ("softmax-regression", {}, DIGITS, 0),
    "linear-1": ("softmax-regression", {}, DIGITS, 1),
    "wide": ("mlp", PERCEPTRON | {"hidden": 17}, DIGITS, 0),
    "resnet": ("resnet", NETWORK, DIGITS, 0),
    "resnet-1": ("resnet", NETWORK, DIGITS, 1),
    "other-split": ("mlp", PERCEPTRON, DataConfig(source="digits", examples=300, seed=1), 0),
    "vae": ("vae", {"latent_dim": 2, "hidden": 8}, DIGITS, 0),
    "no-validation": ("mlp", PERCEPTRON, DataConfig(source="digits", examples=300, validation=0.0), 0),
    "no-validation-1": ("mlp", PERCEPTRON, DataConfig(source="digits", examples=300, validation=0.0), 1),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder of small runs, by the names of `RUNS`, and one that is not finished."""
    root = tmp_path_factory.mktemp("runs")
    for name, (recipe, options, data, seed) in RUNS.items():
        steps = 2 if recipe in ("resnet", "vae") else 40
        settings = TrainConfig(steps=steps, batch_size=32, seed=seed, device="cpu", lr=0.01, warmup=0, log_every=20)
        train(RunConfig(recipe=recipe, data=data, options=options, train=settings), root / name, warn=str)
    shutil.copytree(root / "a", root / "unfinished")
    (root / "unfinished" / "model.safetensors").unlink()
    return root


def answer(capsys, *arguments) -> dict:
    capsys.readouterr()
    code = main(["ensemble", *map(str, arguments), "--json", "--device", "cpu"])
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out)


def probabilities(folder: Path) -> np.ndarray:
    """Return the class probabilities of a run on its validation examples."""
    opened = open_run(folder, device="cpu")
    with torch.no_grad():
        return opened.model.logits(torch.from_numpy(opened.data().validation.x)).double().softmax(1).numpy()


@pytest.mark.system("S47")
def test_the_fitted_mixture_is_the_weighted_sum_and_is_best_on_its_validation_examples(runs, tmp_path, capsys):
    folders = [runs / name for name in ("a", "b", "linear")]
    result = answer(capsys, *folders, "--out", tmp_path / "mixture")
    weights = np.array(result["weights"])
    assert result["weights"] == result["fitted"]
    assert weights.sum() == pytest.approx(1)
    p = np.stack([probabilities(folder) for folder in folders])
    np.testing.assert_allclose(probabilities(tmp_path / "mixture"), np.tensordot(weights, p, 1), rtol=1e-5)
    y = open_run(folders[0]).data().validation.y
    rows = [*result["members"], *result["mixtures"]]
    tables = [*p, p.mean(0), np.tensordot(weights, p, 1)]
    for row, table in zip(rows, tables, strict=True):
        assert row["label loss"]["value"] == pytest.approx(-np.log(table[np.arange(len(y)), y]).mean(), rel=1e-5)
        assert row["accuracy"]["value"] == pytest.approx(100 * (table.argmax(1) == y).mean())
    losses = [row["label loss"]["value"] for row in rows]
    assert losses[-1] < min(losses[:-1]) - 1e-3
    assert result["n"] == len(y) == 30


@pytest.mark.parametrize("members", [("a", "linear"), ("mixture", "b")])
def test_equal_weights_and_ensembles_of_ensembles(runs, tmp_path, members):
    ensemble([runs / "a", runs / "linear"], tmp_path / "mixture", uniform=True, device="cpu")
    folders = [tmp_path / name if name == "mixture" else runs / name for name in members]
    result = ensemble(folders, tmp_path / "out", uniform=True, device="cpu")
    assert result.weights == [0.5, 0.5]
    p = np.mean([probabilities(folder) for folder in folders], axis=0)
    np.testing.assert_allclose(probabilities(tmp_path / "out"), p, rtol=1e-5)


@pytest.mark.parametrize("options", [[], ["--average-weights"]], ids=["mixture", "average"])
def test_a_shared_folder_is_evaluated_without_the_members(runs, tmp_path, capsys, options):
    for name in ("a", "b"):
        shutil.copytree(runs / name, tmp_path / name)
    (tmp_path / "made").mkdir()
    folders = [tmp_path / "a", tmp_path / "b"]
    made, out = tmp_path / "made" / "out", tmp_path / "shared" / "out"
    result = answer(capsys, *folders, "--out", made, *options)
    spent = [cost(read_metrics(folder)) for folder in folders]
    assert result["cost"]["steps"] == sum(s["steps"] for s in spent) == 80
    assert result["cost"]["seconds"] == pytest.approx(sum(s["seconds"] for s in spent))
    before = probabilities(made)
    out.parent.mkdir()
    shutil.move(made, out)
    for folder in folders:
        shutil.rmtree(folder)
    np.testing.assert_array_equal(probabilities(out), before)
    assert main(["evaluate", str(out), "--split", "validation", "--device", "cpu", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (run,) = report["models"][0]["seeds"]
    assert run["steps"] == 80
    assert run["command"].startswith(f"thalweg ensemble {folders[0]} {folders[1]} --out")
    shown = report["models"][0]["options"]
    assert shown["average_of" if options else "members"] == [str(folder) for folder in folders]
    written = result["average"] if options else result["mixtures"][1]
    name = report["models"][0]["name"]
    (loss,) = [row["cells"][name]["estimate"] for row in report["measures"] if row["name"] == "label loss"]
    assert loss["value"] == pytest.approx(written["label loss"]["value"], rel=1e-6)
    for command in (["resume", str(out)], ["resume", str(out), "--steps", "99"]):
        assert main(command) == 2
        assert "combined from trained runs and which is not trained further" in capsys.readouterr().err


@pytest.mark.system("S47")
def test_the_average_of_linear_classifiers_has_the_mean_of_their_parameters(runs, tmp_path, capsys):
    folders = [runs / "linear", runs / "linear-1"]
    result = answer(capsys, *folders, "--out", tmp_path / "out", "--average-weights")
    one, other, mean = (open_run(folder, device="cpu").model for folder in (*folders, tmp_path / "out"))
    for a, b, m in zip(one.parameters(), other.parameters(), mean.parameters(), strict=True):
        torch.testing.assert_close(m, (a + b) / 2, rtol=1e-6, atol=1e-8)
        assert not torch.equal(a, b)
    x = torch.from_numpy(open_run(folders[0]).data().test.x)
    torch.testing.assert_close(mean.logits(x), (one.logits(x) + other.logits(x)) / 2, rtol=1e-4, atol=1e-5)
    header = json.loads((tmp_path / "out" / "run.json").read_text())
    assert header["config"]["recipe"] == "softmax-regression"
    assert header["combined"]["options"]["average_of"] == [str(folder) for folder in folders]
    assert result["normalizing"] == 0


def test_an_average_has_the_statistics_of_its_own_weights_on_all_training_examples(runs, tmp_path):
    folders = [runs / "resnet", runs / "resnet-1"]
    before = [(folder / "model.safetensors").read_bytes() for folder in folders]
    result = average(folders, tmp_path / "out", device="cpu")
    assert [(folder / "model.safetensors").read_bytes() for folder in folders] == before
    opened = open_run(tmp_path / "out", device="cpu")
    layers = normalizing_layers(opened.model)
    assert result.normalizing == len(layers) > 3
    inputs: list[torch.Tensor] = []
    layers[0].register_forward_hook(lambda layer, x, out: inputs.append(x[0].detach()))
    opened.model.logits(torch.from_numpy(opened.data().train.x))  # all 240 in one batch
    torch.testing.assert_close(layers[0].running_mean, inputs[0].mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layers[0].running_var, inputs[0].var((0, 2, 3)), rtol=1e-4, atol=1e-5)
    own = [normalizing_layers(open_run(folder).model)[0].running_mean for folder in folders]
    assert not torch.allclose(layers[0].running_mean, (own[0] + own[1]) / 2, rtol=1e-2)


def test_statistics_do_not_depend_on_the_order_of_the_examples(monkeypatch):
    """In an order by value, the variances within batches are far below that of all examples."""

    class Normalized(nn.BatchNorm1d):
        def logits(self, x):
            return self(x)

    monkeypatch.setattr("thalweg.applications.average.BATCH", 50)
    x = np.arange(1000, dtype=np.float32)[:, None]
    split = Split(x, np.zeros(1000, np.int64))
    data = Dataset(Spec(name="sorted", kind="vector", shape=(1,)), split, split, split)
    model = Normalized(1).eval()
    assert _estimate_statistics(model, Members((), data, torch.device("cpu"))) == 1
    assert model.running_mean.item() == pytest.approx(499.5, rel=1e-5)
    assert model.running_var.item() == pytest.approx(x.var(ddof=1), rel=0.02)
    assert not model.training


@pytest.mark.parametrize(("hits", "warned"), [(60, True), (70, False), (90, False)])
def test_an_average_that_is_worse_than_every_member_is_warned_of(hits, warned):
    def measured(name: str, hits: int) -> Measured:
        return Measured(name, "mlp", rate("accuracy", hits, 100), mean_of("label loss", [1.0], unit="", better="lower"))

    members = [measured("a", 70), measured("b", 80)]
    result = AverageResult(Path("out"), members, measured("average", hits), 0, {}, 100, "digits")
    assert bool(result.warning) == warned


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ([], [], "RUN: got nothing, wanted two or more run folders"),
        (["a"], [], "RUN: got 1 run folder, wanted two or more"),
        (["a", "b", "a"], [], "a twice, wanted different run folders"),
        (["a", "unfinished"], [], "has no model yet"),
        (["a", "vae"], [], "vae, a run of vae, wanted a classifier"),
        (["a", "other-split"], [], "trained on digits with fingerprint"),
        (["no-validation", "no-validation-1"], [], "data: got digits without validation examples"),
        (["a", "linear"], ["--average-weights"], "of the recipe softmax-regression, wanted mlp, that of the first run"),
        (["a", "wide"], ["--average-weights"], "with hidden 17, wanted 16, as the first run has"),
        (["a", "b"], ["--average-weights", "--uniform"], "--uniform: got it beside --average-weights"),
        (["a", "b"], ["--out", "{runs}/a", "--overwrite"], "which is one of the runs to combine"),
        (["a", "b"], ["--out", "{runs}/a/sub"], "one of the runs to combine or within one"),
        (["a", "b"], ["--out", "{runs}/linear"], "which holds a run"),
    ],
)
def test_refusals(runs, tmp_path, capsys, names, options, message):
    out = [] if "--out" in options else ["--out", str(tmp_path / "out")]
    before = sorted(runs.rglob("*"))
    arguments = [str(runs / name) for name in names] + [option.format(runs=runs) for option in options] + out
    assert main(["ensemble", *arguments, "--device", "cpu"]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
    assert sorted(runs.rglob("*")) == before


def test_an_ensemble_without_a_folder_to_write_and_its_training_are_refused(runs, capsys):
    assert main(["ensemble", str(runs / "a"), str(runs / "b")]) == 2
    assert "--out: got nothing, wanted a new run folder" in capsys.readouterr().err
    for command in ("train", "compare", "models"):
        assert main([command, "ensemble", "--data", "digits"]) == 2
        assert "`thalweg ensemble RUN RUN --out RUN` combines trained runs" in capsys.readouterr().err
    with pytest.raises(ValueError, match="recipe: got 'ensemble', wanted a model to train"):
        train(RunConfig(recipe="ensemble", data=DIGITS), "out")


def test_a_damaged_ensemble_names_the_command_that_writes_it_again(runs, tmp_path, capsys):
    out = tmp_path / "out"
    answer(capsys, runs / "a", runs / "b", "--out", out)
    path = out / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert main(["evaluate", str(out)]) == 2
    err = capsys.readouterr().err
    assert f"the command that combined it writes it again: thalweg ensemble {runs / 'a'}" in err
    assert "resume" not in err


def test_weights_are_fitted_on_examples_whose_losses_differ_by_more_than_exponentials_hold():
    """The loss of an example that all members share does not change the minimum."""
    losses = -np.log([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8]])
    assert fitted_weights(losses + np.array([[0.0], [2000.0], [5000.0]])) == pytest.approx(fitted_weights(losses))


def test_the_tables(runs, tmp_path, capsys):
    for options, words in (
        ([], ["fitted weight", "equal weights", "these 30 validation examples: it is lower here"]),
        (["--uniform"], ["the mixture with equal weights"]),
        (["--average-weights"], ["average", "the sum of the members': 80 steps"]),
    ):
        out = tmp_path / f"out {len(options)} {words[0]}"
        assert main(["ensemble", str(runs / "a"), str(runs / "b"), "--out", str(out), *options]) == 0
        printed = capsys.readouterr().out
        assert all(word in printed for word in words)
        assert f"thalweg evaluate '{out}'" in printed
