"""Updates on games against closed forms."""

import json
import math
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from thalweg.training import (
    Alternating,
    ClosedForm,
    Extragradient,
    Loss,
    Optimistic,
    Problem,
    Run,
    Simultaneous,
    Solution,
    Stage,
)
from thalweg.training.distributed import World
from toy_problems import Bilinear, Regression, Scalar, Y, train_game, train_run

ROUNDS, LR = 40, 0.1


@pytest.mark.system("S101")
@pytest.mark.oracle("O47")
def test_simultaneous_diverges_at_its_rate():
    game = Bilinear()
    start = game.radius
    train_game(game, Simultaneous(), ROUNDS, LR)
    rate = (game.radius / start) ** (1 / ROUNDS)
    assert rate == pytest.approx(math.sqrt(1 + LR**2), abs=1e-12)
    assert rate == pytest.approx(1.0049876, abs=1e-7)


@pytest.mark.system("S101")
@pytest.mark.oracle("O47")
def test_alternating_follows_its_matrix_of_determinant_one():
    game = Bilinear()
    train_game(game, Alternating({"theta": 1, "phi": 1}), ROUNDS, LR)
    # θ ← θ − αφ, then φ ← φ + α(θ − αφ)
    matrix = torch.tensor([[1, -LR], [LR, 1 - LR**2]], dtype=torch.float64)
    assert float(torch.linalg.det(matrix)) == pytest.approx(1)
    assert torch.linalg.eigvals(matrix).abs().numpy() == pytest.approx([1, 1])
    expected = torch.linalg.matrix_power(matrix, ROUNDS) @ torch.tensor([1.0, 0.5], dtype=torch.float64)
    got = [game.model[p].value.item() for p in ("theta", "phi")]
    assert got == pytest.approx(expected.tolist(), abs=1e-12)


@pytest.mark.system("S101")
def test_extragradient_converges_at_its_rate():
    game = Bilinear()
    start = game.radius
    train_game(game, Extragradient(), ROUNDS, LR)
    assert (game.radius / start) ** (1 / ROUNDS) == pytest.approx(math.sqrt(1 - LR**2 + LR**4), abs=1e-12)


@pytest.mark.system("S101")
def test_optimism_follows_its_recurrence_and_converges():
    game = Bilinear()
    start = game.radius
    train_game(game, Optimistic(), ROUNDS, LR)
    theta, phi = [1.0, 1.0], [0.5, 0.5]  # L = θφ: θ descends along φ, φ ascends along θ; the last, then the present
    for k in range(ROUNDS):
        before = (phi[0], theta[0]) if k else (phi[1], theta[1])
        gradients = 2 * phi[1] - before[0], 2 * theta[1] - before[1]
        theta, phi = [theta[1], theta[1] - LR * gradients[0]], [phi[1], phi[1] + LR * gradients[1]]
    got = [game.model[p].value.item() for p in ("theta", "phi")]
    assert got == pytest.approx([theta[1], phi[1]], abs=1e-12)
    train_game(game, Optimistic(), 2000, LR)
    assert game.radius < 1e-3 * start


@pytest.mark.system("S101")
def test_several_moves_equal_that_many_ascent_steps():
    game = Bilinear()
    train_game(game, Alternating({"phi": 3, "theta": 1}), 1, LR)
    phi = 0.5 + 3 * LR * 1.0
    assert game.model["phi"].value.item() == pytest.approx(phi)
    assert game.model["theta"].value.item() == pytest.approx(1.0 - LR * phi)


def test_an_update_without_players_is_refused():
    with pytest.raises(ValueError, match="moves: got none"):
        Alternating({})
    with pytest.raises(ValueError, match="moves of phi: got 0"):
        Alternating({"phi": 0, "theta": 1})


class ZeroSum(Problem):
    """A discriminator and a generator with L_G = −L_D."""

    def __init__(self) -> None:
        self.model = nn.ModuleDict({"d": Scalar(0.7), "g": Scalar(0.3)})
        self.players = dict(self.model.items())

    def loss(self, player, batch):
        fake = torch.log1p(-torch.sigmoid(self.model["d"].value * self.model["g"].value))
        return Loss((-fake if player == "d" else fake).expand(len(batch)))


