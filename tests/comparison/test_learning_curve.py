"""Learning curves: the same models on nested shares of the training examples, measured on the same test examples."""

import json
import math

import pytest

from thalweg.comparison import Candidate, Plan, compare, side_by_side
from thalweg.comparison.plan import Measuring
from thalweg.config import DataConfig, RunConfig, TrainConfig
from thalweg.recipes import runs
from thalweg.recipes.runs import open_run

DIGITS = DataConfig(source="digits")
PLAN = Plan(
    models=(Candidate.read("softmax-regression:lr=0.01"), Candidate.read("autoencoder:hidden=4,latent_dim=2")),
    data=DIGITS,
    seeds=2,
    train=TrainConfig(steps=6, device="cpu"),
    measuring=Measuring(limit=40, samples=20, features="pixels", temperatures=0),
    shares=(0.1, 1.0),
)


def in_this_process(jobs, shown, limit=math.inf):
    """Train the jobs as `train_here` does, without a process for each, and stop as an interrupt would after some."""
    trained = 0
    for job in jobs:
        if not job.trained:
            if trained == limit:
                raise KeyboardInterrupt
            runs.train(job.config, job.folder, warn=lambda _: None)
            trained += 1
        job.end()


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("curve") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(side_by_side, "train_here", lambda jobs, shown: in_this_process(jobs, shown, limit=5))
        with pytest.raises(KeyboardInterrupt):
            compare(PLAN, folder)
        times = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/model.safetensors")}
        assert len(times) == 5
        patch.setattr(side_by_side, "train_here", in_this_process)
        report = compare(PLAN, folder)
        assert {path: path.stat().st_mtime_ns for path in times} == times
    return folder, report


def test_the_report_holds_the_points_of_every_model(compared):
    folder, report = compared
    assert json.loads((folder / "report.json").read_text())["learning_curve"] == report["learning_curve"]
    curve = report["learning_curve"]
    assert (curve["fixed"], curve["shares"]) == ("steps", [0.1, 1.0])
    assert [(m["name"], m["measure"]) for m in curve["models"]] == [
        ("softmax-regression:lr=0.01", "accuracy"), ("autoencoder:hidden=4,latent_dim=2", "squared error"),
    ]  # fmt: skip
    for model in curve["models"]:
        assert [(p["share"], p["examples"]) for p in model["points"]] == [(0.1, 144), (1.0, 1437)]
        for point in model["points"]:
            assert [(s["state"], s["steps"]) for s in point["seeds"]] == [("done", 6), ("done", 6)]
            assert point["estimate"]["varies"] == "training seeds"
        assert "--share 0.1" in model["points"][0]["seeds"][0]["command"]
        row = next(row for row in report["measures"] if row["name"] == model["measure"])
        assert row["cells"][model["name"]]["estimate"] == model["points"][1]["estimate"]  # the table is of share 1
        small, full = (p["estimate"]["protocol"] for p in model["points"])
        assert small.pop("trained on") == "digits: 144 training examples, a share of 0.1"
        assert small == full
        figure = next(f for f in report["figures"][model["name"]] if f["section"] == "learning-curve")
        assert (figure["panel"], figure["x"]) == (model["measure"], [144, 1437])
        assert figure["x_axis"]["scale"] == "log2"
        assert figure["y"] == [p["estimate"]["value"] for p in model["points"]]
        assert figure["low"] == [p["estimate"]["low"] for p in model["points"]]
    page = (folder / "report.html").read_text()
    assert 'id="learning-curve"' in page
    assert "Steps fixed" in page


def test_every_point_is_the_accuracy_of_its_models_on_the_test_split(compared):
    folder, report = compared
    values = {0.1: [], 1.0: []}
    for share, middle in ((0.1, "-share=0.1"), (1.0, "")):
        for seed in range(2):
            opened = open_run(folder / "runs" / f"softmax-regression_lr=0.01{middle}-{seed}", device="cpu")
            assert opened.config.train.share == (share if share < 1 else None)
            data = opened.data()
            assert len(data.train) == {0.1: 144, 1.0: 1437}[share]
            chosen = side_by_side.Evaluator(data, PLAN.measuring, device="cpu", log=lambda _: None)
            values[share].append(chosen.measure(opened.model)["accuracy"].value)
    points = report["learning_curve"]["models"][0]["points"]
    assert [p["estimate"]["value"] for p in points] == pytest.approx([sum(v) / 2 for v in values.values()])


def test_a_failed_training_of_a_share_is_reported(compared, monkeypatch):
    folder, _ = compared
    path = folder / "runs" / "autoencoder_hidden=4_latent_dim=2-share=0.1-1" / "model.safetensors"
    data, broken = path.read_bytes(), "autoencoder_hidden=4_latent_dim=2-share=0.1-1"

    def fail(jobs, shown):
        for job in jobs:
            job.state, job.reason = ("failed", "no luck") if job.name == broken else ("done", None)

    monkeypatch.setattr(side_by_side, "train_here", fail)
    report = compare(PLAN, folder)
    states = [s["state"] for s in report["learning_curve"]["models"][1]["points"][0]["seeds"]]
    assert states == ["done", "failed"]
    assert "share 0.1</b> failed: no luck" in (folder / "report.html").read_text()
    assert path.read_bytes() == data


def test_all_examples_are_a_run_without_a_share_bit_for_bit(tmp_path):
    for share in (None, 1.0):
        train = TrainConfig(steps=4, device="cpu", share=share)
        runs.train(RunConfig(recipe="softmax-regression", data=DIGITS, train=train), tmp_path / str(share))
    first, second = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("None", "1.0"))
    assert first == second


def test_a_run_of_a_share_is_resumed_exactly(tmp_path):
    for name, steps in (("whole", 6), ("resumed", 3)):
        train = TrainConfig(steps=steps, share=0.05, schedule="constant", warmup=0, device="cpu", seed=3)
        runs.train(RunConfig(recipe="softmax-regression", data=DIGITS, train=train), tmp_path / name)
    runs.resume(tmp_path / "resumed", steps=6)
    first, second = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("whole", "resumed"))
    assert first == second
    assert len(open_run(tmp_path / "resumed").data().train) == 72
