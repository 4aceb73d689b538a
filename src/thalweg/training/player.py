"""A player: a module with its optimizer, its learning-rate schedule and, if asked for, the average of its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.config import OptimizerConfig
from thalweg.training.averaging import Averaging
from thalweg.training.optimizers import make_optimizer

__all__ = ["Player"]


class Player:
    """A trained module. `state_dict` holds all that training needs to be resumed.

    `rate(step)` is the factor on the optimizer's learning rate; None leaves it constant. With `averaging` the average
    of the weights is kept beside them; `averaged` is the number of weights in it, 0 where it has not begun. A player
    without an optimizer is updated in closed form.
    """

    def __init__(self, module: nn.Module, optimizer: OptimizerConfig | None, *,
                 rate: Callable[[int], float] | None = None, averaging: Averaging | None = None,
                 clip_norm: float | None = None) -> None:  # fmt: skip
        self.module = module
        self.parameters: list[Tensor] = [p for p in module.parameters() if p.requires_grad]
        if optimizer and not self.parameters:
            raise ValueError(f"player: got {type(module).__name__} without trainable parameters, wanted some")
        self.optimizer = make_optimizer(optimizer, self.parameters) if optimizer else None
        self.rate, self.clip_norm, self.averaging = rate, clip_norm, averaging
        self.rates = [group["lr"] for group in self.optimizer.param_groups] if self.optimizer else []
        self.steps = self.averaged = 0
        self.average = [p.detach().clone() for p in self.parameters] if averaging else []

    def zero_grad(self) -> None:
        """Remove the gradients."""
        for p in self.parameters:
            p.grad = None

    def step(self, schedule_step: int) -> None:
        """Take an optimizer step along the current gradients, with the learning rate of `schedule_step`."""
        assert self.optimizer is not None
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
        if self.rate is not None:
            factor = self.rate(schedule_step)
            for group, lr in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = lr * factor
        self.optimizer.step()
        self.steps += 1

    def update_average(self, schedule_step: int) -> None:
        """Update the averaged weights; called after the step and its projection."""
        if self.averaging is None:
            return
        weight = self.averaging.weight(self.steps, schedule_step, self.averaged)
        self.averaged = self.averaged + 1 if weight else 0
        if weight:
            with torch.no_grad():
                torch._foreach_lerp_(self.average, self.parameters, weight)

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Within, the module has its averaged weights; without an average, nothing changes."""
        if not self.averaged:
            yield
            return
        with torch.no_grad():
            own = [p.detach().clone() for p in self.parameters]
            torch._foreach_copy_(self.parameters, self.average)
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(self.parameters, own)

    def copy_average_to_model(self) -> None:
        """Replace the module's weights by their averages, where there are any."""
        if self.averaged:
            with torch.no_grad():
                torch._foreach_copy_(self.parameters, self.average)

    def state_dict(self) -> dict[str, Any]:
        """Return the weights, the state of the optimizer, the averages and the number of steps."""
        return {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict() if self.optimizer else None,
            "average": list(self.average),
            "averaged": self.averaged,
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.module.load_state_dict(state["module"])
        if self.optimizer:
            self.optimizer.load_state_dict(state["optimizer"])
        self.steps = state["steps"]
        self.averaged = state.get("averaged", self.steps if self.averaging else 0)  # earlier versions had EMA only
        with torch.no_grad():
            for own, saved in zip(self.average, state["average"], strict=True):
                own.copy_(saved)
