"""The loop: play rounds, write down what happened, keep checkpoints, stop cleanly. It knows no model and no loss."""

from __future__ import annotations

import copy
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from thalweg.config import TrainConfig
from thalweg.devices import fast_matmul, peak_memory, resolve_device
from thalweg.files import write_atomic
from thalweg.training.checkpoint import load_newest, save_checkpoint
from thalweg.training.distributed import World, any_rank, average, world
from thalweg.training.game import Play, Source
from thalweg.training.progress import Progress, Silent
from thalweg.training.records import RunFolder
from thalweg.training.run import Run, Stage
from thalweg.training.updates import Solved

__all__ = ["Interrupted", "NonFinite", "Sources", "train"]

CHECKPOINT_SECONDS = 60.0


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


class Interrupted(Exception):
    """The run was asked to stop by signal `signum`, finished its step, and can go on."""

    def __init__(self, signum: int, stage: int, step: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signum).name} after step {step}")
        self.signum, self.stage, self.step = signum, stage, step


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
    with _stop_signals() as stop, torch.random.fork_rng(devices), world(device) as mine, fast_matmul(device):
        state = load_newest(folder.checkpoints, device=device, warn=warn) if folder else None
        writer = folder if mine.rank == 0 else None
        if writer:
            writer.rewind(*((state["stage"], state["step"]) if state else (-1, 0)))
        for index, stage in enumerate(run.stages):
            if state and state["stage"] > index:
                continue
            trained = _Stage(run, index, sources(stage, mine), config, device, mine, writer, warn)
            trained.train(state if state and state["stage"] == index else None, stop, progress or Silent())
        if writer:
            save_model(run, writer.path / "model.safetensors")
    return run


def save_model(run: Run, path: Path) -> None:
    """Write the model's tensors as safetensors, atomically."""
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in run.model.state_dict().items()}
    write_atomic(path, save(tensors))


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
        warn: Callable[[str], None],
    ) -> None:
        self.warn: Callable[[str], None] | None = warn  # None once it has been used
        self.run, self.index, self.stage, self.config, self.folder = run, index, run.stages[index], config, folder
        if isinstance(self.stage.update, Solved) and world.size > 1:
            raise ValueError(f"processes: got {world.size}, wanted one: this model is fitted in closed form")
        self.validation, self.world, self.device = sources.validation, world, device
        self.play = Play(self.stage, sources.train, config, device, world)
        self.monitor = {"best": math.inf, "step": 0, "bad": 0}
        self.best: dict[str, Any] | None = None  # where there is no folder to keep it in
        self.seconds = 0.0
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
        for player in self.play.players.values():
            player.module.train()
        label = self.stage.name if len(self.run.stages) == 1 else f"{self.stage.name} ({self.index + 1})"
        progress.start(label, done, self.stage.steps)
        self.begun = self.saved_at = time.monotonic()
        finished = bool(saved and saved["finished"])
        over = self._over(done)
        try:
            while not (finished or over):
                self.play.round(done, self._scheduled(done))
                done += 1
                over = self._over(done) or self.play.solved
                finished = self._after(done, over, progress)
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

    def _elapsed(self) -> float:
        return self.seconds + time.monotonic() - self.begun

    def _over(self, done: int) -> bool:
        if self.stage.seconds is not None:
            return self._elapsed() >= self.stage.seconds
        return done >= self.stage.steps

    def _scheduled(self, done: int) -> int:
        """The step that schedules are at: where time is the budget, as far through `steps` as the clock through it."""
        if self.stage.seconds is None:
            return done
        return int(self.stage.steps * min(self._elapsed() / self.stage.seconds, 1.0))

    def _expected(self, done: int, last: bool) -> int:
        if self.stage.seconds is None or last:
            return done if last else self.stage.steps
        return max(done + 1, round(done * self.stage.seconds / max(self._elapsed(), 1e-9)))

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
        if watched.warning and self.warn:
            self.warn(f"step {done}: {watched.warning}")
            self.warn = None
        self.play.pending.clear()
        if self.folder:
            rates = {
                f"{self.play.prefix[name]}lr": player.optimizer.param_groups[0]["lr"]
                for name, player in self.play.players.items()
                if player.optimizer
            }
            spent = {"seconds": round(self._elapsed(), 3), "memory": peak_memory(self.device)}
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
        files = sorted(self.folder.checkpoints.glob("step-*.pt")) if self.folder else []
        return f"the last good checkpoint is {files[-1]}" if files else "no checkpoint was written yet"

    def _validate(self, done: int) -> bool:
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
            name = f"best-{self.index}-{done:09d}"
            save_checkpoint(self.folder.checkpoints, state, name=name, keep=1)
        else:
            self.best = copy.deepcopy(state)

    def _finish(self, done: int, early: bool) -> None:
        self._save(done, early)
        if self.stage.patience:  # the best model, with the optimizer of the same step
            best = self.best
            if self.folder:
                series = f"best-{self.index}"
                best = load_newest(self.folder.checkpoints, series=series, device=self.device, warn=to_stderr)
            if best:
                self._restore(best)
        for player in self.play.players.values():
            player.become_average()
            player.module.eval()

    def _save(self, done: int, finished: bool) -> None:
        self._fetch()  # a loss gone wrong must not be saved as good
        for name, player in self.play.players.items():
            if not all(bool(p.isfinite().all()) for p in player.parameters):
                raise NonFinite(f"a parameter of {name} is not finite after step {done}; {self._last_good()}")
        if self.folder:
            save_checkpoint(self.folder.checkpoints, self._state(done, finished), name=f"step-{self.index}-{done:09d}")
        self.saved_at = time.monotonic()

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
            "seconds": self._elapsed(),
        }

    def _restore(self, state: dict[str, Any]) -> int:
        for name, player in self.play.players.items():
            player.load_state_dict(state["players"][name])
        self.run.model.load_state_dict(state["rest"], strict=False)
        self.play.pending = [tuple(entry) for entry in state["pending"]]
        self.monitor, self.seconds = state["monitor"], state["seconds"]
        return int(state["step"])


def _tensorboard(folder: RunFolder) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("tensorboard: not installed; wanted `pip install tensorboard`") from None
    return SummaryWriter(str(folder.path / "tensorboard"))


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Within, the first SIGINT or SIGTERM is noted in the list; a second one acts as it always did."""
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def note(signum: int, frame: FrameType | None) -> None:
        noted.append(signum)
        for s, handler in before.items():
            signal.signal(s, handler)

    for s in before:
        signal.signal(s, note)
    try:
        yield noted
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
