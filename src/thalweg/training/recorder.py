"""What is recorded while a stage is trained: values on the device become lines of metrics.jsonl and TensorBoard."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from thalweg.devices import peak_memory
from thalweg.training.checkpoint import checkpoints
from thalweg.training.distributed import average
from thalweg.training.records import RunFolder
from thalweg.training.results import VALIDATION, check_names
from thalweg.training.stage_state import Recorded, StageState

__all__ = ["NonFinite", "Recorder"]


class NonFinite(RuntimeError):
    """A loss or a parameter became NaN or infinite."""


class Recorder:
    """Writes the means of what a stage recorded since the last line, of its stage number `index`.

    Where there is no folder nothing is written, and `line` only returns the means.
    """

    def __init__(self, state: StageState, index: int, folder: RunFolder | None, *, tensorboard: bool,
                 warn: Callable[[str], None]) -> None:  # fmt: skip
        self.state, self.index, self.folder, self.warn = state, index, folder, warn
        self.tensorboard = _tensorboard(folder) if tensorboard and folder else None
        self._warned = False

    def line(self, done: int, seconds: float) -> dict[str, float]:
        """Write the line after `done` steps and `seconds` of training; return the means of losses and extras.

        Raises NonFinite where a loss is not finite.
        """
        state = self.state
        diagnostics = state.diagnostics()
        numbers = {name: float(value) for name, value in diagnostics.values.items()}
        losses = self.means()
        rates = {
            f"{state.prefix[name]}lr": player.optimizer.param_groups[0]["lr"]
            for name, player in state.players.items()
            if player.optimizer
        }
        check_names("diagnostics", numbers, {*losses, *rates})
        means = average(losses | numbers, state.world, state.device)
        if diagnostics.warning and not self._warned:
            self.warn(f"step {done}: {diagnostics.warning}")
            self._warned = True
        state.pending.clear()
        if self.folder:
            used = {"seconds": round(seconds, 3), "memory": peak_memory(state.device)}
            self.folder.log({"stage": self.index, "step": done, **means, **rates, **used})
            if self.tensorboard:
                for name, value in means.items():
                    self.tensorboard.add_scalar(name, value, done)
        return {name: value for name, value in means.items() if name not in numbers}

    def validation(self, done: int, means: Mapping[str, float]) -> None:
        """Write the validation loss and its extras after `done` steps."""
        if self.folder:
            named = {VALIDATION + name: value for name, value in means.items()}
            self.folder.log({"stage": self.index, "step": done, **named})
            if self.tensorboard:
                for name, value in named.items():
                    self.tensorboard.add_scalar(name, value, done)

    def means(self) -> dict[str, float]:
        """Return the means of the pending values by name, fetched from the device at once.

        Raises NonFinite naming the player, the step and the last good checkpoint where a loss is not finite.
        """
        columns: dict[tuple[str, str | None], list[Tensor]] = {}
        for entry in self.state.pending:
            columns.setdefault((entry.player, entry.extra), []).append(entry.value)
        if not columns:
            return {}
        column_means = [torch.stack(column).float().mean().to(self.state.device) for column in columns.values()]
        values = torch.stack(column_means).tolist()
        means = dict(zip(columns, values, strict=True))
        for entry in self.state.pending:
            if entry.extra is None and not math.isfinite(means[entry.player, None]):
                self._refuse(entry)
        return {self.state.prefix[player] + (extra or "loss"): mean for (player, extra), mean in means.items()}

    def _refuse(self, entry: Recorded) -> None:
        if not entry.value.isfinite().all():
            raise NonFinite(
                f"the loss of {entry.player} is {entry.value.float().mean().item()} at step {entry.step + 1}; "
                + self._last_good()
            )

    def check_parameters(self, done: int) -> None:
        """Raise NonFinite where a parameter is not finite after `done` steps."""
        for name, player in self.state.players.items():
            if not all(bool(p.isfinite().all()) for p in player.parameters):
                raise NonFinite(f"a parameter of {name} is not finite after step {done}; {self._last_good()}")

    def _last_good(self) -> str:
        files = checkpoints(self.folder.checkpoints, "step") if self.folder else []
        return f"the last good checkpoint is {files[-1].path}" if files else "no checkpoint was written yet"

    def close(self) -> None:
        """Close the TensorBoard file."""
        if self.tensorboard:
            self.tensorboard.close()


def _tensorboard(folder: RunFolder) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("tensorboard: not installed; wanted `pip install tensorboard`") from None
    return SummaryWriter(str(folder.path / "tensorboard"))
