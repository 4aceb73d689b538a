"""What a problem may do beyond its loss: extras, diagnostics, statistics of all the training data."""

import json
import math

import pytest
import torch
from torch import nn

from thalweg.config import TrainConfig
from thalweg.training import Batch, Loss, NonFinite, Problem, Run, Stage
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


@pytest.mark.parametrize("name", ["loss", "lr", "step", "stage", "seconds", "memory"])
def test_an_extra_with_a_name_of_the_metrics_is_refused(name):
    with pytest.raises(ValueError, match=f"extras of model: got '{name}', which the metrics themselves hold"):
        train_run(regression_run(1, problem=WithExtra(name)))


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
    value = state.validate([(X, Y)])
    assert torch.equal(norm.running_mean, before[0])
    assert torch.equal(norm.running_var, before[1])
    state.finish()
    assert not torch.equal(norm.running_mean, before[0])
    with torch.no_grad():
        assert value == pytest.approx(float(problem.loss("model", Batch(X, Y)).values.mean()), rel=1e-6)
