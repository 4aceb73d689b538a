"""Small problems that the engine's tests train: targets of several kinds, and games with closed forms."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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


IGNORED = 255  # void pixels and padding
SCENES = torch.randint(0, 256, (N, 1, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
MASKS = (SCENES[:, 0] > 127).long()
MASKS[torch.rand(MASKS.shape, generator=torch.Generator().manual_seed(4)) < 0.2] = IGNORED
MASKS[5] = IGNORED  # every pixel of one image
TEXT = torch.randint(0, 7, (N, 9), generator=torch.Generator().manual_seed(5))
NEXT = TEXT[:, 1:].clone()
NEXT[torch.arange(N)[:, None] % 5 + torch.arange(8) > 8] = IGNORED  # the ends of some texts


class PerPixel(Problem):
    """Per-pixel cross-entropy of masks, with noise on the input: its mean over the counted pixels of each image."""

    data = (SCENES, MASKS)

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))
        self.players = {"model": self.model}

    def loss(self, player: str, batch: Batch) -> Loss:
        x = batch.x / 255 + 0.1 * batch.normal("pixels", 1, 6, 6)
        return Loss(mean_of_counted(self.model(x), batch.y))


class PerToken(Problem):
    """Cross-entropy of the next token: its mean over the tokens of each text that are not ignored."""

    data = (TEXT[:, :-1], NEXT)

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Embedding(7, 5), nn.Linear(5, 7))
        self.players = {"model": self.model}

    def loss(self, player: str, batch: Batch) -> Loss:
        return Loss(mean_of_counted(self.model(batch.x).transpose(1, 2), batch.y))


def mean_of_counted(logits: Tensor, y: Tensor) -> Tensor:
    """Return the cross-entropy of logits (B, K, ...), one value per sample, without ignored elements."""
    values = F.cross_entropy(logits, y, ignore_index=IGNORED, reduction="none").flatten(1)
    return values.sum(1) / (y != IGNORED).flatten(1).sum(1).clamp(min=1)


KINDS = {"regression": lambda: Regression(noise=0.1), "mask": PerPixel, "tokens": PerToken}


class Cyclic:
    """Rows k·B .. k·B + B of the data, cyclically."""

    def __init__(self, size: int, rank: int = 0, world: int = 1, data: tuple[Tensor, Tensor] = (X, Y)) -> None:
        self.size, self.rank, self.world, self.data = size, rank, world, data

    def get(self, step: int) -> tuple[Tensor, Tensor]:
        local = self.size // self.world
        first = step * self.size + self.rank * local
        index = torch.arange(first, first + local) % N
        x, y = self.data
        return x[index], y[index]

    def epoch(self, step: int) -> float:
        return step * self.size / N


def regression_run(steps: int, *, problem: Problem | None = None, **settings) -> Run:
    problem = problem or Regression(noise=0.1)
    settings = {"batch_size": 16, "optimizers": {"model": OptimizerConfig(lr=0.01)}} | settings
    return Run(problem.model, (Stage(problem=problem, steps=steps, **settings),))


def train_run(run: Run, folder: Path | None = None, *, progress: Progress | None = None, **settings) -> Run:
    """Train the run on its problem's data; with a folder, create it or resume in it."""
    config = TrainConfig(device="cpu", **settings)
    opened = None
    if folder is not None:
        opened = RunFolder.open(folder) if (folder / "run.json").exists() else RunFolder.create(folder, {})
    try:
        return train(
            run,
            lambda stage, world: Sources(Cyclic(stage.batch_size, data=data_of(stage)), [data_of(stage)]),
            config,
            folder=opened,
            progress=progress,
        )
    finally:
        if opened:
            opened.close()


def data_of(stage: Stage) -> tuple[Tensor, Tensor]:
    return getattr(stage.problem, "data", (X, Y))


class Scalar(nn.Module):
    """One trainable number."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value, dtype=torch.float64))


class Bilinear(Problem):
    """The game L = θφ: θ minimizes it, φ maximizes it; the saddle point is (0, 0)."""

    def __init__(self) -> None:
        self.model = nn.ModuleDict({"theta": Scalar(1.0), "phi": Scalar(0.5)})
        self.players = dict(self.model.items())

    def loss(self, player: str, batch: Batch) -> Loss:
        value = self.model["theta"].value * self.model["phi"].value
        return Loss((value if player == "theta" else -value).expand(len(batch)))

    @property
    def radius(self) -> float:
        return float((self.model["theta"].value ** 2 + self.model["phi"].value ** 2).sqrt().detach())


def train_game(problem, update: Update, steps: int, lr: float = 0.1) -> None:
    sgd = OptimizerConfig(name="sgd", lr=lr)
    stage = Stage(
        problem=problem, steps=steps, batch_size=1, update=update, optimizers=dict.fromkeys(problem.players, sgd)
    )
    train_run(Run(problem.model, (stage,)))
