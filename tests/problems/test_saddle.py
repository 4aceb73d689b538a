"""Updates on the bilinear and the quadratic game against closed forms: factors per step, mean squares under noise."""

import cmath
import math

import numpy as np
import pytest
import torch

from thalweg.config import OptimizerConfig, TrainConfig
from thalweg.problems.saddle import QuadraticGame
from thalweg.training import Alternating, Batch, Extragradient, Optimistic, Simultaneous, Stage
from thalweg.training.distributed import World
from thalweg.training.stage_state import StageState

pytestmark = pytest.mark.system("S101")

RATE, MU = 0.1, 0.5
MULTI_ASCENT = Alternating({"phi": 5, "theta": 1})


class Couplings:
    """Mini-batches of couplings: all ones, or N(1, 1)."""

    def __init__(self, size, random=False):
        self.size, self.random = size, random

    def get(self, step):
        distribution = torch.Generator().manual_seed(step)
        b = torch.ones(self.size, dtype=torch.float64)
        return (b + torch.randn(self.size, generator=distribution, dtype=torch.float64) if self.random else b), None

    def epoch(self, step):
        return 0.0


def state_of(game, update, couplings):
    descent = OptimizerConfig(name="sgd", lr=RATE)
    stage = Stage(
        problem=game, steps=1, batch_size=couplings.size, update=update, optimizers=dict.fromkeys(game.players, descent)
    )
    return StageState(stage, couplings, TrainConfig(), torch.device("cpu"), World())


def places(game, update, rounds, couplings=None):
    """Return θ and φ before the first step and after each, (rounds + 1, 2, size)."""
    state = state_of(game, update, couplings or Couplings(1))
    result = [game.place]
    for step in range(rounds):
        state.step(step)
        result.append(game.place)
    return torch.stack(result).numpy()


def distances(*arguments):
    return np.sqrt(np.square(places(*arguments)).sum(1).mean(1))


def largest_root(mu):
    """Return the factor of `Optimistic`: z⁺ = z − αw(2z − z⁻) along eigenvectors with the eigenvalues w = μ ± i."""
    w = RATE * complex(mu, 1)
    half, root = (1 - 2 * w) / 2, cmath.sqrt((1 - 2 * w) ** 2 / 4 + w)
    return max(abs(half + root), abs(half - root))


FACTORS = {
    "simultaneous": (Simultaneous(), lambda mu: abs(1 - RATE * complex(mu, 1))),
    "alternating": (Alternating({"phi": 1, "theta": 1}), lambda mu: 1 - RATE * mu),  # the root of the determinant
    "multi-ascent": (MULTI_ASCENT, lambda mu: (1 - RATE * mu) ** 3),
    "extragradient": (Extragradient(), lambda mu: abs(1 - RATE * complex(mu, 1) + (RATE * complex(mu, 1)) ** 2)),
    "optimistic": (Optimistic(), largest_root),
}


@pytest.mark.oracle("O47")
@pytest.mark.parametrize("mu", [0.0, MU], ids=["bilinear", "quadratic"])
@pytest.mark.parametrize("name", FACTORS)
def test_each_solver_has_its_factor(name, mu):
    update, factor = FACTORS[name]
    walk = places(QuadraticGame(curvature=mu), update, 250)[:, :, 0]
    far = np.hypot(*walk.T)
    if name in ("simultaneous", "extragradient"):  # rotation and scaling: the same factor in every step
        np.testing.assert_allclose(far[1:] / far[:-1], factor(mu), rtol=1e-9)
    elif name == "optimistic":
        assert (far[250] / far[50]) ** (1 / 200) == pytest.approx(factor(mu), abs=2e-4)
    else:  # ellipses: the area spanned by two consecutive points shrinks by the determinant, the square of the factor
        spanned = walk[:-1, 0] * walk[1:, 1] - walk[:-1, 1] * walk[1:, 0]
        np.testing.assert_allclose(spanned[1:] / spanned[:-1], factor(mu) ** 2, rtol=1e-8)


@pytest.mark.oracle("O47")
def test_factors_of_the_bilinear_game_by_number():
    got = {name: factor(0.0) for name, (_, factor) in FACTORS.items()}
    assert got["simultaneous"] == pytest.approx(1.0049876, abs=1e-7)
    assert got["alternating"] == got["multi-ascent"] == 1
    assert got["extragradient"] == pytest.approx(math.sqrt(1 - RATE**2 + RATE**4))
    assert got["optimistic"] == pytest.approx(math.sqrt((1 + math.sqrt(1 - 4 * RATE**2)) / 2))


