"""A `Run`: a model and the stages of its training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from thalweg.checks import choice, decay, positive, share
from thalweg.config import OF_NESTEROV, OptimizerConfig, ScheduleConfig, TrainConfig
from thalweg.training.averaging import EMA, SWA, Averaging
from thalweg.training.problem import Batch, Problem
from thalweg.training.updates import Alternating, Extragradient, Optimistic, Simultaneous, Update

__all__ = ["Run", "Stage"]

SCHEMES = ("full", "with-replacement", "without-replacement", "cyclic", "shuffled")
OF_GRADIENTS = (
    "lr", "optimizer", "weight_decay", "eps_inside", "nesterov", "no_decay", "schedule", "warmup", "clip_norm", "ema",
    "swa", "accumulate", "update",
)  # fmt: skip
ASCENTS = 5  # steps of the first player in "multi-ascent", unless the recipe has several


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One problem and how it is trained: the order of the players' steps (`update`), optimizers, budget and batches.

    One step of a stage is one call of the update: with `Alternating({"critic": 5, "generator": 1})`, five steps of the
    critic and one of the generator. Mappings are by player's name; the default optimizer is Adam.

    Raises ValueError for settings that contradict each other.
    """

    problem: Problem
    steps: int
    batch_size: int
    optimizers: Mapping[str, OptimizerConfig] = field(default_factory=dict)
    schedules: Mapping[str, ScheduleConfig | Callable[[int], float]] = field(
        default_factory=dict
    )  # or any factor(step)
    update: Update = field(default_factory=Simultaneous)
    scheme: str = "shuffled"
    ema: Mapping[str, float] = field(default_factory=dict)  # decay of the averaged weights
    swa: Mapping[str, float] = field(default_factory=dict)  # share of the steps, at the end, whose weights are averaged
    clip_norm: float | None = None
    accumulate: int = 1
    augment: Callable[[Batch], Batch] | None = None  # of each training batch; it draws from the batch
    validate_every: int | None = None
    patience: int | None = None
    seconds: float | None = None  # budget of time in place of `steps`, which is then only the span of schedules
    name: str = "train"

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulate", "clip_norm", "validate_every", "patience", "seconds"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
        choice("scheme", self.scheme, SCHEMES)
        if self.batch_size % self.accumulate:
            raise ValueError(f"accumulate: got {self.accumulate}, wanted a divisor of the batch size {self.batch_size}")
        for table in (self.optimizers, self.schedules, self.ema, self.swa):
            for player in table:
                choice("player", player, self.problem.players)
        for player, value in self.ema.items():
            decay(f"ema of {player}", value)
        for player, value in self.swa.items():
            share(f"swa of {player}", value)
            if self.ema.get(player):
                raise ValueError(f"swa of {player}: got {value} beside ema {self.ema[player]}, wanted one of them")
        if self.patience and not self.problem.validated:
            raise ValueError(
                f"patience: got {self.patience}, wanted none: no loss of a game says which generator is the best"
            )
        if isinstance(self.update, Alternating) and set(self.update.moves) != set(self.problem.players):
            got, wanted = ", ".join(self.update.moves), ", ".join(self.problem.players)
            raise ValueError(f"update: got moves of {got}, wanted moves of {wanted}")
        if not self.update.needs_gradients:
            if type(self.problem).closed_form_step is Problem.closed_form_step:
                raise ValueError(f"update: got closed forms for {type(self.problem).__name__}, wanted gradients")
            if self.accumulate > 1 or self.ema or self.swa:
                raise ValueError("accumulate, ema, swa: got some for closed forms, wanted none")

    def averaging(self, player: str) -> Averaging | None:
        """Return which average of the player's weights is kept, or None."""
        if player in self.swa:
            return SWA.of_share(self.swa[player], steps=self.steps)
        return EMA(self.ema[player]) if self.ema.get(player) else None

    def configured(self, train: TrainConfig) -> Stage:
        """Return the stage with the settings of `train` that are not None in place of the recipe's."""
        if not self.update.needs_gradients:
            for f in OF_GRADIENTS:
                if getattr(train, f) is not None:
                    raise ValueError(f"{f}: got {getattr(train, f)}, wanted none: this model is fitted in closed form")
        players = self.problem.players
        fields = {"lr": "lr", "weight_decay": "weight_decay", "eps_inside": "eps_inside", "nesterov": "nesterov",
                  "no_decay": "no_decay", "name": "optimizer"}  # fmt: skip
        optimizer = {f: getattr(train, t) for f, t in fields.items() if getattr(train, t) is not None}
        schedule = {f: getattr(train, t) for f, t in {"name": "schedule", "warmup": "warmup"}.items()}
        schedule = {f: value for f, value in schedule.items() if value is not None}
        own = ("steps", "batch_size", "scheme", "clip_norm", "accumulate", "patience", "validate_every")
        changed: dict[str, object] = {f: getattr(train, f) for f in own if getattr(train, f) is not None}
        changed["optimizers"] = {p: _other(self.optimizers.get(p, OptimizerConfig()), optimizer) for p in players}
        if schedule:
            own_schedules = {p: self.schedules.get(p, ScheduleConfig()) for p in players}
            changed["schedules"] = {
                p: replace(s if isinstance(s, ScheduleConfig) else ScheduleConfig(), **schedule)
                for p, s in own_schedules.items()
            }
        if train.ema is not None:
            changed["ema"] = dict.fromkeys(self._averaged(), train.ema) if train.ema else {}
        if train.swa is not None:  # in place of the recipe's EMA, and of the same players
            changed |= {"ema": {}, "swa": dict.fromkeys(self._averaged(), train.swa)}
        if train.update is not None:
            in_turn = self.update if isinstance(self.update, Alternating) else Alternating(dict.fromkeys(players, 1))
            first, *others = players
            several = Alternating({first: ASCENTS, **dict.fromkeys(others, 1)})
            kinds: dict[str, Update] = {
                "simultaneous": Simultaneous(),
                "alternating": in_turn,
                "multi-ascent": in_turn if in_turn.batches > 1 else several,
                "extragradient": Extragradient(),
                "optimistic": Optimistic(),
            }
            changed["update"] = kinds[train.update]
        return replace(self, **changed)  # type: ignore[arg-type]

    def _averaged(self) -> Iterable[str]:
        """Return the players whose weights are averaged: those that the recipe averages, else all."""
        return self.ema or self.problem.players


