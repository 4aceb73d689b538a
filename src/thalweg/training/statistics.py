"""Running statistics of batch normalization, estimated again where the weights have changed.

The statistics that training leaves belong to the weights that were trained. A network with averaged weights has other
activations and needs statistics of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from thalweg.training.distributed import average_buffers

__all__ = ["STATISTICS_BATCHES", "RunningStatistics", "normalizing_layers", "re_estimate", "statistics_restored"]

STATISTICS_BATCHES = 50  # training batches that the statistics of averaged weights are estimated from


@runtime_checkable
class RunningStatistics(Protocol):
    """A layer that keeps running means and variances of its inputs in training mode, as torch's batch normalization.

    With `momentum` None the running statistics are the means over the batches since `reset_running_stats`.
    """

    momentum: float | None

    def reset_running_stats(self) -> None:
        """Forget all batches."""


def normalizing_layers(module: nn.Module) -> list[nn.Module]:
    """Return the layers of the module that keep running statistics.

    >>> network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.GroupNorm(1, 3))
    >>> [type(layer).__name__ for layer in normalizing_layers(network)]
    ['BatchNorm1d']
    """
    return [layer for layer in module.modules() if isinstance(layer, RunningStatistics)]


def re_estimate(layers: Sequence[nn.Module], forward: Callable[[Any], object], batches: Iterable[Any]) -> None:
    """Set the layers' running statistics to their means over the batches, and over all processes.

    `forward(batch)` evaluates the network on a batch. All other layers stay in the mode that they are in.

    >>> layer = nn.BatchNorm1d(1)
    >>> batches = [torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0], [8.0]])]
    >>> re_estimate([layer], layer, batches)
    >>> layer.running_mean.item(), layer.running_var.item()  # of variances 2 and 8
    (3.5, 5.0)
    """
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        assert isinstance(layer, RunningStatistics)
        layer.reset_running_stats()
        layer.momentum = None
        layer.train()
    for batch in batches:
        forward(batch)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
        layer.eval()
    average_buffers(layers)


@contextmanager
def statistics_restored(layers: Sequence[nn.Module]) -> Iterator[None]:
    """Within, the layers' running statistics may change; afterwards they have their earlier values."""
    buffers: list[Tensor] = [buffer for layer in layers for buffer in layer.buffers(recurse=False)]
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
