"""The loop: play rounds, write down what happened, keep checkpoints, stop cleanly. It knows no model and no loss."""

from __future__ import annotations

import copy
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from thalweg.config import TrainConfig
from thalweg.devices import deterministic, fast_matmul, peak_memory, resolve_device
from thalweg.training.checkpoint import checkpoints, load_newest, prune, read_checkpoint, remove_later, save_checkpoint
from thalweg.training.clock import Clock
from thalweg.training.distributed import World, any_rank, average, world
from thalweg.training.game import Play, Source
from thalweg.training.progress import Progress, Silent
from thalweg.training.records import RunFolder
from thalweg.training.run import Run, Stage
from thalweg.training.signals import Interrupted, stop_signals
from thalweg.training.updates import Solved

__all__ = ["Interrupted", "NonFinite", "Sources", "train"]

CHECKPOINT_SECONDS = 60.0
KEPT_CHECKPOINTS = 2  # the newest, and one to fall back on


class Chunked(Protocol):
    """Examples and labels (or None) in chunks, again and again. Without any, nothing is validated."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor | None]]: ...


class Sources(NamedTuple):
    """The data of a stage: training mini-batches by number, and the validation examples in chunks."""

    train: Source
    validation: Chunked


class NonFinite(RuntimeError):
    """A loss or a parameter became NaN or infinite."""


def to_stderr(message: str) -> None:
    """Say it where it does not mix with results."""
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
    """Train every stage of `run` in place and return it; with a folder, go on from its newest checkpoint.

    Everything drawn is a function of (config.seed, names, step): a run killed at any instant and resumed ends, bit
    for bit, where the run that was never killed ends.

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
        world(device) as mine,
        fast_matmul(device),
    ):
        state = load_newest(folder.checkpoints, device=device, warn=warn) if folder else None
        writer = folder if mine.rank == 0 else None
        bests = [(stage, step) for stage, step in state.get("bests", ())] if state else []
        if writer:
            at = (state["stage"], state["step"]) if state else (-1, 0)
            writer.rewind(*at)
            remove_later(writer.checkpoints, at)
            _keep(writer.checkpoints, bests)
        for index, stage in enumerate(run.stages):
            if state and state["stage"] > index:
                continue
            trained = _Stage(run, index, sources(stage, mine), config, device, mine, writer, bests, warn)
            trained.train(state if state and state["stage"] == index else None, stop, progress or Silent())
        if writer:
            writer.write_model(_model_bytes(run))
    return run


def _model_bytes(run: Run) -> bytes:
    """Return the model's tensors as safetensors."""
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in run.model.state_dict().items()}
    return save(tensors)


def _keep(folder: Path, bests: list[tuple[int, int]]) -> None:
    """Remove all checkpoints but the newest to resume from, and the best models that these refer to."""
    prune(folder, "step", [found.at for found in checkpoints(folder, "step")[-KEPT_CHECKPOINTS:]])
    prune(folder, "best", bests)