def _other(config: OptimizerConfig, changes: Mapping[str, Any]) -> OptimizerConfig:
    """Return the settings with changes; another optimizer does not inherit what it does not have."""
    name = changes.get("name", config.name)
    kept: dict[str, Any] = {} if name in OF_NESTEROV else {"nesterov": False}
    kept |= {} if name == "muon" else {"vector_lr": None, "output_lr": None}
    return replace(config, **(kept | dict(changes)))


@dataclass(frozen=True)
class Run:
    """A model and the stages, usually one, that train it.

    `model` is what is saved and evaluated: every module that sampling, scoring or encoding needs is a submodule of it.
    """

    model: nn.Module
    stages: tuple[Stage, ...]

    def configured(self, train: TrainConfig) -> Run:
        """Return the run with the settings of `train` that are not None in place of the recipe's, in every stage.

        A budget of examples or minutes is divided among the stages in proportion to the recipe's steps.
        """
        stages, total = tuple(stage.configured(train) for stage in self.stages), sum(s.steps for s in self.stages)
        if train.examples is not None:
            shares = [train.examples * s.steps / total / (s.batch_size * s.update.batches) for s in stages]
            stages = tuple(replace(s, steps=max(1, round(share))) for s, share in zip(stages, shares, strict=True))
        if train.minutes is not None:
            stages = tuple(replace(s, seconds=60 * train.minutes * s.steps / total) for s in stages)
        return replace(self, stages=stages)
