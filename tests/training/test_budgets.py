"""Budgets, early stopping and their messages, and folders of killed runs."""

import os
import signal
import time

import numpy as np
import pytest
import torch

from thalweg.config import DataConfig, RunConfig, TrainConfig
from thalweg.data import load
from thalweg.recipes.runs import open_run, resume, train
from thalweg.training import Interrupted, Loss, Run, RunFolder, Stage
from thalweg.training.checkpoint import checkpoints
from thalweg.training.records import read_metrics
from thalweg.training.updates import Alternating
from toy_problems import Bilinear, Regression, regression_run, train_run


class Clocked(Regression):
    """A step takes one second of an artificial clock, a validation 100."""

    def __init__(self, monkeypatch, stop_at: int | None = None) -> None:
        super().__init__(0.1)
        self.now, self.steps, self.stop_at = 1000.0, 0, stop_at
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def loss(self, player, batch):
        self.now += 1.0 if torch.is_grad_enabled() else 100.0
        self.steps += torch.is_grad_enabled()
        if self.steps == self.stop_at:
            self.stop_at = None
            os.kill(os.getpid(), signal.SIGTERM)
        return super().loss(player, batch)


def timed(problem: Regression, **settings) -> Run:
    return regression_run(1000, problem=problem, seconds=20.0, **settings)


def test_a_budget_of_time_counts_training_only(monkeypatch, tmp_path):
    problem = Clocked(monkeypatch)
    train_run(timed(problem, validate_every=5), tmp_path / "run", log_every=4)
    assert problem.steps == 20
    assert [r["seconds"] for r in read_metrics(tmp_path / "run") if "seconds" in r] == [4.0, 8.0, 12.0, 16.0, 20.0]


def test_a_resumed_run_has_only_the_rest_of_its_time(monkeypatch, tmp_path):
    problem = Clocked(monkeypatch, stop_at=8)
    with pytest.raises(Interrupted, match="after step 8"):
        train_run(timed(problem, validate_every=3), tmp_path / "run")
    problem.now += 1e6
    train_run(timed(problem, validate_every=3), tmp_path / "run")
    assert problem.steps == 20
    assert read_metrics(tmp_path / "run")[-2]["seconds"] == 20.0


@pytest.mark.parametrize(("update", "steps"), [(None, 60), (Alternating({"theta": 5, "phi": 1}), 12)])
def test_a_budget_of_examples_counts_every_batch_of_a_step(update, steps):
    settings = {} if update is None else {"update": update}
    stage = Stage(problem=Bilinear(), steps=7, batch_size=16, **settings)
    assert Run(stage.problem.model, (stage,)).configured(TrainConfig(examples=960)).stages[0].steps == steps


class Level(Regression):
    """Its validation loss decreases until step 10 and is constant afterwards."""

    def loss(self, player, batch):
        loss = super().loss(player, batch)
        self.calls = getattr(self, "calls", 0) + torch.is_grad_enabled()
        return loss if torch.is_grad_enabled() else Loss(torch.full_like(loss.values, 20.0 - min(self.calls, 10)))


def test_of_equal_validation_losses_the_first_model_is_kept_and_reported(tmp_path, capsys):
    run = regression_run(500, problem=Level(), patience=3, validate_every=5)
    train_run(run, tmp_path / "run")
    assert [result.at for result in checkpoints(tmp_path / "run/checkpoints", "best")] == [(0, 10)]
    assert capsys.readouterr().err == (
        "stopped early after step 25: the validation loss did not fall in 3 validations in a row; the model of "
        "step 10 is kept, whose validation loss is the lowest, 10\n"
    )


@pytest.mark.parametrize(("steps", "said"), [(10, ""), (15, "all 15 steps are done; the model of step 10 is kept")])
def test_a_model_that_is_kept_is_mentioned_if_it_is_not_that_of_the_last_step(tmp_path, capsys, steps, said):
    train_run(regression_run(steps, problem=Level(), patience=3, validate_every=5), tmp_path / "run")
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert bool(err) == bool(said)


CONFIG = RunConfig(
    recipe="softmax-regression",
    data=DataConfig(source="digits", examples=200),
    options={},
    train=TrainConfig(steps=400, lr=0.5, patience=2, validate_every=5, device="cpu", batch_size=32),
)


def test_resuming_a_run_that_stopped_early_says_that_nothing_is_left(tmp_path):
    said: list[str] = []
    train(CONFIG, tmp_path / "run", warn=said.append)
    (stopped,) = said
    assert "stopped early after step" in stopped
    before = (tmp_path / "run/model.safetensors").read_bytes()
    said.clear()
    resume(tmp_path / "run", steps=12_000, warn=said.append)
    assert said[0].startswith("nothing is left to train: the run stopped early after step")
    assert "a larger --patience" in said[0]
    assert (tmp_path / "run/model.safetensors").read_bytes() == before


