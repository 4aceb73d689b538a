"""The loop: take steps, record, validate, save checkpoints, stop cleanly. It knows no model and no loss."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from thalweg.config import TrainConfig
from thalweg.devices import deterministic, fast_matmul, resolve_device
from thalweg.training.budget import Budget
from thalweg.training.checkpoint import load_newest, remove_later
from thalweg.training.clock import Clock
from thalweg.training.distributed import World, any_rank, world
from thalweg.training.keeper import Keeper, keep, model_bytes
from thalweg.training.monitor import Monitor
from thalweg.training.progress import Progress, Silent
from thalweg.training.recorder import NonFinite, Recorder
from thalweg.training.records import RunFolder
from thalweg.training.run import Run, Stage
from thalweg.training.signals import Interrupted, stop_signals
from thalweg.training.source import Sources
from thalweg.training.stage_state import StageState

__all__ = ["Interrupted", "NonFinite", "Sources", "to_stderr", "train"]

CHECKPOINT_SECONDS = 60.0


def to_stderr(message: str) -> None:
    """Print the message to stderr, so that it does not mix with results."""
    print(message, file=sys.stderr)


def train(
    run: Run,
    sources: Callable[[Stage, World], Sources],
    config: TrainConfig,
    *,
    folder: RunFolder | None = None,
    progress: Progress | None = None,
    warn: Callable[[str], None] = to_stderr,
) -> Run:
    """Train every stage of `run` in place and return it; with a folder, resume from its newest checkpoint.

    Everything drawn is a function of (config.seed, names, step): a run that is killed at any time and resumed ends, bit
    for bit, with the model of the run that was never killed.

    Raises NonFinite naming the step, the player and the last good checkpoint; Interrupted after SIGINT or SIGTERM,
    with a checkpoint written.
    """
    device = resolve_device(config.device)
    run.model.to(device).eval()
    devices = [device] if device.type == "cuda" else []
    with (
        stop_signals() as stop,
        deterministic(device),
        torch.random.fork_rng(devices),
        world(device) as processes,
        fast_matmul(device),
    ):
        state = load_newest(folder.checkpoints, device=device, warn=warn) if folder else None
        writer = folder if processes.rank == 0 else None
        bests = [(stage, step) for stage, step in state.get("bests", ())] if state else []
        if writer:
            at = (state["stage"], state["step"]) if state else (-1, 0)
            writer.rewind(*at)
            remove_later(writer.checkpoints, at)
            keep(writer.checkpoints, bests)
        say = warn if processes.rank == 0 else lambda message: None
        for index, stage in enumerate(run.stages):
            if state and state["stage"] > index:
                continue
            stage_loop = _StageLoop(
                run, index, sources(stage, processes), config, device, processes, writer, bests, say
            )
            stage_loop.train(state if state and state["stage"] == index else None, stop, progress or Silent())
        if writer:
            writer.write_model(model_bytes(run.model))
    return run


class _StageLoop:
    """The loop of one stage: when to record, validate, save and stop."""

    def __init__(
        self,
        run: Run,
        index: int,
        sources: Sources,
        config: TrainConfig,
        device: torch.device,
        world: World,
        folder: RunFolder | None,
        bests: list[tuple[int, int]],
        say: Callable[[str], None],
    ) -> None:
        stage = run.stages[index]
        if world.size > 1 and not stage.update.several_processes:
            raise ValueError(f"processes: got {world.size}, wanted one: this model is fitted in closed form")
        if world.size > 1 and stage.seconds is not None:
            raise ValueError(f"minutes: got {config.minutes} for {world.size} processes, wanted steps or examples")
        self.stage, self.config, self.world, self.say = stage, config, world, say
        self.last_stage = index == len(run.stages) - 1
        self.label = "" if len(run.stages) == 1 else f"{stage.name}, stage {index + 1} of {len(run.stages)}"
        self.index, self.validation = index, sources.validation
        self.state = StageState(stage, sources.train, config, device, world)
        self.clock = Clock(device)
        self.budget = Budget(stage.steps, stage.seconds, self.clock)
        self.monitor = Monitor(stage, sources)
        self.recorder = Recorder(self.state, index, folder, tensorboard=config.tensorboard, warn=say)
        self.keeper = Keeper(run, index, self.state, self.monitor, self.clock, folder, bests)
        self.log_every = config.log_every if stage.update.needs_gradients else 1  # closed-form steps are few

    def train(self, saved: dict[str, Any] | None, stop: list[int], progress: Progress) -> None:
        """Take the steps that are left."""
        restored = done = self.keeper.restore(saved) if saved else 0
        for player in self.state.players.values():
            player.module.train()
        progress.start(self.label, done, self.stage.steps)
        self.clock.start()
        self.saved_at = time.monotonic()
        finished = bool(saved and saved["finished"])
        over = self.budget.used_up(done)
        if saved and (finished or over) and self.last_stage:
            self.say(f"nothing is left to train: {self._why_nothing_is_left(done, finished)}")
        try:
            while not (finished or over):
                self.state.step(done, self.budget.schedule_step(done))
                done += 1
                over = self.budget.used_up(done) or self.state.converged
                finished = self._after(done, over, progress) or self.state.converged
                if self._stopped(stop, done):
                    self._save(done, finished)
                    raise Interrupted(stop[0] if stop else signal.SIGTERM, self.index, done)
            if not saved or done != restored:  # else the checkpoint is there
                self._save(done, finished)
            self._finish(done)
        finally:
            progress.close()
            self.recorder.close()

    def _stopped(self, stop: list[int], done: int) -> bool:
        if self.world.size == 1:
            return bool(stop)
        # Processes agree on the step to stop at; not at every step, since this costs a synchronization.
        return done % self.config.log_every == 0 and any_rank(bool(stop), self.world, self.state.device)

    def _after(self, done: int, last: bool, progress: Progress) -> bool:
        """Do what is due after `done` steps; return whether to stop early."""
        if done % self.log_every == 0 or last:
            means = self.recorder.line(done, self.clock.elapsed())
            progress.update(done, means, self.budget.expected(done, last))
        finished = self._validate(done) if self.monitor.due(done, last) else False
        every = self.config.checkpoint_every
        due = done % every == 0 if every else time.monotonic() - self.saved_at > CHECKPOINT_SECONDS
        if due and not last:
            self._save(done, finished)
        return finished

    def _validate(self, done: int) -> bool:
        with self.clock.stopped():
            means = self.state.validate(self.validation)
        self.recorder.validation(done, means)
        if self.monitor.improved(done, means["loss"]) and self.stage.patience:
            self.keeper.save_best(done)
        return self.monitor.exhausted

    def _save(self, done: int, finished: bool) -> None:
        with self.clock.stopped():
            self.recorder.means()  # refuses a loss that is not finite
            self.recorder.check_parameters(done)
            self.keeper.save(done, finished)
        self.saved_at = time.monotonic()

    def _finish(self, done: int) -> None:
        early, step, lowest = self.monitor.exhausted, self.monitor.step, self.monitor.best
        if self.stage.patience and self.keeper.restore_best() and (early or step != done):
            reason = f"the validation loss did not fall in {self.stage.patience} validations in a row"
            why = f"stopped early after step {done}: {reason}" if early else f"all {done} steps are done"
            kept = f"the model of step {step} is kept, whose validation loss is the lowest, {lowest:.4g}"
            self.say(f"{self.label}{': ' if self.label else ''}{why}; {kept}")
        if self.stage.swa and not any(player.averaged for player in self.state.players.values()):
            where = f"{self.label}{': ' if self.label else ''}"
            self.say(
                f"{where}no weights are averaged: the model is that of step {step or done}, before the average began"
            )
        self.state.finish()

    def _why_nothing_is_left(self, done: int, early: bool) -> str:
        if not self.stage.update.needs_gradients:
            return f"the fit is complete after step {done}"
        if early:
            return (
                f"the run stopped early after step {done}, and more --steps do not change that; train a new run with a "
                "larger --patience, or without, to train longer"
            )
        return self.budget.why_used_up(done)
