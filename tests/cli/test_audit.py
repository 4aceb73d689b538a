"""`thalweg audit`: planted errors are ranked first, scores are out-of-sample, and the test split is not read."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from thalweg import data
from thalweg.applications import audit as module
from thalweg.applications.audit import audit, planted
from thalweg.cli import main
from thalweg.config import DataConfig, RunConfig, TrainConfig
from thalweg.data.dataset import Split, class_target
from thalweg.data.subsets import stratified_folds
from thalweg.recipes import runs
from thalweg.recipes.runs import open_run

CONFIG = RunConfig(
    recipe="mlp",
    data=DataConfig(source="digits"),
    options={"hidden": 32},
    train=TrainConfig(steps=150, device="cpu", lr=3e-3),
)
OPTIONS = ["--hidden", "32", "--steps", "150", "--device", "cpu", "--lr", "3e-3", "--folds", "3", "--plant", "0.05"]


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit") / "out"
    return folder, audit(CONFIG, folder, folds=3, plant=0.05)


def test_planted_errors_have_the_lowest_self_confidence(audited):
    _, result = audited
    precision, recall = result.estimates
    assert precision.n == recall.n == round(0.05 * 1437) == 72
    assert precision.value > 60  # by chance 5
    assert recall.value > 60
    assert precision.low < precision.value < precision.high
    assert (precision.method["interval"], precision.varies) == ("Wilson", "labels of the lowest self-confidence")
    wrong = result.true != result.split.y
    assert precision.value == pytest.approx(100 * wrong[np.argsort(result.found.confidence, kind="stable")[:72]].mean())
    assert recall.value == pytest.approx(100 * result.found.suspect[wrong].mean())
    restored = result.found.suggested[wrong & result.found.suspect] == result.true[wrong & result.found.suspect]
    assert restored.mean() > 0.8
    assert 0.5 < result.found.errors.sum() / 72 < 2


def test_every_score_is_that_of_a_model_of_the_other_folds(audited):
    import torch

    folder, result = audited
    dataset = data.load(CONFIG.data)
    for f in range(3):
        opened = open_run(folder / "folds" / str(f), device="cpu")
        rows, others = result.fold == f, np.flatnonzero(result.fold != f)
        seen = dataset.train.x[others].astype(np.float64)
        assert opened.spec.mean == pytest.approx((seen.mean(),))
        with torch.no_grad():
            p = opened.model.logits(torch.from_numpy(dataset.train.x[rows])).double().softmax(1)
        np.testing.assert_allclose(result.p[rows], p.numpy(), atol=1e-5)
        np.testing.assert_allclose(
            result.found.confidence[rows], p.numpy()[np.arange(rows.sum()), result.split.y[rows]], atol=1e-5
        )


def test_the_folder_holds_a_table_a_picture_and_the_numbers(audited):
    folder, result = audited
    with open(folder / "audit.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1437
    assert list(rows[0]) == ["index", "label", "suggested", "p_label", "p_suggested", "fold", "suspect", "planted"]
    confidence = [float(row["p_label"]) for row in rows]
    assert confidence == sorted(confidence)
    assert sum(row["planted"] == "yes" for row in rows) == 72
    source = data.load(CONFIG.data).train
    by_index = dict(zip(source.index.tolist(), source.y.tolist(), strict=True))
    assert all((by_index[int(r["index"])] != int(r["label"])) == (r["planted"] == "yes") for r in rows)
    document = json.loads((folder / "audit.json").read_text())
    assert document == json.loads(json.dumps(result.document()))
    assert document["suspects"] == sum(row["suspect"] == "yes" for row in rows)
    assert [c["name"] for c in document["classes"]] == [str(i) for i in range(10)]
    assert sum(c["suspects"] for c in document["classes"]) == document["suspects"]
    assert [str(r["index"]) for r in document["top"]] == [r["index"] for r in rows[:10]]
    with Image.open(folder / "audit.png") as image:
        assert image.width > 500


@pytest.mark.filterwarnings("error")
def test_the_picture_shows_names_of_classes_as_they_are_on_one_line(audited, tmp_path):
    _, result = audited
    names = ("$$", "$\\frac{$", "a\nb", "<b>", "n" * 200, "数字", *"6789")
    spec = replace(result.dataset.spec, target=class_target(names))
    renamed = replace(result, dataset=replace(result.dataset, spec=spec))
    renamed.save(tmp_path)  # names are no formulas
    figure = renamed.figure()
    pairs = {tuple(axes.get_title().split("\n")[0].split(" → ")) for axes in figure.axes if axes.get_title()}
    shown = {name for pair in pairs for name in pair}
    assert shown <= {"$$", "$\\frac{$", "a b", "<b>", "n" * 9 + "…", "数字", *"6789"}
    assert {"$$", "n" * 9 + "…"} <= shown


def test_the_same_command_repeats_nothing_and_prints_the_table(audited, capsys):
    folder, result = audited
    models = {path: path.stat().st_mtime_ns for path in folder.glob("folds/*/model.safetensors")}
    assert len(models) == 3
    command = ["audit", "mlp", "--data", "digits", *OPTIONS, "--out", str(folder)]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "labels of the lowest self-confidence" in out
    assert f"precision at k (k = 72): {result.estimates[0]}" in out
    assert main([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {"folder": str(folder), "recipe": "mlp", **json.loads((folder / "audit.json").read_text())}
    assert {path: path.stat().st_mtime_ns for path in models} == models
    assert main([*command, "--folds", "4"]) == 2
    assert "which contains an audit that differs in folds" in capsys.readouterr().err


class Killed(BaseException):
    pass


class KilledAt:
    """A progress display that kills the second training after some steps."""

    def __init__(self):
        self.trainings = 0

    def start(self, label, step, steps):
        self.trainings += 1

    def update(self, step, metrics, steps):
        if self.trainings == 2 and step >= 20:
            raise Killed

    def close(self): ...


def test_a_killed_audit_continues_where_it_stopped(tmp_path, monkeypatch):
    config = replace(CONFIG, recipe="softmax-regression", options={})
    config = replace(config, train=replace(config.train, steps=40, checkpoint_every=10, log_every=5))
    whole = audit(config, tmp_path / "whole", folds=3)
    with pytest.raises(Killed):
        audit(config, tmp_path / "killed", folds=3, progress=KilledAt())
    model = tmp_path / "killed" / "folds" / "0" / "model.safetensors"
    assert sorted(p.parent.name for p in (tmp_path / "killed" / "folds").glob("*/model.safetensors")) == ["0"]
    assert (tmp_path / "killed" / "folds" / "1" / "run.json").is_file()
    time, began = model.stat().st_mtime_ns, []
    monkeypatch.setattr(
        runs, "train", lambda c, f, train=runs.train, **rest: began.append(f.name) or train(c, f, **rest)
    )
    again = audit(config, tmp_path / "killed", folds=3)
    assert began == ["2"]  # the second is resumed
    assert model.stat().st_mtime_ns == time
    assert (again.p == whole.p).all()
    assert (again.fold == whole.fold).all()


class Unreadable(Split):
    """A split that must not be read."""

    def __getattribute__(self, name):
        if name in ("x", "y", "factors", "index"):
            raise AssertionError(f"the test split was read: {name}")
        return super().__getattribute__(name)


def test_the_test_split_is_not_read(tmp_path, monkeypatch):
    known = data.load(CONFIG.data)
    test = Unreadable(known.test.x, known.test.y)
    with pytest.raises(AssertionError, match="was read"):
        len(test)
    monkeypatch.setattr(data, "load", lambda config: replace(known, test=test))
    config = replace(CONFIG, recipe="softmax-regression", options={}, train=TrainConfig(steps=3, device="cpu"))
    result = audit(config, tmp_path / "out", folds=2)
    assert len(result.p) == len(known.train)
    assert not set(known.test.index) & {row["index"] for row in result.rows()}


def test_planted_labels_are_uniform_over_the_other_classes():
    y = np.repeat(np.arange(4), 5000)
    other = planted(y, 4, 0.3, seed=1)
    changed = other != y
    assert changed.sum() == 6000
    counts = np.bincount((other - y)[changed] % 4, minlength=4)
    assert counts[0] == 0
    assert abs(counts[1:] - 2000).max() < 5 * np.sqrt(6000 * 2 / 9)
    assert (planted(y, 4, 0.3, seed=1) == other).all()
    assert (planted(y, 4, 0.3, seed=2) != other).any()


def test_folds_have_equal_shares_of_every_class():
    y = np.repeat([0, 1, 2], [100, 33, 5])
    fold = stratified_folds(y, 5, seed=0)
    for c in range(3):
        counts = np.bincount(fold[y == c], minlength=5)
        assert counts.max() - counts.min() <= 1
    assert np.ptp(np.bincount(fold)) <= 1
    assert (stratified_folds(y, 5, seed=1) != fold).any()


def test_copies_in_other_folds_are_reported(tmp_path, monkeypatch):
    known = data.load(CONFIG.data)
    x = known.train.x.copy()
    x[:10] = x[0]
    monkeypatch.setattr(data, "load", lambda config: replace(known, train=replace(known.train, x=x)))
    lines = []
    monkeypatch.setattr(module, "_probabilities", lambda c, d, y, *rest: np.full((len(y), 10), 0.1))
    audit(CONFIG, tmp_path / "out", log=lines.append)
    assert lines == [
        "10 of 1437 training examples equal an example of another fold, whose model was trained on a copy of them: "
        "--deduplicate removes duplicates"
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mlp", "--data", "digits", "--folds", "1"], "--folds: got 1, wanted a number of at least 2"),
        (
            ["mlp", "--data", "digits", "--folds", "140"],
            "--folds: got 140, wanted at most the number of examples of every class, but",
        ),
        (["mlp", "--data", "digits", "--plant", "0"], "--plant: got 0.0, wanted a share below 1 that is at least one"),
        (["mlp", "--data", "digits", "--plant", "1"], "--plant: got 1.0, wanted a share below 1"),
        (["mlp", "--data", "digits", "--share", "0.5"], "--share: got 0.5, wanted none: an audit scores all"),
        (["vae", "--data", "digits"], "got vae, wanted a classifier: perceptron"),
        (["mlp", "--data", "points.csv"], "got points.csv, which has no classes, wanted labelled data"),
        (["mlp"], "--data: got nothing"),
        ([], "RECIPE: got nothing first, wanted a recipe"),
    ],
)
def test_mistakes_are_reported_before_training(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    points = np.random.default_rng(0).normal(size=(40, 2))
    np.savetxt("points.csv", points, delimiter=",", header="a,b", comments="")
    assert main(["audit", *arguments, "--out", "out"] if arguments else ["audit"]) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_folder_of_other_files_is_not_changed(tmp_path, capsys):
    (tmp_path / "letters.txt").write_text("dear")
    assert main(["audit", "mlp", "--data", "digits", "--out", str(tmp_path)]) == 2
    assert "which contains other files; wanted a new or empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]
