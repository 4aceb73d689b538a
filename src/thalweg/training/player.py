"""A player: a module with its optimizer, its schedule and, where asked for, the average of its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.config import OptimizerConfig
from thalweg.training.optimizers import make_optimizer
from thalweg.training.statistics import normalizing_layers, statistics_restored

__all__ = ["Player"]


class Player:
    """One who moves. Everything it needs to go on is in one `state_dict`.

    `rate(step)` is the factor on the optimizer's learning rate; None leaves it constant. `ema` in (0, 1) keeps the
    exponential average θ̄ ← dθ̄ + (1−d)θ with d = min(ema, (1+t)/(10+t)) after the t-th move, so that early weights
    do not linger. A player without an optimizer is moved by others, in closed form.
    """

    def __init__(self, module: nn.Module, optimizer: OptimizerConfig | None, *,
                 rate: Callable[[int], float] | None = None, ema: float = 0.0,
                 clip_norm: float | None = None) -> None:  # fmt: skip
        self.module = module
        self.parameters: list[Tensor] = [p for p in module.parameters() if p.requires_grad]
        if optimizer and not self.parameters:
            raise ValueError(f"player: got {type(module).__name__} without trainable parameters, wanted some")
        self.optimizer = make_optimizer(optimizer, self.parameters) if optimizer else None
        self.lr, self.rate, self.clip_norm, self.ema = optimizer.lr if optimizer else 0.0, rate, clip_norm, ema
        self.moves = 0
        self.layers = normalizing_layers(module) if ema else []  # whose statistics are not those of averaged weights
        self.average = [p.detach().clone() for p in self.parameters] if ema else []

    def clear(self) -> None:
        """Forget the gradients."""
        for p in self.parameters:
            p.grad = None

    def move(self, step: int) -> None:
        """Make the optimizer's move along the gradients that stand."""
        assert self.optimizer is not None
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
        if self.rate is not None:
            for group in self.optimizer.param_groups:
                group["lr"] = self.lr * self.rate(step)
        self.optimizer.step()
        self.moves += 1

    def follow(self) -> None:
        """Let the averaged weights follow; called after the move and its projection."""
        if self.ema:
            decay = min(self.ema, (1 + self.moves) / (10 + self.moves))
            with torch.no_grad():
                torch._foreach_lerp_(self.average, self.parameters, 1 - decay)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within, the module has its averaged weights; without an average, nothing changes.

        The statistics of batch normalization may change within, too.
        """
        if not self.ema:
            yield
            return
        with torch.no_grad():
            own = [p.detach().clone() for p in self.parameters]
            torch._foreach_copy_(self.parameters, self.average)
        try:
            with statistics_restored(self.layers):
                yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(self.parameters, own)

    def become_average(self) -> None:
        """Give the module its averaged weights for good, where it keeps any."""
        with torch.no_grad():
            for own, mean in zip(self.parameters, self.average, strict=False):
                own.copy_(mean)

    def state_dict(self) -> dict[str, Any]:
        """All that the player needs to go on: weights, optimizer, average, number of moves."""
        return {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict() if self.optimizer else None,
            "average": list(self.average),
            "moves": self.moves,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the player that `state_dict` described."""
        self.module.load_state_dict(state["module"])
        if self.optimizer:
            self.optimizer.load_state_dict(state["optimizer"])
        self.moves = state["moves"]
        with torch.no_grad():
            for own, saved in zip(self.average, state["average"], strict=True):
                own.copy_(saved)