@pytest.mark.parametrize("recipe", ["softmax-regression", "kde"])
def test_resuming_a_complete_run_says_that_nothing_is_left(tmp_path, recipe):
    settings = TrainConfig(steps=4, device="cpu", batch_size=None if recipe == "kde" else 32)
    train(RunConfig(recipe=recipe, data=CONFIG.data, options={}, train=settings), tmp_path / "run", warn=str)
    said: list[str] = []
    resume(tmp_path / "run", warn=said.append)
    (line,) = said
    assert line.startswith("nothing is left to train: ")


def vae(settings: TrainConfig) -> RunConfig:
    return RunConfig(recipe="vae", data=CONFIG.data, options={"latent_dim": 2, "hidden": 8}, train=settings)


def killed_at(folder, step: int, settings: TrainConfig) -> None:
    """Leave the folder in the state after a kill, with `step` as its last checkpoint."""
    train(vae(settings), folder, warn=str)
    for result in checkpoints(folder / "checkpoints", "step"):
        if result.step > step:
            result.path.unlink()
    (folder / "model.safetensors").unlink()


def test_a_best_model_after_the_resumed_step_is_not_kept(tmp_path):
    """Steps 2, 4 ... 12 are validated, the run is killed after step 12 and before its checkpoint, and ends at 11."""
    shared = {"validate_every": 2, "patience": 50, "device": "cpu", "batch_size": 16, "checkpoint_every": 5}
    killed_at(tmp_path / "killed", 10, TrainConfig(steps=12, **shared))
    assert [result.step for result in checkpoints(tmp_path / "killed/checkpoints", "best")][-1] == 12
    resume(tmp_path / "killed", steps=11, warn=str)
    train(vae(TrainConfig(steps=11, **shared)), tmp_path / "straight", warn=str)
    one, other = (open_run(tmp_path / name).model.state_dict() for name in ("killed", "straight"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    result = checkpoints(tmp_path / "killed/checkpoints", "best")
    assert max(f.step for f in result) == 11


@pytest.mark.parametrize(
    "left",
    [["lock"], ["lock", ".run.4194304.tmp.json"], [".run.json.4194304.tmp"], ["lock", "checkpoints/"], []],
    ids=" ".join,
)
def test_a_run_may_begin_in_a_folder_of_unfinished_files(tmp_path, left):
    for name in left:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).write_text('{"half')
    RunFolder.create(tmp_path, {"config": {}}).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "run.json"]


@pytest.mark.parametrize("other", ["notes.txt", "checkpoints/step-0-000000001.0123456789abcdef.pt", ".hidden"])
def test_no_run_begins_in_a_folder_of_other_files(tmp_path, other):
    (tmp_path / "lock").write_text("")
    (tmp_path / other).parent.mkdir(exist_ok=True)
    (tmp_path / other).write_text("dear")
    with pytest.raises(ValueError, match="holds other files"):
        RunFolder.create(tmp_path, {}, overwrite=True)
    assert (tmp_path / other).read_text() == "dear"


def test_resuming_with_other_threads_or_another_processor_warns(tmp_path):
    settings = TrainConfig(steps=4, device="cpu", batch_size=32)
    train(RunConfig(recipe="softmax-regression", data=CONFIG.data, options={}, train=settings), tmp_path, warn=str)
    said: list[str] = []
    with RunFolder.open(tmp_path) as folder:
        header = RunFolder.read(tmp_path)
        known = header["numerics"]
        assert {"threads", "processor", "products", "torch"} <= set(known)
        folder.write_json("run.json", header | {"numerics": known | {"threads": 64, "products": "other"}})
    resume(tmp_path, steps=6, warn=said.append)
    (line,) = [line for line in said if "byte for byte" in line]
    assert f"threads 64 then, {known['threads']} now; products other then, {known['products']} now" in line


def test_labels_are_part_of_the_fingerprint(tmp_path):
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(200, 3)), draw.integers(3, size=200)
    prints = set()
    for labels in (y, np.roll(y, 1), None):
        np.savez(tmp_path / "a.npz", **({"x": x} if labels is None else {"x": x, "y": labels}))
        prints.add(load(DataConfig(source=str(tmp_path / "a.npz"))).spec.fingerprint)
    assert len(prints) == 3


def test_patience_counts_validations_in_a_row(tmp_path):
    losses = iter([5.0, 6.0, 4.0, 6.0, 3.0, 6.0, 6.0, 1.0])

    class Uneven(Regression):
        def loss(self, player, batch):
            loss = super().loss(player, batch)
            return loss if torch.is_grad_enabled() else Loss(torch.full_like(loss.values, next(losses)))

    train_run(regression_run(100, problem=Uneven(), patience=2, validate_every=1), tmp_path / "run")
    steps = [record["step"] for record in read_metrics(tmp_path / "run") if "validation/loss" in record]
    assert steps == [1, 2, 3, 4, 5, 6, 7]
    assert [result.at for result in checkpoints(tmp_path / "run/checkpoints", "best")] == [(0, 5)]
