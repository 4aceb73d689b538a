"""Updates against the closed forms of the games they play."""

import math

import pytest
import torch
from torch import nn

from thalweg.training import Alternating, Extragradient, Loss, Simultaneous
from toy_problems import Bilinear, Scalar, play_game

ROUNDS, LR = 40, 0.1


@pytest.mark.system("S101")
@pytest.mark.oracle("O47")
def test_simultaneous_diverges_at_its_rate():
    game = Bilinear()
    start = game.radius
    play_game(game, Simultaneous(), ROUNDS, LR)
    rate = (game.radius / start) ** (1 / ROUNDS)
    assert rate == pytest.approx(math.sqrt(1 + LR**2), abs=1e-12)
    assert rate == pytest.approx(1.0049876, abs=1e-7)


@pytest.mark.system("S101")
@pytest.mark.oracle("O47")
def test_alternating_follows_its_matrix_of_determinant_one():
    game = Bilinear()
    play_game(game, Alternating({"theta": 1, "phi": 1}), ROUNDS, LR)
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
    play_game(game, Extragradient(), ROUNDS, LR)
    assert (game.radius / start) ** (1 / ROUNDS) == pytest.approx(math.sqrt(1 - LR**2 + LR**4), abs=1e-12)


@pytest.mark.system("S101")
def test_several_moves_equal_that_many_ascent_steps():
    game = Bilinear()
    play_game(game, Alternating({"phi": 3, "theta": 1}), 1, LR)
    phi = 0.5 + 3 * LR * 1.0
    assert game.model["phi"].value.item() == pytest.approx(phi)
    assert game.model["theta"].value.item() == pytest.approx(1.0 - LR * phi)


class ZeroSum:
    """A discriminator and a generator with L_G = −L_D, as minimax snippets write it."""

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
    for player in naive.players:  # what goes wrong: both losses backpropagated into everyone
        naive.loss(player, [0]).values.mean().backward()
    assert float(naive.model["d"].value.grad) == 0.0

    game = ZeroSum()
    d, g = 0.7, 0.3
    play_game(game, update, 1, LR)
    slope = g / (1 + math.exp(-d * g))  # d/dd of −log(1 − σ(dg))
    assert game.model["d"].value.item() == pytest.approx(d - LR * slope)