@pytest.mark.system("S101")
@pytest.mark.oracle("O48")
@pytest.mark.parametrize("update", [Simultaneous(), Alternating({"d": 1, "g": 1})], ids=["simultaneous", "alternating"])
def test_gradients_do_not_cancel_between_players(update):
    naive = ZeroSum()
    for player in naive.players:  # the mistake: both losses are differentiated for both players
        naive.loss(player, [0]).values.mean().backward()
    assert float(naive.model["d"].value.grad) == 0.0

    game = ZeroSum()
    d, g = 0.7, 0.3
    train_game(game, update, 1, LR)
    slope = g / (1 + math.exp(-d * g))  # d/dd of −log(1 − σ(dg))
    assert game.model["d"].value.item() == pytest.approx(d - LR * slope)


class Averages(Problem):
    """A closed form of several steps: each halves the distance to the mean of y."""

    def __init__(self) -> None:
        self.model = nn.Module()
        self.model.register_buffer("mean", torch.zeros(()))
        self.players = {"model": self.model}
        self.seen = []

    def loss(self, player, batch):
        return Loss((batch.y - self.model.mean).square())

    def closed_form_step(self, player, batch):
        assert not torch.is_grad_enabled()
        self.seen.append(batch.seed)
        loss = self.loss(player, batch)
        self.model.mean += (batch.y.mean() - self.model.mean) / 2
        return Solution(loss, converged=len(self.seen) == 7)


def averages(steps=100, **settings):
    problem = Averages()
    return problem, Run(
        problem.model, (Stage(problem=problem, steps=steps, batch_size=96, update=ClosedForm(), **settings),)
    )


def test_closed_forms_step_without_gradients_until_they_converge(tmp_path):
    problem, run = averages()
    train_run(run, tmp_path / "run")
    assert len(set(problem.seen)) == 7  # of at most 100, each with a seed of its own
    assert float(problem.model.mean) == pytest.approx(float(Y.mean()) * (1 - 0.5**7), rel=1e-5)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 7  # every step is recorded
    assert losses[0] == pytest.approx(float(Y.square().mean()), rel=1e-5)
    assert lines[-1]["step"] == 7


def test_closed_forms_resume_exactly(tmp_path):
    straight = averages(steps=6)[1]
    train_run(straight, tmp_path / "straight")
    train_run(averages(steps=2)[1], tmp_path / "cut")
    resumed = averages(steps=6)[1]
    train_run(resumed, tmp_path / "cut")
    assert torch.equal(straight.model.mean, resumed.model.mean)


def test_closed_forms_are_refused_where_they_make_no_sense(monkeypatch):
    with pytest.raises(ValueError, match="update: got closed forms for Regression, wanted gradients"):
        Stage(problem=Regression(), steps=1, batch_size=8, update=ClosedForm())
    for settings in ({"accumulate": 2}, {"ema": {"model": 0.9}}, {"swa": {"model": 0.5}}):
        with pytest.raises(ValueError, match="accumulate, ema, swa: got some"):
            averages(**settings)
    monkeypatch.setattr("thalweg.training.loop.world", lambda device: nullcontext(World(0, 2)))
    with pytest.raises(ValueError, match="processes: got 2, wanted one"):
        train_run(averages()[1])


def test_a_player_with_fewer_moves_uses_the_last_batches_of_the_step():
    class Recorder:
        def __init__(self) -> None:
            self.seen: list[tuple[str, int]] = []

        def differentiate(self, player: str, batch: int = 0) -> None:
            self.seen.append((player, batch))

        def apply(self, player: str) -> None:
            assert self.seen[-1][0] == player

    recorder = Recorder()
    Alternating({"critic": 3, "generator": 1})(recorder)
    assert recorder.seen == [("critic", 0), ("critic", 1), ("critic", 2), ("generator", 2)]
