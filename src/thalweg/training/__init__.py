"""The engine: problems, players, updates, the loop, checkpoints. It depends on no model, loss or data set."""

from thalweg.batch import Batch, Rows
from thalweg.training.loop import NonFinite, Sources, train
from thalweg.training.player import Player
from thalweg.training.problem import Diagnostics, Loss, Problem, Solution
from thalweg.training.records import RunFolder
from thalweg.training.run import Run, Stage
from thalweg.training.signals import Interrupted
from thalweg.training.updates import Alternating, ClosedForm, Extragradient, Optimistic, Simultaneous, Update

__all__ = [
    "Alternating",
    "Batch",
    "ClosedForm",
    "Diagnostics",
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
    "Sources",
    "Stage",
    "Update",
    "train",
]
