"""What a problem may do beyond its loss: extras, diagnostics, statistics of all the training data."""

import json
import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from thalweg.config import TrainConfig
from thalweg.training import Batch, ClosedForm, Diagnostics, Loss, NonFinite, Problem, Run, Stage
from thalweg.training.distributed import World
from thalweg.training.stage_state import StageState
from thalweg.training.statistics import normalizing_layers, re_estimate
from toy_problems import Bilinear, Cyclic, N, Regression, X, Y, regression_run, train_run


def lines(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_problem_needs_a_loss_and_has_defaults_for_the_rest():
    class Bare(Problem):
        def loss(self, player, batch):
            return Loss(batch.x)

    with pytest.raises(TypeError, match="abstract"):
        Problem()
    problem, batch = Bare(), Batch(torch.zeros(2))
    assert problem.project("model") is None
    assert (problem.diagnostics(batch).values, problem.diagnostics(batch).warning) == ({}, None)
    assert (tuple(problem.second_order), problem.validated) == ((), True)
    with pytest.raises(NotImplementedError, match="Bare has no closed-form step"):
        problem.closed_form_step("model", batch)


class WithExtra(Regression):
    """A regression that records an extra of the given name and value, -1 unless said otherwise."""

    def __init__(self, name: str, value: float = -1.0) -> None:
        super().__init__()
        self.name, self.value = name, value

    def loss(self, player, batch):
        return Loss(super().loss(player, batch).values, {self.name: torch.tensor(self.value)})


@pytest.mark.parametrize("name", ["reconstruction_loss", "model/loss", "aloss"])
def test_an_extra_that_ends_in_loss_is_no_loss(tmp_path, name):
    train_run(regression_run(4, problem=Regression()), tmp_path / "plain", log_every=4)
    train_run(regression_run(4, problem=WithExtra(name)), tmp_path / "extra", log_every=4)
    (plain,), (extra,) = lines(tmp_path / "plain"), lines(tmp_path / "extra")
    assert extra["loss"] == plain["loss"]
    assert extra[name] == -1


def test_an_extra_that_is_not_finite_does_not_end_the_run_and_a_loss_does(tmp_path):
    train_run(regression_run(4, problem=WithExtra("reconstruction_loss", math.nan)), tmp_path / "run", log_every=4)
    (line,) = lines(tmp_path / "run")
    assert math.isfinite(line["loss"])
    assert line["reconstruction_loss"] is None  # JSON has no NaN

    class Broken(Bilinear):
        def loss(self, player, batch):
            loss = super().loss(player, batch)
            return Loss(loss.values * math.nan) if player == "phi" else Loss(loss.values, {"phi_loss": loss.values})

    game = Broken()
    with pytest.raises(NonFinite, match="the loss of phi is nan at step 1;"):
        train_run(Run(game.model, (Stage(problem=game, steps=2, batch_size=1),)))


class Hooked(Regression):
    """A regression whose `loss` and `diagnostics` are the functions given."""

    def __init__(self, loss=None, diagnostics=None) -> None:
        super().__init__()
        self._loss, self._diagnostics = loss, diagnostics

    def loss(self, player, batch):
        plain = super().loss(player, batch)
        return self._loss(plain.values) if self._loss else plain

    def diagnostics(self, batch):
        return self._diagnostics() if self._diagnostics else super().diagnostics(batch)


TAKEN = ["loss", "lr", "step", "stage", "seconds", "memory", "validation/loss", "validation/other"]


@pytest.mark.parametrize(
    ("what", "name"),
    [("extras of model", n) for n in TAKEN] + [("diagnostics", n) for n in [*TAKEN, "mean"]],  # "mean" is an extra
)
def test_a_name_that_the_metrics_hold_is_refused(tmp_path, what, name):
    hooks = {"diagnostics": lambda: Diagnostics({name: 0.5})} if what == "diagnostics" else {
        "loss": lambda values: Loss(values, {name: 0.5})}  # fmt: skip
    with pytest.raises(ValueError, match=f"^{what}: got '{name}', which the metrics themselves hold; wanted other"):
        train_run(regression_run(1, problem=Hooked(**hooks)), tmp_path / "run")


@pytest.mark.parametrize("name", ["theta/loss", "phi/lr"])
def test_a_diagnostic_with_the_key_of_a_player_is_refused(name):
    game = Bilinear()
    game.diagnostics = lambda batch: Diagnostics({name: 0.5})
    with pytest.raises(ValueError, match=f"diagnostics: got '{name}'"):
        train_run(Run(game.model, (Stage(problem=game, steps=1, batch_size=1),)))


@pytest.mark.parametrize(
    ("hooks", "error", "message"),
    [
        ({"loss": lambda v: Loss(v.mean())}, ValueError, r"loss of model: got values of shape \(\), wanted \(16,\)"),
        ({"loss": lambda v: Loss(v.mean()[None])}, ValueError, r"got values of shape \(1,\), wanted \(16,\), one per"),
        ({"loss": lambda v: Loss(v[:, None])}, ValueError, r"got values of shape \(16, 1\), wanted \(16,\)"),
        ({"loss": lambda v: Loss(v[:8])}, ValueError, r"got values of shape \(8,\), wanted \(16,\)"),
        ({"loss": lambda v: v}, TypeError, "loss of model: got Tensor, wanted Loss"),
        ({"loss": lambda v: (v, {})}, TypeError, "loss of model: got tuple, wanted Loss"),
        ({"loss": lambda v: Loss(0.5)}, TypeError, "values of the loss of model: got float, wanted Tensor"),
        ({"diagnostics": lambda: {"rank": 1.0}}, TypeError, "diagnostics: got dict, wanted Diagnostics"),
    ],
)
def test_a_result_of_another_type_or_shape_is_refused(hooks, error, message):
    with pytest.raises(error, match=message):
        train_run(regression_run(1, problem=Hooked(**hooks)))


def test_a_validation_loss_without_one_value_per_example_is_refused():
    problem = Hooked(loss=lambda v: Loss(v.mean()[None]))
    stage = Stage(problem=problem, steps=1, batch_size=16)
    state = StageState(stage, Cyclic(16), TrainConfig(), torch.device("cpu"), World())
    with pytest.raises(ValueError, match=r"got values of shape \(1,\), wanted \(96,\)"):
        state.validate([(X, Y)])


def test_a_closed_form_step_of_another_type_is_refused():
    class Closed(Regression):
        def closed_form_step(self, player, batch):
            return self.loss(player, batch)

    problem = Closed()
    stage = Stage(problem=problem, steps=1, batch_size=16, update=ClosedForm())
    with pytest.raises(TypeError, match="closed_form_step: got Loss, wanted Solution"):
        train_run(Run(problem.model, (stage,)))


@pytest.mark.parametrize("extra", [2.5, np.float64(2.5), np.float32(2.5), torch.full((16,), 2.5)])
def test_extras_are_numbers_or_tensors(tmp_path, extra):
    train_run(regression_run(4, problem=Hooked(loss=lambda v: Loss(v, {"rate": extra}))), tmp_path / "run", log_every=4)
    assert [line["rate"] for line in lines(tmp_path / "run")] == [2.5]


class FullStatistics(Problem):
    """Least squares with batch normalization, whose running statistics are those of all the training data."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        self.players = {"model": self.model}

    def loss(self, player, batch):
        return Loss((self.model(batch.x)[:, 0] - batch.y).square())

    def finish(self, batches, averaged):
        layers = normalizing_layers(self.model)
        re_estimate(layers, lambda batch: self.loss("model", batch), (batches[i] for i in range(len(batches))))


@pytest.mark.parametrize("ema", [{}, {"model": 0.5}])
def test_a_problem_may_finish_with_statistics_of_all_the_training_data(ema):
    problem = FullStatistics()
    train_run(Run(problem.model, (Stage(problem=problem, steps=20, batch_size=16, ema=ema),)))
    assert N % 16 == 0
    first, norm, _ = problem.model
    with torch.no_grad():
        activations = first(X)
    torch.testing.assert_close(norm.running_mean, activations.mean(0))
    within = torch.stack([part.var(0) for part in activations.split(16)]).mean(0)  # of each batch, as it is normalized
    torch.testing.assert_close(norm.running_var, within)


def test_a_validation_is_of_the_finished_model_and_sets_its_statistics_back():
    problem = FullStatistics()
    state = StageState(
        Stage(problem=problem, steps=20, batch_size=16), Cyclic(16), TrainConfig(), torch.device("cpu"), World()
    )
    for number in range(5):
        state.step(number)
    norm = problem.model[1]
    before = norm.running_mean.clone(), norm.running_var.clone()
    value = state.validate([(X, Y)])["loss"]
    assert torch.equal(norm.running_mean, before[0])
    assert torch.equal(norm.running_var, before[1])
    state.finish()
    assert not torch.equal(norm.running_mean, before[0])
    with torch.no_grad():
        assert value == pytest.approx(float(problem.loss("model", Batch(X, Y)).values.mean()), rel=1e-6)


@pytest.mark.parametrize("accumulate", [1, 4])
def test_an_augmentation_keeps_the_number_of_examples_where_gradients_are_accumulated(accumulate):
    def with_one_more(batch: Batch) -> Batch:
        return Batch(torch.cat([batch.x, batch.x[:1]]), torch.cat([batch.y, batch.y[:1]]), batch.seed)

    refusal = pytest.raises(ValueError, match="augment: got 17 examples from 16, wanted as many, since gradients are")
    with refusal if accumulate > 1 else nullcontext():
        train_run(regression_run(2, problem=Regression(), augment=with_one_more, accumulate=accumulate))
