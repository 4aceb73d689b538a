"""The engine: problems, players, updates, the loop, checkpoints. It knows no model, no loss and no data set."""

from thalweg.training.loop import NonFinite, Sources, train
from thalweg.training.player import Player
from thalweg.training.problem import Batch, Loss, Problem, Rows, Solution, Watched
from thalweg.training.records import RunFolder
from thalweg.training.run import Run, Stage
from thalweg.training.signals import Interrupted
from thalweg.training.updates import Alternating, Extragradient, Optimistic, Simultaneous, Solved, Update

__all__ = [
    "Alternating",
    "Batch",
    "Extragradient",
    "Interrupted",
    "Loss",
    "NonFinite",
    "Optimistic",
    "Player",
    "Problem",
    "Rows",
    "Run",
    "RunFolder",
    "Simultaneous",
    "Solution",
    "Solved",
    "Sources",
    "Stage",
    "Update",
    "Watched",
    "train",
]
