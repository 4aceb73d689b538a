"""Several processes under torchrun: each has its rows of the joint batch, and DDP averages the gradients."""

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
    """The number of this process and the number of processes."""

    rank: int = 0
    size: int = 1


@contextmanager
def world(device: torch.device) -> Iterator[World]:
    """Join the processes that torchrun started. A process that was started alone has size 1."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World()
        return
    joined = dist.is_initialized()  # by the caller, who then also leaves the group
    if not joined:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), size)
    finally:
        if not joined:
            dist.destroy_process_group()


class PlayerLoss(nn.Module):
    """A player's loss as the forward pass of a module that has the player's parameters and no others.

    DDP averages the gradients of what is computed in its forward pass. As the loss is computed there, this includes
    gradient penalties and methods other than `forward`.
    """

    def __init__(self, module: nn.Module, loss: Callable[[Any], tuple[Tensor, Any]]) -> None:
        super().__init__()
        self.module = module
        self._loss = loss

    def forward(self, batch: Any) -> tuple[Tensor, Any]:
        """Return the losses of the batch and the extras."""
        return self._loss(batch)


def any_rank(flag: bool, world: World, device: torch.device) -> bool:
    """Return whether the flag is set in any process."""
    if world.size == 1:
        return flag
    value = torch.tensor(float(flag), device=device)
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return bool(value.item())


def average(means: dict[str, float], world: World, device: torch.device) -> dict[str, float]:
    """Return the means over all processes, whose batches have one size."""
    if world.size == 1:
        return means
    values = torch.tensor(list(means.values()), device=device)
    dist.all_reduce(values)
    return dict(zip(means, (values / world.size).tolist(), strict=True))


def average_buffers(modules: Iterable[nn.Module]) -> None:
    """Set the modules' own floating-point buffers to their means over all processes."""
    if not dist.is_initialized():
        return
    for buffer in (buffer for module in modules for buffer in module.buffers(recurse=False)):
        if buffer.is_floating_point():
            dist.all_reduce(buffer)
            buffer /= dist.get_world_size()