class _Stage:
    """One stage while it is trained: the play, what is remembered between checkpoints, and when what happens."""

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
        warn: Callable[[str], None],
    ) -> None:
        self.say = warn if world.rank == 0 else lambda message: None
        self.warned = False
        self.run, self.index, self.stage, self.config, self.folder = run, index, run.stages[index], config, folder
        if isinstance(self.stage.update, Solved) and world.size > 1:
            raise ValueError(f"processes: got {world.size}, wanted one: this model is fitted in closed form")
        self.validation, self.world, self.device = sources.validation, world, device
        self.play = Play(self.stage, sources.train, config, device, world)
        self.bests = bests  # where the best model was, by stage and step, at each checkpoint that is kept
        self.monitor = {"best": math.inf, "step": 0, "bad": 0}
        self.restored: int | None = None  # the step of the checkpoint that the stage is resumed from
        self.label = self.stage.name if len(run.stages) == 1 else f"{self.stage.name} ({index + 1})"
        self.best: dict[str, Any] | None = None  # where there is no folder to keep it in
        self.clock = Clock(device)
        self.log_every = 1 if isinstance(self.stage.update, Solved) else config.log_every  # few rounds, and long ones
        self.tensorboard = _tensorboard(folder) if config.tensorboard and folder else None
        per_epoch = 1 / max(sources.train.epoch(self.stage.update.batches), 1e-9)
        self.validate_every = self.stage.validate_every or (math.ceil(per_epoch) if self.stage.patience else None)
        if not len(sources.validation):
            self.validate_every = None
        if self.stage.seconds is not None and world.size > 1:
            raise ValueError(f"minutes: got {config.minutes} for {world.size} processes, wanted steps or examples")

    def train(self, saved: dict[str, Any] | None, stop: list[int], progress: Progress) -> None:
        """Play the rounds that are left."""
        done = self._restore(saved) if saved else 0
        self.restored = done if saved else None
        for player in self.play.players.values():
            player.module.train()
        progress.start(self.label, done, self.stage.steps)
        self.clock.start()
        self.saved_at = time.monotonic()
        finished = bool(saved and saved["finished"])
        over = self._over(done)
        if saved and (finished or over) and self.index == len(self.run.stages) - 1:
            self._say_nothing_is_left(done, finished)
        try:
            while not (finished or over):
                self.play.round(done, self._scheduled(done))
                done += 1
                over = self._over(done) or self.play.solved
                finished = self._after(done, over, progress) or self.play.solved
                if self._stopped(stop, done):
                    self._save(done, finished)
                    raise Interrupted(stop[0] if stop else signal.SIGTERM, self.index, done)
            self._finish(done, finished)
        finally:
            progress.close()
            if self.tensorboard:
                self.tensorboard.close()

    def _stopped(self, stop: list[int], done: int) -> bool:
        if self.world.size == 1:
            return bool(stop)
        # Processes agree on the step to stop at; now and then, since agreeing costs a synchronization.
        return done % self.config.log_every == 0 and any_rank(bool(stop), self.world, self.device)

    def _over(self, done: int) -> bool:
        if self.stage.seconds is not None:
            return self.clock.elapsed() >= self.stage.seconds
        return done >= self.stage.steps

    def _scheduled(self, done: int) -> int:
        """The step that schedules are at: where time is the budget, as far through `steps` as the clock through it."""
        if self.stage.seconds is None:
            return done
        return int(self.stage.steps * min(self.clock.elapsed() / self.stage.seconds, 1.0))

    def _expected(self, done: int, last: bool) -> int:
        if self.stage.seconds is None or last:
            return done if last else self.stage.steps
        return max(done + 1, round(done * self.stage.seconds / max(self.clock.elapsed(), 1e-9)))

    def _after(self, done: int, last: bool, progress: Progress) -> bool:
        """What is due after `done` rounds; returns whether to stop early."""
        finished = False
        if done % self.log_every == 0 or last:
            progress.update(done, self._log(done), self._expected(done, last))
        if self.validate_every and (done % self.validate_every == 0 or last):
            finished = self._validate(done)
        every = self.config.checkpoint_every
        due = done % every == 0 if every else time.monotonic() - self.saved_at > CHECKPOINT_SECONDS
        if due and not last:
            self._save(done, finished)
        return finished

    def _log(self, done: int) -> dict[str, float]:
        watched = self.play.watch()
        seen = {name: float(value) for name, value in watched.values.items()}
        means = average(self._fetch() | seen, self.world, self.device)
        if watched.warning and not self.warned:
            self.say(f"step {done}: {watched.warning}")
            self.warned = True
        self.play.pending.clear()
        if self.folder:
            rates = {
                f"{self.play.prefix[name]}lr": player.optimizer.param_groups[0]["lr"]
                for name, player in self.play.players.items()
                if player.optimizer
            }
            spent = {"seconds": round(self.clock.elapsed(), 3), "memory": peak_memory(self.device)}
            self.folder.log({"stage": self.index, "step": done, **means, **rates, **spent})
            if self.tensorboard:
                for name, value in means.items():
                    self.tensorboard.add_scalar(name, value, done)
        return {name: value for name, value in means.items() if name not in seen}  # a line is only so wide

    def _fetch(self) -> dict[str, float]:
        """Bring the pending values from the device, as means by name; a loss that is not finite ends the run."""
        columns: dict[str, list[Tensor]] = {}
        for _, name, value in self.play.pending:
            columns.setdefault(name, []).append(value)
        if not columns:
            return {}
        means = torch.stack([torch.stack(values).float().mean() for values in columns.values()]).tolist()
        for step, name, value in self.play.pending:
            if (
                name.endswith("loss")
                and not math.isfinite(means[list(columns).index(name)])
                and not value.isfinite().all()
            ):
                player = name.removesuffix("loss").rstrip("/") or next(iter(self.play.players))
                raise NonFinite(
                    f"the loss of {player} is {value.float().mean().item()} at step {step + 1}; {self._last_good()}"
                )
        return dict(zip(columns, means, strict=True))

    def _last_good(self) -> str:
        files = checkpoints(self.folder.checkpoints, "step") if self.folder else []
        return f"the last good checkpoint is {files[-1].path}" if files else "no checkpoint was written yet"

    def _validate(self, done: int) -> bool:
        with self.clock.stopped():
            value = self.play.validate(self.validation)
        if self.folder:
            self.folder.log({"stage": self.index, "step": done, "validation/loss": value})
        if value < self.monitor["best"]:
            self.monitor = {"best": value, "step": done, "bad": 0}
            if self.stage.patience:
                self._keep_best(done)
        else:
            self.monitor["bad"] += 1
        return bool(self.stage.patience and self.monitor["bad"] >= self.stage.patience)

    def _keep_best(self, done: int) -> None:
        state = self._state(done, False)
        if self.folder:
            save_checkpoint(self.folder.checkpoints, state, "best", (self.index, done))
            prune(self.folder.checkpoints, "best", [*self.bests, (self.index, done)])
        else:
            self.best = copy.deepcopy(state)

    def _finish(self, done: int, early: bool) -> None:
        if done != self.restored:  # else the checkpoint is there
            self._save(done, early)
        if self.stage.patience:  # the best model, with the optimizer of the same step
            best = self.best
            if self.folder and self.monitor["step"]:
                best = self._load_best(self.folder.checkpoints)
            if best:
                self._say_what_is_kept(done, early)
                self._restore(best)
        self.play.finish()

    def _say_what_is_kept(self, done: int, early: bool) -> None:
        patience, kept = self.stage.patience, int(self.monitor["step"])
        why = f"stopped early after step {done}: the validation loss did not fall in {patience} validations in a row"
        self.say(
            f"{self.label}: {why if early else f'all {done} steps are done'}; the model of step {kept} is kept, whose "
            f"validation loss is the lowest, {self.monitor['best']:.4g}"
        )

    def _say_nothing_is_left(self, done: int, early: bool) -> None:
        if isinstance(self.stage.update, Solved):
            self.say(f"nothing is left to train: the fit is complete after step {done}")
        elif early:
            self.say(
                f"nothing is left to train: the run stopped early after step {done}, and more --steps do not change "
                "that; train a new run with a larger --patience, or without, to go further"
            )
        elif self.stage.seconds is None:
            self.say(f"nothing is left to train: all {done} steps are done; --steps with a larger number goes further")
        else:
            self.say("nothing is left to train: the time is used up; --minutes with a larger number goes further")

    def _save(self, done: int, finished: bool) -> None:
        with self.clock.stopped():
            self._write(done, finished)
        self.saved_at = time.monotonic()

    def _write(self, done: int, finished: bool) -> None:
        self._fetch()  # a loss gone wrong must not be saved as good
        for name, player in self.play.players.items():
            if not all(bool(p.isfinite().all()) for p in player.parameters):
                raise NonFinite(f"a parameter of {name} is not finite after step {done}; {self._last_good()}")
        if self.folder:
            self.bests.append((self.index, int(self.monitor["step"])))
            del self.bests[:-KEPT_CHECKPOINTS]
            save_checkpoint(self.folder.checkpoints, self._state(done, finished), "step", (self.index, done))
            _keep(self.folder.checkpoints, self.bests)

    def _load_best(self, folder: Path) -> dict[str, Any]:
        at = (self.index, int(self.monitor["step"]))
        for found in checkpoints(folder, "best"):
            if found.at == at:
                return read_checkpoint(found.path, self.device)
        raise ValueError(
            f"checkpoints: got no best model of step {at[1]} in {folder}, wanted the file that was written"
        )

    def _state(self, done: int, finished: bool) -> dict[str, Any]:
        players = self.play.players
        owned = {id(t) for p in players.values() for t in p.module.state_dict(keep_vars=True).values()}
        rest = self.run.model.state_dict(keep_vars=True).items()
        return {
            "stage": self.index,
            "step": done,
            "finished": finished,
            "players": {name: player.state_dict() for name, player in players.items()},
            "rest": {name: t.detach() for name, t in rest if id(t) not in owned},  # of other stages
            "pending": list(self.play.pending),
            "monitor": self.monitor,
            "bests": list(self.bests),
            "seconds": self.clock.elapsed(),
        }

    def _restore(self, state: dict[str, Any]) -> int:
        try:
            for name, player in self.play.players.items():
                player.load_state_dict(state["players"][name])
            self.run.model.load_state_dict(state["rest"], strict=False)
        except (KeyError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"checkpoint: got one of another run, wanted the state of this model ({reason})") from None
        self.play.pending = [tuple(entry) for entry in state["pending"]]
        self.monitor, self.clock.seconds = state["monitor"], state["seconds"]
        return int(state["step"])


def _tensorboard(folder: RunFolder) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("tensorboard: not installed; wanted `pip install tensorboard`") from None
    return SummaryWriter(str(folder.path / "tensorboard"))
