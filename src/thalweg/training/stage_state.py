"""A stage while it is trained: its players, and the one place where losses are differentiated and optimizers step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from thalweg.batch import Batch, Rows
from thalweg.config import OptimizerConfig, ScheduleConfig, TrainConfig
from thalweg.randomness import fold
from thalweg.training.distributed import PlayerLoss, World
from thalweg.training.player import Player
from thalweg.training.problem import Diagnostics, Problem, Solution
from thalweg.training.results import check_loss, check_names, check_type
from thalweg.training.run import Stage
from thalweg.training.schedules import factor
from thalweg.training.source import Source, ValidationData
from thalweg.training.statistics import normalizing_layers, statistics_restored

__all__ = ["Recorded", "StageState"]

Extras = Mapping[str, Tensor | float]
Differentiable = Callable[[Batch], tuple[Tensor, Extras]]


class Recorded(NamedTuple):
    """A value on the device, of a step (0 is the first): the player's loss where `extra` is None, else that extra."""

    step: int
    player: str
    extra: str | None
    value: Tensor


class StageState:
    """The state of a stage: its players, how they are differentiated and updated, and the number of the step.

    `pending` holds what was recorded and has not been fetched from the device yet.
    """

    def __init__(self, stage: Stage, source: Source, config: TrainConfig, device: torch.device, world: World) -> None:
        self.stage, self.source, self.device, self.world = stage, source, device, world
        self.seed = fold(config.seed, "noise", stage.name)
        self.pending: list[Recorded] = []
        self.number = self.schedule_step = 0
        self.converged = False  # whether the last step was in closed form and another would change nothing
        assert config.precision != "auto"  # whoever starts a run measures, and stores the result
        self.autocast: AbstractContextManager[Any] = (
            torch.autocast(device.type, torch.bfloat16) if config.precision == "bf16" else nullcontext()
        )
        self.players = {name: self._player(name) for name in stage.problem.players}
        self.prefix = {name: f"{name}/" if len(self.players) > 1 else "" for name in self.players}
        if config.compile:
            self._compile()
        self.losses: dict[str, Differentiable] = {name: self._loss(name) for name in self.players}
        self._projects = type(stage.problem).project is not Problem.project  # else nothing is to be called
        self._generator = _default_generator(device)
        self._examples: dict[int, tuple[Tensor, Tensor | None]] = {}
        self._shares: dict[tuple[int, torch.dtype], Tensor] = {}

    def _player(self, name: str) -> Player:
        stage, module = self.stage, self.stage.problem.players[name]
        if any(isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)) for m in module.modules()):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # measured to be faster
        schedule = stage.schedules.get(name, ScheduleConfig())
        if callable(schedule):
            rate: Callable[[int], float] | None = schedule
        elif schedule.name == "constant" and not schedule.warmup:
            rate = None
        else:
            batches = stage.update.batches
            rate = lambda step: factor(  # noqa: E731
                schedule, step, horizon=stage.steps, epoch=self.source.epoch(step * batches)
            )
        optimizer = stage.optimizers.get(name, OptimizerConfig()) if stage.update.needs_gradients else None
        return Player(module, optimizer, rate=rate, averaging=stage.averaging(name), clip_norm=stage.clip_norm)

    def _compile(self) -> None:
        """Compile each player's module, or the children of one without a forward pass of its own."""
        for name, player in self.players.items():
            if name not in self.stage.problem.second_order:
                module = player.module
                container = type(module).forward is nn.Module.forward
                for part in module.children() if container else [module]:
                    if type(part).__module__.startswith("torch."):
                        part.forward = torch.compile(part.forward)  # `compile()` skips torch's own classes
                    else:
                        part.compile()

    def _loss(self, name: str) -> Differentiable:
        values = partial(self._values, name)
        if self.world.size == 1:
            return values
        module = PlayerLoss(self.stage.problem.players[name], values)
        return nn.parallel.DistributedDataParallel(module)

    def _values(self, name: str, batch: Batch) -> tuple[Tensor, Extras]:
        with self.autocast:
            loss = check_loss(name, self.stage.problem.loss(name, batch), len(batch))
        return loss.values, loss.extras

    def step(self, number: int, schedule_step: int | None = None) -> None:
        """Take step `number` of the stage; learning rates are those of `schedule_step`, by default the same number."""
        self.number, self.schedule_step = number, number if schedule_step is None else schedule_step
        self._examples.clear()
        self.stage.update(self)
        for player in self.players.values():
            player.update_average(self.schedule_step)

    def differentiate(self, player: str, batch: int = 0) -> None:
        """Set the player's gradients to those of its mean loss on the step's mini-batch of that number."""
        differentiated, loss = self.players[player], self.losses[player]
        differentiated.zero_grad()
        for micro, last in self._micro_batches(player, batch):
            wait = nullcontext() if last or self.world.size == 1 else loss.no_sync()  # type: ignore[attr-defined]
            with wait:
                values, extras = loss(micro)
                # The mean over the batch, as a gradient of 1/B for each value. Only this player's parameters receive
                # gradients, so nothing needs to be detached.
                values.backward(self._share(values), inputs=differentiated.parameters)
            self._record(player, values, extras)

    def _share(self, values: Tensor) -> Tensor:
        key = (len(values), values.dtype)
        if key not in self._shares:
            share = 1 / (len(values) * self.stage.accumulate)
            self._shares[key] = torch.full(values.shape, share, dtype=values.dtype, device=values.device)
        return self._shares[key]

    def _micro_batches(self, player: str, batch: int) -> Iterator[tuple[Batch, bool]]:
        x, y = self._get(batch)
        seed = fold(self.seed, self.number, batch, player)
        # What a module draws by itself (dropout) comes from the global generator: it is a function of the step, too.
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
            self._examples[batch] = self._numbered(self.number * self.stage.update.batches + batch)
        return self._examples[batch]

    def _numbered(self, number: int) -> tuple[Tensor, Tensor | None]:
        """Return this process's rows of training batch `number`, augmented."""
        x, y = self.source.get(number)
        if self.stage.augment is not None:
            passes = self.source.epoch(number), self.source.epoch(number + 1)
            seed = fold(self.seed, "augment", number)
            augmented = self.stage.augment(Batch(x, y, seed, self._rows(x), passes))
            if len(augmented) != len(x) and self.stage.accumulate > 1:
                raise ValueError(
                    f"augment: got {len(augmented)} examples from {len(x)}, wanted as many, since gradients are "
                    f"accumulated over {self.stage.accumulate} parts of the batch"
                )
            return augmented.x, augmented.y
        return x, y

    def _rows(self, x: Tensor) -> Rows:
        first = self.world.rank * len(x)
        return Rows(first, first + len(x), self.world.size * len(x))

    def _record(self, player: str, values: Tensor, extras: Extras) -> None:
        check_names(f"extras of {player}", extras)
        self.pending.append(Recorded(self.number, player, None, values.detach()))
        for name, value in extras.items():
            self.pending.append(Recorded(self.number, player, name, torch.as_tensor(value).detach()))

    def apply(self, player: str) -> None:
        """Take a step of the player's optimizer along its gradients; then project its parameters."""
        self.players[player].step(self.schedule_step)
        if self._projects:
            with torch.no_grad():
                self.stage.problem.project(player)

    def closed_form_step(self, player: str, batch: int = 0) -> None:
        """Let the problem set the player's parameters in closed form, on the step's mini-batch of that number."""
        (joint, _), *others = self._micro_batches(player, batch)
        assert not others
        with torch.no_grad():
            solution = check_type("closed_form_step", self.stage.problem.closed_form_step(player, joint), Solution)
        self.converged = solution.converged
        self.players[player].steps += 1
        self._record(player, solution.loss.values, solution.loss.extras)

    @contextmanager
    def finished(self) -> Iterator[None]:
        """Within, the players are as `finish` would leave them; afterwards they are as before."""
        with ExitStack() as stack:
            for player in self.players.values():
                stack.enter_context(statistics_restored(normalizing_layers(player.module)))
                stack.enter_context(player.averaged_weights())
            self._finish_problem()
            yield

    def finish(self) -> None:
        """Leave every player in evaluation mode, with its averaged weights where there are any."""
        for player in self.players.values():
            player.module.eval()
            player.copy_average_to_model()
        self._finish_problem()

    def _finish_problem(self) -> None:
        averaged = [name for name, player in self.players.items() if player.averaged]
        with torch.no_grad(), self.autocast:
            self.stage.problem.finish(_StatisticsBatches(self), averaged)

    def validate(self, batches: ValidationData) -> dict[str, float]:
        """Return the first player's mean "loss" over `batches`, and the means of its extras, by name.

        It is evaluated in evaluation mode, with the same noise every time.
        """
        name, totals, count = next(iter(self.players)), dict[str, Tensor](), 0
        with self._evaluating(), self.finished(), torch.no_grad():
            for i, (x, y) in enumerate(batches):
                seed = fold(self.seed, "validate", i)
                self._generator.manual_seed(seed)
                loss, extras = self._values(name, Batch(x, y, seed))
                check_names(f"extras of {name}", extras)
                for key, value in {"loss": loss, **extras}.items():
                    total = torch.as_tensor(value).double().mean() * len(x)  # an extra may be a scalar of the batch
                    totals[key] = totals.get(key, torch.zeros((), dtype=torch.float64)).to(total) + total
                count += len(x)
        return {key: float(total) / count for key, total in totals.items()}

    def diagnostics(self) -> Diagnostics:
        """Return the problem's diagnostics on the step's first mini-batch, in evaluation mode."""
        x, y = self._get(0)
        with self._evaluating(), torch.no_grad():
            result = self.stage.problem.diagnostics(Batch(x, y, fold(self.seed, self.number, "watch")))
        return check_type("diagnostics", result, Diagnostics)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Within, every player's module is in evaluation mode: no running statistics change."""
        modules = [player.module for player in self.players.values()]
        for module in modules:
            module.eval()
        yield
        for module in modules:
            module.train()


class _StatisticsBatches:
    """The training batches that a problem finishes the model on; each sets the global generator's seed, too."""

    def __init__(self, state: StageState) -> None:
        self.state = state

    def __len__(self) -> int:
        return max(1, math.ceil(1 / max(self.state.source.epoch(1), 1e-9)))

    def __getitem__(self, number: int) -> Batch:
        state = self.state
        x, y = state._numbered(number)
        seed = fold(state.seed, "statistics", number)
        state._generator.manual_seed(seed + state.world.rank)
        return Batch(x, y, seed, state._rows(x))


def _default_generator(device: torch.device) -> torch.Generator:
    if device.type == "cuda":
        return torch.cuda.default_generators[device.index or 0]
    return torch.default_generator