def test_several_ascents_are_a_power_of_one():
    game = QuadraticGame(curvature=MU)
    state_of(game, MULTI_ASCENT, Couplings(1)).step(0)
    phi = RATE * sum((1 - RATE * MU) ** k for k in range(5))  # φ ← (1 − αμ)φ + αθ, with θ = 1
    assert game.place.flatten().tolist() == pytest.approx([1 - RATE * (MU + phi), phi])


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize(
    ("update", "factor", "added"),
    [(Simultaneous(), 1 + RATE**2, 2 * RATE**2), (Extragradient(), 1 - RATE**2 + RATE**4, 2 * RATE**2 * (1 + RATE**2))],
    ids=["simultaneous", "extragradient"],
)
def test_noise_adds_its_variance_to_the_mean_square(update, factor, added, batch):
    noise, rounds = 3.0, 40
    far = distances(QuadraticGame(4000, noise=noise), update, rounds, Couplings(batch))
    expected = 1.0
    for _ in range(rounds):
        expected = factor * expected + added * noise**2 / batch
    assert far[-1] ** 2 == pytest.approx(expected, rel=0.05)  # of 8,000 numbers: 1.6 %


def linear_moves(name, mu):
    """Return the maps of a step, state ← M state + N ε; the state is (θ, φ), for `Optimistic` with last gradients."""
    field, one = np.array([[mu, 1.0], [-1.0, mu]]), np.eye(2)
    if name == "optimistic":
        step = np.block([[one - 2 * RATE * field, RATE * one], [field, 0 * one]])
        return [(step, np.vstack([-2 * RATE * one, one]))]
    who = ["phi"] * FACTORS[name][0].moves["phi"] + ["theta"]
    movers = [np.diag([1.0, 0.0] if player == "theta" else [0.0, 1.0]) for player in who]
    return [(one - RATE * mover @ field, -RATE * mover) for mover in movers]


@pytest.mark.parametrize("mu", [0.0, MU], ids=["bilinear", "quadratic"])
@pytest.mark.parametrize("name", ["alternating", "multi-ascent", "optimistic"])
def test_noise_of_the_others_follows_the_recurrence_of_the_mean_square(name, mu):
    noise, rounds, size = 2.0, 40, 4
    far = distances(QuadraticGame(4000, curvature=mu, noise=noise), FACTORS[name][0], rounds, Couplings(size))
    square, variance = np.diag([1.0, 0.0]), noise**2 / size
    if name == "optimistic":  # the first step has no last gradient
        field, one = np.array([[mu, 1.0], [-1.0, mu]]), np.eye(2)
        step, draw = np.vstack([one - RATE * field, field]), np.vstack([-RATE * one, one])
        square, rounds = step @ square @ step.T + variance * draw @ draw.T, rounds - 1
    for step, draw in rounds * linear_moves(name, mu):
        square = step @ square @ step.T + variance * draw @ draw.T
    assert far[-1] ** 2 == pytest.approx(square[0, 0] + square[1, 1], rel=0.06)


def test_noise_keeps_extragradient_from_the_saddle_of_the_bilinear_game():
    far = distances(QuadraticGame(4000, noise=1.0), Extragradient(), 600, Couplings(16))
    assert far[-1] ** 2 == pytest.approx(2 * (1 + RATE**2) / (1 - RATE**2) / 16, rel=0.06)  # whatever the rate, ≥ 2σ²/B


@pytest.mark.parametrize("update", [Simultaneous(), Extragradient()], ids=["simultaneous", "extragradient"])
def test_mini_batches_of_random_couplings(update):
    """Every step uses the mean coupling of its batch, `Extragradient` twice."""
    couplings = Couplings(4, random=True)
    far = distances(QuadraticGame(), update, 60, couplings)
    step = np.array([RATE * float(couplings.get(k)[0].mean()) for k in range(60)])
    factors = np.sqrt(1 + step**2) if isinstance(update, Simultaneous) else np.sqrt(1 - step**2 + step**4)
    np.testing.assert_allclose(far[1:] / far[:-1], factors, rtol=1e-9)


def test_refusals():
    with pytest.raises(ValueError, match="curvature: got -1"):
        QuadraticGame(curvature=-1.0)
    with pytest.raises(ValueError, match="size: got 0"):
        QuadraticGame(0)
    with pytest.raises(ValueError, match="player: got 'critic'"):
        QuadraticGame().loss("critic", Batch(torch.ones(2)))
