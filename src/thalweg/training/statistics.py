"""Running statistics of batch normalization, estimated again for averaged weights.

The statistics that training leaves belong to the weights that were trained. A network with averaged weights has other
activations and needs statistics of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

__all__ = ["RunningStatistics", "estimating", "normalizing_layers", "statistics_restored"]


@runtime_checkable
class RunningStatistics(Protocol):
    """A layer that follows its inputs' mean and variance in training mode, as torch's batch normalization does.

    With `momentum` None the running statistics are the mean over the batches since `reset_running_stats`.
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


@contextmanager
def estimating(layers: Sequence[nn.Module]) -> Iterator[None]:
    """Within, the layers take the mean of the statistics of the batches they see; all others stay as they are."""
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        assert isinstance(layer, RunningStatistics)
        layer.reset_running_stats()
        layer.momentum = None
        layer.train()
    yield
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
        layer.eval()


@contextmanager
def statistics_restored(layers: Sequence[nn.Module]) -> Iterator[None]:
    """Within, the layers' statistics may change; afterwards they are as they were."""
    buffers: list[Tensor] = [buffer for layer in layers for buffer in layer.buffers(recurse=False)]
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
