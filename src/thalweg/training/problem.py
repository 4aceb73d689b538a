"""What is optimized: a `Problem` names the players and defines the loss of each. It never updates a parameter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor, nn

from thalweg.batch import Batch, Rows
from thalweg.training.source import TrainingBatches
from thalweg.training.statistics import STATISTICS_BATCHES, normalizing_layers, re_estimate

__all__ = ["Batch", "Diagnostics", "Loss", "Problem", "Rows", "Solution"]


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of a player on a batch: `values` (B,), one per sample. Its mean is minimized.

    `extras` are named tensors to record with it, per sample or scalar, or numbers. They are detached when they are
    recorded, and they never count as the loss, whatever their names.
    """

    values: Tensor
    extras: Mapping[str, Tensor | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Solution:
    """The result of a closed-form step: the loss of its batch before the step, and whether the fit has converged."""

    loss: Loss
    converged: bool = False


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """Named numbers, or tensors of one value, to record beside the losses, and a warning that is printed once."""

    values: Mapping[str, Tensor | float] = field(default_factory=dict)
    warning: str | None = None


class Problem(ABC):
    """Players, which are modules with disjoint sets of parameters, and the loss of each.

    A problem sets `players` and defines `loss`; all other methods have defaults. `loss(player, batch)` may use every
    player's module: the engine differentiates it with respect to that player's parameters only, so nothing needs to be
    detached. A problem holds no optimizer and never calls `backward`.

    Attributes:
        players: the trained modules, by name.
        second_order: players whose modules are differentiated twice, as a gradient penalty does; they are not compiled.
        validated: whether the first player's loss on validation data measures the model. Where it is False, as in a
            game, no stage may stop by it.

    >>> import torch
    >>> class Mean(Problem):
    ...     def __init__(self):
    ...         self.model = nn.Linear(1, 1)
    ...         self.players = {"model": self.model}
    ...
    ...     def loss(self, player, batch):
    ...         return Loss((batch.x - self.model.bias).square().sum(1))
    >>> Mean().loss("model", Batch(torch.zeros(3, 1))).values.shape
    torch.Size([3])
    """

    players: Mapping[str, nn.Module]
    second_order: Collection[str] = ()
    validated: bool = True

    @abstractmethod
    def loss(self, player: str, batch: Batch) -> Loss:
        """Return the loss of `player` on `batch`."""

    def project(self, player: str) -> None:  # noqa: B027  # a hook with an empty default
        """Project the player's parameters after each of its steps, without gradients. By default nothing changes."""

    def diagnostics(self, batch: Batch) -> Diagnostics:
        """Return numbers to record with each line of the metrics. By default there are none.

        It is called in evaluation mode and without gradients; the gradients of the last steps are still in `grad`.
        """
        return Diagnostics()

    def closed_form_step(self, player: str, batch: Batch) -> Solution:
        """Set the player's parameters by a closed form on `batch`; called without gradients, by `ClosedForm`.

        It is not abstract, since most problems are trained by gradients and have no closed form. A `Stage` refuses the
        update `ClosedForm` for a problem that does not define it, so the default, which raises NotImplementedError, is
        never called in a training.
        """
        raise NotImplementedError(f"{type(self).__name__} has no closed-form step")

    def finish(self, batches: TrainingBatches, averaged: Collection[str]) -> None:
        """Complete the model for evaluation; called in evaluation mode and without gradients.

        That is after the last step, and for each validation, after which the statistics are set back. `averaged` names
        the players that now have the averages of their weights. By default the running statistics of their batch
        normalization are estimated again, as means over the first 50 training batches. A problem may use another rule,
        such as statistics of all the training data: `len(batches)` batches are one pass through them.
        """
        for player in averaged:
            layers = normalizing_layers(self.players[player])
            if layers:
                first = (batches[i] for i in range(STATISTICS_BATCHES))
                re_estimate(layers, partial(self.loss, player), first)
