"""Small problems that the engine's tests train: a regression, and games with closed forms."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from thalweg.config import OptimizerConfig, TrainConfig
from thalweg.training import Batch, Loss, Problem, Run, RunFolder, Sources, Stage, Update, train
from thalweg.training.progress import Progress

N = 96
X = torch.randn(N, 5, generator=torch.Generator().manual_seed(1))
Y = X.sum(1) + 0.1 * torch.randn(N, generator=torch.Generator().manual_seed(2))


class Regression(Problem):
    """Least squares with noise on the inputs drawn from the batch."""

    def __init__(self, noise: float = 0.0) -> None:
        torch.manual_seed(0)
        self.model, self.noise = nn.Linear(5, 1), noise
        self.players = {"model": self.model}

    def loss(self, player: str, batch: Batch) -> Loss:
        x = batch.x + self.noise * batch.normal("inputs", 5)
        return Loss((self.model(x)[:, 0] - batch.y).square(), {"mean": x.mean()})


class Cyclic:
    """Rows k·B .. k·B + B of the data, around and around."""

    def __init__(self, size: int, rank: int = 0, world: int = 1) -> None:
        self.size, self.rank, self.world = size, rank, world

    def get(self, step: int) -> tuple[Tensor, Tensor]:
        local = self.size // self.world
        first = step * self.size + self.rank * local
        index = torch.arange(first, first + local) % N
        return X[index], Y[index]

    def epoch(self, step: int) -> float:
        return step * self.size / N


def regression_run(steps: int, *, problem: Regression | None = None, **settings) -> Run:
    problem = problem or Regression(noise=0.1)
    settings = {"batch_size": 16, "optimizers": {"model": OptimizerConfig(lr=0.01)}} | settings
    return Run(problem.model, (Stage(problem=problem, steps=steps, **settings),))


def play(run: Run, folder: Path | None = None, *, progress: Progress | None = None, **settings) -> Run:
    """Train the run on the regression's data; with a folder, make it or go on in it."""
    config = TrainConfig(device="cpu", **settings)
    opened = None
    if folder is not None:
        opened = RunFolder.open(folder) if (folder / "run.json").exists() else RunFolder.create(folder, {})
    try:
        return train(
            run,
            lambda stage, world: Sources(Cyclic(stage.batch_size), [(X, Y)]),
            config,
            folder=opened,
            progress=progress,
        )
    finally:
        if opened:
            opened.close()


class Scalar(nn.Module):
    """One number that can move."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value, dtype=torch.float64))


class Bilinear(Problem):
    """The game L = θφ: θ descends, φ ascends; its saddle is (0, 0)."""

    def __init__(self) -> None:
        self.model = nn.ModuleDict({"theta": Scalar(1.0), "phi": Scalar(0.5)})
        self.players = dict(self.model.items())

    def loss(self, player: str, batch: Batch) -> Loss:
        value = self.model["theta"].value * self.model["phi"].value
        return Loss((value if player == "theta" else -value).expand(len(batch)))

    @property
    def radius(self) -> float:
        return float((self.model["theta"].value ** 2 + self.model["phi"].value ** 2).sqrt().detach())


def play_game(problem, update: Update, steps: int, lr: float = 0.1) -> None:
    sgd = OptimizerConfig(name="sgd", lr=lr)
    stage = Stage(
        problem=problem, steps=steps, batch_size=1, update=update, optimizers=dict.fromkeys(problem.players, sgd)
    )
    play(Run(problem.model, (stage,)))
