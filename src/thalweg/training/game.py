"""The one place where losses are differentiated and optimizers step: a stage being played, round by round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from thalweg.config import OptimizerConfig, ScheduleConfig, TrainConfig
from thalweg.randomness import fold
from thalweg.training.distributed import PlayerLoss, World, average_buffers
from thalweg.training.player import Player
from thalweg.training.problem import Batch, Rows, Watched
from thalweg.training.run import Stage
from thalweg.training.schedules import factor
from thalweg.training.statistics import estimating
from thalweg.training.updates import Solved

__all__ = ["Play", "Source"]

STATISTICS_BATCHES = 50  # training batches that statistics of averaged weights are estimated on
Differentiable = Callable[[Batch], tuple[Tensor, Mapping[str, Tensor]]]


class Source(Protocol):
    """Where mini-batches come from: a function of their number."""

    def get(self, step: int) -> tuple[Tensor, Tensor | None]:
        """Raw examples and labels (or None) of mini-batch `step`: this process's rows of it."""
        ...

    def epoch(self, step: int) -> float:
        """Passes through the data before mini-batch `step`."""
        ...


class Play:
    """A stage being played: its players, and how they are differentiated and moved.

    What is recorded stays on the device: `pending` holds (step, name, value) until somebody fetches it.
    """

    def __init__(self, stage: Stage, source: Source, config: TrainConfig, device: torch.device, world: World) -> None:
        self.stage, self.source, self.device, self.world = stage, source, device, world
        self.seed = fold(config.seed, "noise", stage.name)
        self.pending: list[tuple[int, str, Tensor]] = []
        self.step = self.at = 0
        self.solved = False  # whether the last round was a closed form that needs no other
        self.autocast: AbstractContextManager[Any] = (
            torch.autocast(device.type, torch.bfloat16) if config.precision == "bf16" else nullcontext()
        )
        names = list(stage.problem.players)
        self.players = {name: self._player(name) for name in names}
        self.prefix = {name: f"{name}/" if len(names) > 1 else "" for name in names}
        if config.compile:
            self._compile()
        self.losses: dict[str, Differentiable] = {name: self._loss(name) for name in names}
        self.project = getattr(stage.problem, "project", None)
        self._generator = _default_generator(device)
        self._examples: dict[int, tuple[Tensor, Tensor | None]] = {}
        self._shares: dict[tuple[int, torch.dtype], Tensor] = {}

    def _player(self, name: str) -> Player:
        module = self.stage.problem.players[name]
        if any(isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)) for m in module.modules()):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # measured faster on every device at hand
        schedule = self.stage.schedules.get(name, ScheduleConfig())
        if callable(schedule):
            rate: Callable[[int], float] | None = schedule
        elif schedule.name == "constant" and not schedule.warmup:
            rate = None
        else:
            batches = self.stage.update.batches
            rate = lambda step: factor(  # noqa: E731
                schedule, step, horizon=self.stage.steps, epoch=self.source.epoch(step * batches)
            )
        return Player(
            module,
            None if isinstance(self.stage.update, Solved) else self.stage.optimizers.get(name, OptimizerConfig()),
            rate=rate,
            ema=self.stage.ema.get(name, 0.0),
            clip_norm=self.stage.clip_norm,
        )

    def _compile(self) -> None:
        """Compile each player's module, or the parts of one that only holds parts; not those differentiated twice."""
        twice = getattr(self.stage.problem, "second_order", ())
        for name, player in self.players.items():
            if name not in twice:
                module = player.module
                holds = type(module).forward is nn.Module.forward
                for part in module.children() if holds else [module]:
                    if type(part).__module__.startswith("torch."):
                        part.forward = torch.compile(part.forward)  # `compile()` passes over torch's own classes
                    else:
                        part.compile()

    def _loss(self, name: str) -> Differentiable:
        values = partial(self._values, name)
        if self.world.size == 1:
            return values
        module = PlayerLoss(self.stage.problem.players[name], values)
        return nn.parallel.DistributedDataParallel(module)

    def _values(self, name: str, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        with self.autocast:
            loss = self.stage.problem.loss(name, batch)
        assert loss.values.dim() == 1, f"{name}: got values of shape {tuple(loss.values.shape)}, wanted one a sample"
        return loss.values, loss.extras

    def round(self, step: int, at: int | None = None) -> None:
        """Play the round of that number, schedules being `at` that step: by default the same."""
        self.step, self.at = step, step if at is None else at
        self._examples.clear()
        self.stage.update(self)
        for player in self.players.values():
            player.follow()

    def differentiate(self, player: str, batch: int = 0) -> None:
        """Set the player's gradients to those of its mean loss on the round's mini-batch of that number."""
        moved, loss = self.players[player], self.losses[player]
        moved.clear()
        for micro, last in self._micro_batches(player, batch):
            wait = nullcontext() if last or self.world.size == 1 else loss.no_sync()  # type: ignore[attr-defined]
            with wait:
                values, extras = loss(micro)
                # The mean over the batch, as a gradient of 1/B for each value; and only into this player's gradients:
                # nothing leaks into the others, so nothing needs detaching.
                values.backward(self._share(values), inputs=moved.parameters)
            self._record(player, values, extras)

    def _share(self, values: Tensor) -> Tensor:
        key = (len(values), values.dtype)
        if key not in self._shares:
            share = 1 / (len(values) * self.stage.accumulate)
            self._shares[key] = torch.full(values.shape, share, dtype=values.dtype, device=values.device)
        return self._shares[key]

    def _micro_batches(self, player: str, batch: int) -> Iterator[tuple[Batch, bool]]:
        x, y = self._get(batch)
        seed = fold(self.seed, self.step, batch, player)
        # What a module draws by itself (dropout) comes from the global generator: a function of the step, too.
        self._generator.manual_seed(seed + self.world.rank)
        pieces, local = self.stage.accumulate, len(x)
        if pieces == 1 and self.world.size == 1:
            yield Batch(x, y, seed), True
            return
        first, total, size = self.world.rank * local, self.world.size * local, local // pieces
        for i in range(pieces):
            rows = slice(i * size, (i + 1) * size)
            where = Rows(first + rows.start, first + rows.stop, total)
            yield Batch(x[rows], None if y is None else y[rows], seed, where), i == pieces - 1

    def _get(self, batch: int) -> tuple[Tensor, Tensor | None]:
        if batch not in self._examples:
            self._examples[batch] = self._numbered(self.step * self.stage.update.batches + batch)
        return self._examples[batch]

    def _numbered(self, number: int) -> tuple[Tensor, Tensor | None]:
        """Return this process's rows of the mini-batch of that number, augmented."""
        x, y = self.source.get(number)
        if self.stage.augment is not None:
            x = self.stage.augment(x, fold(self.seed, "augment", number), self._rows(x))
        return x, y

    def _rows(self, x: Tensor) -> Rows:
        first = self.world.rank * len(x)
        return Rows(first, first + len(x), self.world.size * len(x))

    def _record(self, player: str, values: Tensor, extras: Mapping[str, Tensor]) -> None:
        prefix = self.prefix[player]
        self.pending.append((self.step, f"{prefix}loss", values.detach()))
        for name, value in extras.items():
            self.pending.append((self.step, prefix + name, value.detach()))

    def apply(self, player: str) -> None:
        """Let the player's optimizer move along its gradients; then project."""
        self.players[player].move(self.at)
        if self.project is not None:
            with torch.no_grad():
                self.project(player)

    def solve(self, player: str, batch: int = 0) -> None:
        """Let the problem move the player by its closed form, on the round's mini-batch of that number."""
        (whole, _), *none = self._micro_batches(player, batch)
        assert not none
        with torch.no_grad():
            solution = self.stage.problem.solve(player, whole)  # type: ignore[attr-defined]  # held by Stage
        self.solved = solution.last
        self.players[player].moves += 1
        self._record(player, solution.loss.values, solution.loss.extras)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within, every player has its averaged weights, where it keeps any, with statistics of their own."""
        with ExitStack() as stack:
            for player in self.players.values():
                stack.enter_context(player.averaged())
            self._estimate_statistics()
            yield

    def finish(self) -> None:
        """Leave every player in evaluation mode, with its averaged weights where it keeps any."""
        for player in self.players.values():
            player.module.eval()
            player.become_average()
        self._estimate_statistics()

    @torch.no_grad()
    def _estimate_statistics(self) -> None:
        """Estimate the statistics of batch normalization again, for the players that have averaged weights.

        They are the means over the first `STATISTICS_BATCHES` training batches, in forward passes of the player's loss
        with all other layers in evaluation mode: a function of the weights and the seed.
        """
        for name, player in self.players.items():
            if not player.layers:
                continue
            with estimating(player.layers):
                for number in range(STATISTICS_BATCHES):
                    x, y = self._numbered(number)
                    seed = fold(self.seed, "statistics", number)
                    self._generator.manual_seed(seed + self.world.rank)
                    with self.autocast:
                        self.stage.problem.loss(name, Batch(x, y, seed, self._rows(x)))
            average_buffers(player.layers, self.world)

    def validate(self, batches: Any) -> float:
        """Return the first player's mean loss over `batches`, in evaluation mode, with noise that never changes."""
        name, total, count = next(iter(self.players)), torch.zeros((), device=self.device, dtype=torch.float64), 0
        with self._evaluating(), self.averaged(), torch.no_grad():
            for i, (x, y) in enumerate(batches):
                seed = fold(self.seed, "validate", i)
                self._generator.manual_seed(seed)
                with self.autocast:
                    total += self.stage.problem.loss(name, Batch(x, y, seed)).values.double().sum()
                count += len(x)
        return float(total) / count

    def watch(self) -> Watched:
        """Return what the problem, where it watches, sees on the round's first mini-batch, in evaluation mode."""
        look = getattr(self.stage.problem, "watch", None)
        if look is None:
            return Watched({})
        x, y = self._get(0)
        with self._evaluating(), torch.no_grad():
            found: Watched = look(Batch(x, y, fold(self.seed, self.step, "watch")))
        return found

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Within, every player's module is in evaluation mode: no statistics move."""
        modules = [player.module for player in self.players.values()]
        for module in modules:
            module.eval()
        yield
        for module in modules:
            module.train()


def _default_generator(device: torch.device) -> torch.Generator:
    if device.type == "cuda":
        return torch.cuda.default_generators[device.index or 0]
    return torch.default_generator
