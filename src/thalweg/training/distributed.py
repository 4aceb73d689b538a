"""Several processes under torchrun: each takes its rows of the joint batch, gradients are averaged by DDP."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

__all__ = ["PlayerLoss", "World", "any_rank", "average", "average_buffers", "world"]


class World(NamedTuple):
    """Which process this is, of how many."""

    rank: int = 0
    size: int = 1


@contextmanager
def world(device: torch.device) -> Iterator[World]:
    """Join the processes that torchrun started; one process alone is a world of its own."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World()
        return
    joined = dist.is_initialized()  # by the caller, who then leaves it, too
    if not joined:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), size)
    finally:
        if not joined:
            dist.destroy_process_group()


class PlayerLoss(nn.Module):
    """A player's loss as the forward of a module that owns the player's parameters and no others.

    DDP averages gradients of what passes through its forward. With the loss inside, gradient penalties and methods
    other than `forward` are averaged, too.
    """

    def __init__(self, module: nn.Module, loss: Callable[[Any], tuple[Tensor, Any]]) -> None:
        super().__init__()
        self.module = module
        self._loss = loss

    def forward(self, batch: Any) -> tuple[Tensor, Any]:
        """Return the losses of the batch and the extras."""
        return self._loss(batch)


def any_rank(flag: bool, world: World, device: torch.device) -> bool:
    """Whether the flag is up in any process."""
    if world.size == 1:
        return flag
    up = torch.tensor(float(flag), device=device)
    dist.all_reduce(up, op=dist.ReduceOp.MAX)
    return bool(up.item())


def average(means: dict[str, float], world: World, device: torch.device) -> dict[str, float]:
    """The means over all processes, whose batches are of one size."""
    if world.size == 1:
        return means
    values = torch.tensor(list(means.values()), device=device)
    dist.all_reduce(values)
    return dict(zip(means, (values / world.size).tolist(), strict=True))


def average_buffers(modules: Iterable[nn.Module], world: World) -> None:
    """Give the modules' own floating-point buffers their means over all processes."""
    if world.size == 1:
        return
    for buffer in (buffer for module in modules for buffer in module.buffers(recurse=False)):
        if buffer.is_floating_point():
            dist.all_reduce(buffer)
            buffer /= world.size
