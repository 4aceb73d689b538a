"""Averages of the weights over the last share of the training (SWA): closed forms, budgets of time, resuming."""

import os
import signal
import time

import pytest
import torch

from thalweg.config import OptimizerConfig
from thalweg.training import Interrupted, Loss, Problem, Run, Stage
from thalweg.training.averaging import SWA
from toy_problems import KINDS, Scalar, regression_run, train_run

RATE, CURVATURE, START = 0.1, 2.0, 3.0


class Quadratic(Problem):
    """f(θ) = hθ²/2, whose gradient descent is θ_t = (1 − αh)^t θ_0. A step takes one second of an artificial clock."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.model = Scalar(START)
        self.players = {"model": self.model}
        self.now, self.steps, self.stop_at = 1000.0, 0, stop_at
        self.validated_at: list[float] = []

    def loss(self, player, batch):
        if not self.model.training:
            self.validated_at.append(self.model.value.item())
        else:
            self.now += 1.0
            self.steps += 1
            if self.steps == self.stop_at:
                os.kill(os.getpid(), signal.SIGTERM)
        return Loss((0.5 * CURVATURE * self.model.value.square()).expand(len(batch)))


def iterates(first: int, last: int) -> torch.Tensor:
    """Return θ_first, ..., θ_last."""
    return START * (1 - RATE * CURVATURE) ** torch.arange(first, last + 1, dtype=torch.float64)


def run_of(problem: Problem, steps: int, **settings) -> Run:
    settings = {"swa": {"model": 0.25}, "optimizers": {"model": OptimizerConfig(name="sgd", lr=RATE)}} | settings
    return Run(problem.model, (Stage(problem=problem, steps=steps, batch_size=16, **settings),))


@pytest.mark.system("S47")
@pytest.mark.parametrize(("share", "first"), [(0.25, 10), (0.5, 7), (1.0, 1), (0.01, 12)])
def test_the_model_is_the_mean_of_the_last_iterates(share, first):
    problem = Quadratic()
    train_run(run_of(problem, 12, swa={"model": share}))
    assert problem.model.value.item() == pytest.approx(iterates(first, 12).mean().item(), rel=1e-12)


def test_validations_use_the_average_once_it_has_begun():
    problem = Quadratic()
    train_run(run_of(problem, 8, validate_every=1))
    means = [*iterates(1, 6).tolist(), iterates(7, 7).mean().item(), iterates(7, 8).mean().item()]
    assert problem.validated_at == pytest.approx(means, rel=1e-12)


def test_under_a_budget_of_time_the_average_begins_at_a_share_of_the_time(monkeypatch):
    problem = Quadratic()
    monkeypatch.setattr(time, "monotonic", lambda: problem.now)
    train_run(run_of(problem, 1000, seconds=20.0))
    assert problem.steps == 20
    assert problem.model.value.item() == pytest.approx(iterates(16, 20).mean().item(), rel=1e-12)


def test_a_run_interrupted_in_its_average_ends_as_one_that_was_not(tmp_path):
    straight, interrupted, resumed = Quadratic(), Quadratic(stop_at=10), Quadratic()
    train_run(run_of(straight, 12))
    with pytest.raises(Interrupted, match="after step 10"):
        train_run(run_of(interrupted, 12), tmp_path / "run")
    assert interrupted.model.value.item() == pytest.approx(iterates(10, 10).item())  # its own weights, not the average
    train_run(run_of(resumed, 12), tmp_path / "run")
    assert resumed.steps == 2
    assert torch.equal(resumed.model.value, straight.model.value)


@pytest.mark.system("S5")
@pytest.mark.parametrize("kind", ["regression", "mask"])
def test_a_run_that_is_trained_longer_equals_an_uninterrupted_one_bitwise(tmp_path, kind):
    """The first part has averaged its own last steps: with the new total, the average begins anew."""
    for steps, name in ((20, "straight"), (7, "resumed"), (20, "resumed")):
        train_run(regression_run(steps, problem=KINDS[kind](), swa={"model": 0.4}), tmp_path / name, log_every=3)
    straight, resumed = ((tmp_path / f / "model.safetensors").read_bytes() for f in ("straight", "resumed"))
    assert straight == resumed


def test_a_run_that_ends_before_its_average_begins_says_so(capsys):
    class Constant(Quadratic):
        def loss(self, player, batch):
            loss = super().loss(player, batch)
            return loss if self.model.training else Loss(torch.ones(len(batch)))

    problem = Constant()
    train_run(run_of(problem, 100, validate_every=2, patience=3))
    assert problem.model.value.item() == pytest.approx(iterates(2, 2).item())
    assert "no weights are averaged: the model is that of step 2, before the average began" in capsys.readouterr().err


def test_a_share_of_less_than_a_step_is_the_last_step():
    assert SWA.of_share(0.01, steps=10) == SWA(9)
