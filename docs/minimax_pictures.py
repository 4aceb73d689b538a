"""Draw the picture of the minimax page and print its tables: each solver on two games with a saddle point.

python docs/minimax_pictures.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import torch

from thalweg.config import OptimizerConfig, TrainConfig
from thalweg.data import Batches
from thalweg.problems.saddle import QuadraticGame
from thalweg.training import Alternating, Extragradient, Optimistic, Simultaneous, Stage, Update
from thalweg.training.distributed import World
from thalweg.training.stage_state import StageState

IMAGE = Path(__file__).parent / "images" / "minimax.png"
RATE, BATCH, NOISE, ASCENTS = 0.1, 16, 1.0, 5
SOLVERS: dict[str, Update] = {
    "simultaneous": Simultaneous(),
    "alternating": Alternating({"phi": 1, "theta": 1}),
    "multi-ascent": Alternating({"phi": ASCENTS, "theta": 1}),
    "extragradient": Extragradient(),
    "optimistic": Optimistic(),
}
GAMES = {"bilinear, θφ": 0.0, "quadratic, ¼θ² + θφ − ¼φ²": 0.5}


def played(update: Update, curvature: float, rounds: int, *, size: int = 1, noise: float = 0.0) -> torch.Tensor:
    """Return the players before the first iteration and after each, (rounds + 1, 2, size)."""
    game = QuadraticGame(size, curvature=curvature, noise=noise)
    gradient_descent = OptimizerConfig(name="sgd", lr=RATE)
    stage = Stage(
        problem=game,
        steps=rounds,
        batch_size=BATCH if noise else 1,
        optimizers=dict.fromkeys(game.players, gradient_descent),
        update=update,
    )
    couplings = Batches((torch.ones(stage.batch_size, dtype=torch.float64), None), stage.batch_size)
    state = StageState(stage, couplings, TrainConfig(), torch.device("cpu"), World())
    places = [game.place]
    for step in range(rounds):
        state.step(step)
        places.append(game.place)
    return torch.stack(places)


def matrices(name: str, curvature: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the linear maps (M, N) of an iteration, state ← M state + N ε, in order; the state begins with θ and φ."""
    field, one, still = np.array([[curvature, 1.0], [-1.0, curvature]]), np.eye(2), np.zeros((2, 2))
    if name == "simultaneous":
        return [(one - RATE * field, -RATE * one)]
    if name == "extragradient":
        return [(one - RATE * field + RATE**2 * field @ field, -RATE * (one - RATE * field))]
    if name == "optimistic":  # the state includes the previous gradients
        step = np.block([[one - 2 * RATE * field, RATE * one], [field, still]])
        return [(step, np.vstack([-2 * RATE * one, one]))]
    theta, phi = (np.diag(row) for row in ([1.0, 0.0], [0.0, 1.0]))
    moves = [phi] * (ASCENTS if name == "multi-ascent" else 1) + [theta]
    return [(one - RATE * move @ field, -RATE * move) for move in moves]


def factor(name: str, curvature: float) -> float:
    """Return the asymptotic factor of the distance per iteration: the spectral radius of its matrix."""
    whole = np.eye(4 if name == "optimistic" else 2)
    for matrix, _ in matrices(name, curvature):
        whole = matrix @ whole
    return float(np.abs(np.linalg.eigvals(whole)).max())


def distance(name: str, curvature: float, rounds: int, noise: float) -> float:
    """Return √E(θ² + φ²) after a number of iterations from (1, 0), from the recurrence of the mean square."""
    state = np.zeros((4, 4) if name == "optimistic" else (2, 2))
    state[0, 0] = 1.0
    if name == "optimistic":  # the first iteration has its own gradient as the previous one
        (matrix, _), (_, draw) = matrices("simultaneous", curvature)[0], matrices("optimistic", curvature)[0]
        full = np.vstack([matrix, np.array([[curvature, 1.0], [-1.0, curvature]])])
        draw = np.vstack([draw[:2] / 2, draw[2:]])
        state, rounds = full @ state[:2, :2] @ full.T + noise**2 / BATCH * draw @ draw.T, rounds - 1
    for _ in range(rounds):
        for matrix, draw in matrices(name, curvature):
            state = matrix @ state @ matrix.T + noise**2 / BATCH * draw @ draw.T
    return float(np.sqrt(state[0, 0] + state[1, 1]))


def main() -> None:
    """Draw the picture and print the tables."""
    figure, axes = plt.subplots(2, 3, figsize=(10.5, 7), layout="constrained")
    for row, (title, curvature), reach, least in zip(axes, GAMES.items(), (2.5, 1.2), (0.1, 1e-6), strict=True):
        for name, update in SOLVERS.items():
            places = played(update, curvature, 1000)
            noisy = played(update, curvature, 400, size=1000, noise=NOISE)
            far = places.square().sum(1).sqrt()[:, 0]
            measured = float((far[-1] / far[0]) ** (1 / (len(far) - 1)))
            spread = noisy.square().sum(1).mean(1).sqrt()
            print(f"{title:28s} {name:14s} factor {measured:.6f}, theory {factor(name, curvature):.6f};", end=" ")
            print(f"noisy {spread[-1]:.4f}, theory {distance(name, curvature, 400, NOISE):.4f}")
            dashes = "--" if name == "optimistic" else "-"  # above the curve of extragradient, which is nearly equal
            row[0].plot(*places[:200, :, 0].T, dashes, lw=1.2, label=name)
            row[1].plot(*noisy[:120, :, 0].T, dashes, lw=0.8)
            (line,) = row[2].semilogy(far[:401], dashes, lw=1.2)
            row[2].semilogy(spread, lw=1.2, ls=":", color=line.get_color())
        for ax, what in zip(row, ("exact gradients", "noisy gradients", "distance from the saddle"), strict=True):
            ax.set_title(f"{title}\n{what}", fontsize=9)
        for ax in row[:2]:
            ax.plot(0, 0, "k+", ms=10)
            ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="θ", ylabel="φ")
        row[2].set(xlabel="iteration; dotted: noisy gradients", ylim=(least, 12))
    axes[0, 0].legend(fontsize=7, loc="upper left")
    figure.savefig(IMAGE, dpi=75)


if __name__ == "__main__":
    main()
