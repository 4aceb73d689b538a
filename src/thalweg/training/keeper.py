"""The checkpoints of a stage: what they hold, which are kept, and how training is resumed from them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from torch import nn

from thalweg.training.checkpoint import checkpoints, load_exactly, prune, save_checkpoint
from thalweg.training.clock import Clock
from thalweg.training.monitor import Monitor
from thalweg.training.records import RunFolder
from thalweg.training.run import Run
from thalweg.training.stage_state import Recorded, StageState

__all__ = ["Keeper", "keep", "model_bytes"]

KEPT_CHECKPOINTS = 2  # the newest, and one to fall back on


def keep(folder: Path, bests: list[tuple[int, int]]) -> None:
    """Remove all checkpoints except the newest to resume from and the best models that these refer to."""
    prune(folder, "step", [checkpoint.at for checkpoint in checkpoints(folder, "step")[-KEPT_CHECKPOINTS:]])
    prune(folder, "best", bests)


def model_bytes(model: nn.Module) -> bytes:
    """Return the model's tensors as safetensors."""
    from safetensors.torch import save

    return save({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()})


class Keeper:
    """Writes and restores the state of stage `index` of a run. `bests` are the (stage, step) of the best model at each
    kept checkpoint. Without a folder only the best state is kept, in memory.
    """

    def __init__(self, run: Run, index: int, state: StageState, monitor: Monitor, clock: Clock,
                 folder: RunFolder | None, bests: list[tuple[int, int]]) -> None:  # fmt: skip
        self.run, self.index, self.state, self.monitor, self.clock = run, index, state, monitor, clock
        self.folder, self.bests = folder, bests
        self._best: dict[str, Any] | None = None

    def save(self, done: int, finished: bool) -> None:
        """Write the checkpoint after `done` steps; `finished` says that the stage has ended before its budget."""
        if self.folder:
            self.bests.append((self.index, self.monitor.step))
            del self.bests[:-KEPT_CHECKPOINTS]
            save_checkpoint(self.folder.checkpoints, self._state(done, finished), "step", (self.index, done))
            keep(self.folder.checkpoints, self.bests)

    def save_best(self, done: int) -> None:
        """Keep the model after `done` steps as the best."""
        state = self._state(done, False)
        if self.folder:
            save_checkpoint(self.folder.checkpoints, state, "best", (self.index, done))
            prune(self.folder.checkpoints, "best", [*self.bests, (self.index, done)])
        else:
            self._best = copy.deepcopy(state)

    def restore_best(self) -> bool:
        """Restore the best model with the optimizers of the same step; return False where none was kept."""
        best = self._best
        if self.folder and self.monitor.step:
            at = (self.index, self.monitor.step)
            best = load_exactly(self.folder.checkpoints, "best", at, device=self.state.device)
        if best:
            self.restore(best)
        return best is not None

    def _state(self, done: int, finished: bool) -> dict[str, Any]:
        players = self.state.players
        owned = {id(t) for p in players.values() for t in p.module.state_dict(keep_vars=True).values()}
        others = self.run.model.state_dict(keep_vars=True).items()
        return {
            "stage": self.index,
            "step": done,
            "finished": finished,
            "players": {name: player.state_dict() for name, player in players.items()},
            "others": {name: t.detach() for name, t in others if id(t) not in owned},  # tensors of other stages
            "pending": [tuple(entry) for entry in self.state.pending],
            "monitor": self.monitor.state_dict(),
            "bests": list(self.bests),
            "seconds": self.clock.elapsed(),
        }

    def restore(self, state: dict[str, Any]) -> int:
        """Restore a state that was saved; return its number of steps. Raises ValueError for that of another run."""
        try:
            for name, player in self.state.players.items():
                player.load_state_dict(state["players"][name])
            self.run.model.load_state_dict(state["others"], strict=False)
        except (KeyError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"checkpoint: got one of another run, wanted the state of this model ({reason})") from None
        self.state.pending = [Recorded(*entry) for entry in state["pending"]]
        self.monitor.load_state_dict(state["monitor"])
        self.clock.seconds = state["seconds"]
        return int(state["step"])
