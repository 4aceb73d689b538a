"""Settings as frozen dataclasses, converted to JSON and back; unknown fields and other types are refused by name."""

# ruff: noqa: RUF009  # `setting` makes fields

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from thalweg.checks import at_least, choice, decay, in_range, positive, share, suggestion

__all__ = [
    "DataConfig",
    "Discrete",
    "OptimizerConfig",
    "RunConfig",
    "ScheduleConfig",
    "TrainConfig",
    "coerce",
    "from_json",
    "group_options",
    "keyword_options",
    "option_groups",
    "setting",
    "to_json",
]

OptimizerName = Literal["sgd", "momentum", "lookahead", "rmsprop", "adam", "amsgrad", "adamw", "muon"]
OF_NESTEROV = ("momentum", "lookahead")  # optimizers that may have Nesterov momentum; "muon" always has it
ScheduleName = Literal["constant", "warm-up", "exponential", "per-epoch", "per-sqrt-step", "step", "linear", "cosine",
                       "cosine-restarts"]  # fmt: skip
Scheme = Literal["full", "with-replacement", "without-replacement", "cyclic", "shuffled"]
Precision = Literal["float32", "bf16", "auto"]
UpdateName = Literal["simultaneous", "alternating", "multi-ascent", "extragradient", "optimistic"]


def setting(default: Any, help: str) -> Any:
    """Return a dataclass field with a default and the help text of its command-line option."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The data and how they are read. A source refuses fields that do not concern it.

    >>> DataConfig(source="digits").seed
    0
    """

    source: str = field(metadata={"help": "name of an embedded or downloadable data set, or a path"})
    examples: int | None = setting(None, "number of examples to draw (generated data) or to keep (data from files)")
    image_size: int | None = setting(None, "side, in pixels, of the square that images are resized to")
    channels: Literal["gray", "rgb"] | None = setting(None, "convert images to gray or rgb")
    resize: Literal["crop", "pad", "stretch"] | None = setting(None, "how images of other sizes are resized")
    label_column: str | None = setting(None, "column of a table that holds the classes")
    classes: str | None = setting(None, "names of the classes that are kept, separated by commas, as 3,8 or cat,dog")
    text_unit: Literal["bytes", "characters"] | None = setting(None, "unit of text that is one token")
    window: int | None = setting(None, "tokens per example of text")
    validation: float | None = setting(None, "share of the examples for validation, where the source has no such split")
    test: float | None = setting(None, "share of the examples for testing, where the source has no such split")
    split_by: str | None = setting(
        None,
        "column of a table, which is removed from the data, or 'folder' for images in subfolders: examples with the "
        "same value, or in the same subfolder, stay in one split",
    )
    deduplicate: bool | None = setting(None, "keep only the first of examples that are exactly equal")
    seed: int = setting(0, "random seed of generated data and of random splits")

    def __post_init__(self) -> None:
        at_least("seed", self.seed, 0)
        for name in ("examples", "image_size", "window"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
        for name in ("validation", "test"):
            if getattr(self, name) is not None:
                in_range(name, getattr(self, name), 0.0, 0.9)


@dataclass(frozen=True)
class Discrete:
    """A column of vectors that takes discrete values: the cell [v, v + step) belongs to the value v.

    `values` are all values in increasing order; empty for a column of integers, where `step` is 1.

    >>> Discrete(0.5, (0.0, 0.5, 2.0)).step
    0.5
    """

    step: float = 1.0
    values: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """A torch optimizer by name.

    `eps_inside` puts ε under the square root, √(v+ε), in place of √v+ε. `nesterov` applies to "momentum" and
    "lookahead" only, as in `torch.optim.SGD`. "muon" has rates of its own for vectors and for the output weight, by
    default `lr`. `no_decay` leaves parameters of at most one dimension, which are biases and the scales of
    normalization layers, out of the weight decay.

    >>> OptimizerConfig(name="momentum", lr=0.1).momentum
    0.9
    """

    name: OptimizerName = "adam"
    lr: float = 1e-3
    momentum: float = 0.9  # for "momentum", "lookahead" and "muon"
    nesterov: bool = False
    beta1: float = 0.9
    beta2: float = 0.999
    alpha: float = 0.99  # decay of RMSprop's second moment
    eps: float = 1e-8
    eps_inside: bool = False
    weight_decay: float = 0.0
    no_decay: bool = False
    vector_lr: float | None = None
    output_lr: float | None = None

    def __post_init__(self) -> None:
        choice("optimizer", self.name, typing.get_args(OptimizerName))
        positive("lr", self.lr)
        positive("eps", self.eps)
        for name in ("momentum", "beta1", "beta2", "alpha"):
            value = getattr(self, name)
            if not 0.0 <= value < 1.0:
                raise ValueError(f"{name}: got {value}, wanted a number in [0, 1)")
        at_least("weight_decay", self.weight_decay, 0)
        if self.eps_inside and self.name not in ("rmsprop", "adam"):
            raise ValueError(f"eps_inside: got optimizer '{self.name}', wanted rmsprop or adam")
        if self.nesterov and (self.name not in OF_NESTEROV or not self.momentum):
            raise ValueError(f"nesterov: got optimizer '{self.name}', wanted momentum or lookahead")
        for name in ("vector_lr", "output_lr"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
                if self.name != "muon":
                    raise ValueError(f"{name}: got optimizer '{self.name}', wanted muon")


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """A learning-rate schedule by name: the factor on the base rate at each step.

    >>> ScheduleConfig(name="cosine").floor
    0.0
    """

    name: ScheduleName = "constant"
    warmup: int = 0  # steps of linear warm-up, before the schedule
    gamma: float = 0.9  # factor per epoch, for "exponential"
    drop: float = 0.1  # factor at each milestone, for "step"
    milestones: tuple[float, ...] = (0.5, 0.75)  # shares of the whole run, for "step"
    floor: float = 0.0  # the smallest factor of the cosine schedules
    period: int | None = None  # steps of half a cosine period; None: the whole run

    def __post_init__(self) -> None:
        choice("schedule", self.name, typing.get_args(ScheduleName))
        at_least("warmup", self.warmup, 0)
        positive("gamma", self.gamma)
        positive("drop", self.drop)
        for milestone in self.milestones:
            in_range("milestones", milestone, 0.0, 1.0)
        in_range("floor", self.floor, 0.0, 1.0)
        if self.period is not None:
            positive("period", self.period)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a run is trained, for every recipe. None keeps what the recipe chose.

    >>> TrainConfig(steps=100).batch_size is None
    True
    """

    seed: int = setting(0, "random seed of the weights, the order of examples and the noise")
    share: float | None = setting(
        None, "share of the training examples that is used, drawn by the seed; a smaller one is part of a larger one"
    )
    steps: int | None = setting(None, "training steps; one step is one round of updates of all players")
    examples: int | None = setting(None, "training examples to process, in place of steps")
    minutes: float | None = setting(None, "minutes of training, in place of steps; schedules follow the clock")
    batch_size: int | None = setting(None, "examples in a mini-batch")
    scheme: Scheme | None = setting(None, "how examples are drawn")
    optimizer: OptimizerName | None = setting(None, "optimizer of every player")
    lr: float | None = setting(None, "base learning rate")
    weight_decay: float | None = setting(None, "weight decay: an L2 penalty, or decoupled with adamw")
    eps_inside: bool | None = setting(None, "adam and rmsprop: epsilon under the square root")
    nesterov: bool | None = setting(None, "momentum: Nesterov momentum")
    no_decay: bool | None = setting(None, "no weight decay of biases and normalization parameters")
    schedule: ScheduleName | None = setting(None, "schedule of the learning rate")
    warmup: int | None = setting(None, "steps of linear warm-up")
    clip_norm: float | None = setting(None, "largest norm of the gradient of all parameters of a player")
    accumulate: int | None = setting(None, "micro-batches per batch")
    ema: float | None = setting(None, "decay of the averaged weights; 0: no averages")
    swa: float | None = setting(
        None, "share of the training, at its end, over which the weights are averaged equally (SWA)"
    )
    update: UpdateName | None = setting(None, "order of the players' steps, in games")
    patience: int | None = setting(None, "validations without improvement until training stops; the best model is kept")
    validate_every: int | None = setting(None, "steps between validations; default: an epoch, with patience")
    log_every: int = setting(50, "steps between lines of metrics.jsonl")
    checkpoint_every: int | None = setting(None, "steps between checkpoints; default: once a minute")
    precision: Precision = setting(
        "float32",
        "precision of the forward pass; parameters stay float32; auto: the faster, measured once",
    )
    compile: bool = setting(False, "compile the models with torch.compile")
    device: str = setting("auto", "auto, cpu, cuda, ...")
    threads: int = setting(2, "threads that load batches ahead, where the data do not fit on the device")
    resident: Literal["auto", "yes", "no"] = setting("auto", "keep the data on the device; auto: where they fit")
    tensorboard: bool = setting(False, "write TensorBoard events beside the metrics")

    def __post_init__(self) -> None:
        at_least("seed", self.seed, 0)
        budget = [name for name in ("steps", "examples", "minutes") if getattr(self, name) is not None]
        if len(budget) > 1:
            raise ValueError(f"{budget[1]}: got {getattr(self, budget[1])} beside {budget[0]}, wanted one of them")
        for name in (
            "steps",
            "examples",
            "minutes",
            "batch_size",
            "lr",
            "clip_norm",
            "accumulate",
            "patience",
            "validate_every",
        ):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
        if self.share is not None and not 0.0 < self.share <= 1.0:
            raise ValueError(f"share: got {self.share}, wanted a number above 0, at most 1")
        positive("log_every", self.log_every)
        positive("threads", self.threads)
        if self.checkpoint_every is not None:
            positive("checkpoint_every", self.checkpoint_every)
        if self.ema is not None:
            decay("ema", self.ema)
        if self.swa is not None:
            share("swa", self.swa)
            if self.ema is not None:
                raise ValueError(f"swa: got {self.swa} beside ema, wanted one of them")
        for name in ("weight_decay", "warmup"):
            if getattr(self, name) is not None:
                at_least(name, getattr(self, name), 0)
        if self.optimizer is not None:
            choice("optimizer", self.optimizer, typing.get_args(OptimizerName))
        if self.schedule is not None:
            choice("schedule", self.schedule, typing.get_args(ScheduleName))


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """All settings of a run: what `run.json` holds and `resume` reads.

    >>> run = RunConfig(recipe="vae", data=DataConfig(source="digits"), options={"latent_dim": 2})
    >>> from_json(RunConfig, to_json(run)) == run
    True
    """

    recipe: str
    data: DataConfig
    options: dict[str, Any] = field(default_factory=dict)  # of the recipe
    train: TrainConfig = field(default_factory=TrainConfig)


T = TypeVar("T")


def keyword_options(function: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """Return the annotation and the default of each keyword-only parameter of a function.

    In place of an option group (see `option_groups`) come the fields of its dataclass.

    >>> def recipe(spec, *, latent_dim: int = 20): ...
    >>> keyword_options(recipe)
    {'latent_dim': (<class 'int'>, 20)}
    """
    parameters = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    groups = option_groups(function)
    # Only these annotations are read: the others may name what is imported for type checkers alone.
    annotations = {p.name: p.annotation for p in parameters if p.name not in groups}
    holder = types.SimpleNamespace(__annotations__=annotations)
    hints = typing.get_type_hints(holder, globalns=getattr(inspect.unwrap(function), "__globals__", {}))
    options: dict[str, tuple[Any, Any]] = {}
    for parameter in parameters:
        if parameter.name in groups:
            group = groups[parameter.name]
            types_of_fields = typing.get_type_hints(type(group))
            options |= {f.name: (types_of_fields[f.name], getattr(group, f.name)) for f in dataclasses.fields(group)}
        else:
            options[parameter.name] = (hints[parameter.name], parameter.default)
    return options


def option_groups(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the keyword-only parameters whose default is a dataclass, and that default.

    Such a parameter is a group of options that several functions share. Types and help texts are those of the fields;
    the defaults are the values of the default object, so each function may have its own.

    >>> @dataclass(frozen=True)
    ... class Network:
    ...     hidden: int = 64
    >>> def recipe(spec, *, network=Network(hidden=128)): ...
    >>> option_groups(recipe)
    {'network': Network(hidden=128)}
    """
    parameters = inspect.signature(function).parameters.values()
    return {
        p.name: p.default
        for p in parameters
        if p.kind is p.KEYWORD_ONLY and dataclasses.is_dataclass(p.default) and not isinstance(p.default, type)
    }


def group_options(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `function` for flat `options`: those of a group are set in the group's dataclass.

    >>> @dataclass(frozen=True)
    ... class Network:
    ...     hidden: int = 64
    >>> def recipe(spec, *, network=Network(), lr: float = 0.1): ...
    >>> group_options(recipe, {"hidden": 8, "lr": 1.0})
    {'lr': 1.0, 'network': Network(hidden=8)}
    """
    arguments = dict(options)
    for name, default in option_groups(function).items():
        fields = {f.name: arguments.pop(f.name) for f in dataclasses.fields(default) if f.name in arguments}
        arguments[name] = dataclasses.replace(arguments.get(name, default), **fields)
    return arguments


def to_json(value: Any) -> Any:
    """Return `value`, which may hold dataclasses, as an object that `json.dumps` accepts.

    >>> to_json(ScheduleConfig())["name"]
    'constant'
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value


def from_json(cls: type[T], value: Any, path: str = "") -> T:
    """Build the dataclass `cls` from a value that `to_json` returned.

    Raises ValueError naming the field that is unknown, missing or of the wrong type.

    >>> from_json(ScheduleConfig, {"name": "cosine", "flor": 0.1})
    Traceback (most recent call last):
    ValueError: ScheduleConfig: unknown field 'flor' (did you mean 'floor'?)
    """
    if not isinstance(value, dict):
        raise ValueError(f"{path or cls.__name__}: got {value!r}, wanted an object with the fields of {cls.__name__}")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in value:
        if name not in fields:
            raise ValueError(f"{path or cls.__name__}: unknown field '{name}'{suggestion(name, fields)}")
    for name, f in fields.items():
        if name not in value and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise ValueError(f"{path or cls.__name__}: field '{name}' is missing")
    return cls(**{name: coerce(f"{path}{name}", item, hints[name]) for name, item in value.items()})


def coerce(name: str, value: Any, hint: Any) -> Any:
    """Return `value` converted to the annotation `hint`, or raise ValueError naming the field.

    The annotations of settings are int, float, str, bool, Literal, optional ones, tuples, lists, dicts and dataclasses.

    >>> coerce("lr", 1, float), coerce("shape", [1, 8, 8], tuple[int, ...])
    (1.0, (1, 8, 8))
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    wanted = hint.__name__ if isinstance(hint, type) and not arguments else str(hint).replace("typing.", "")
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        inner = [a for a in arguments if a is not type(None)]
        if len(inner) == 1:
            return coerce(name, value, inner[0])
        if type(value) in inner:
            return value
    elif origin is Literal:
        if value in arguments:
            return value
        wanted = "one of " + ", ".join(map(str, arguments)) + suggestion(str(value), map(str, arguments))
    elif origin in (tuple, list):
        if isinstance(value, (list, tuple)):
            fixed = origin is tuple and arguments[-1] is not Ellipsis
            kinds = arguments if fixed else [arguments[0]] * len(value)
            if len(kinds) == len(value):
                return origin(coerce(f"{name}[{i}]", v, k) for i, (v, k) in enumerate(zip(value, kinds, strict=True)))
    elif origin is dict or hint is dict:
        if isinstance(value, dict):
            return dict(value)
    elif hint is Any:
        return value
    elif dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else from_json(hint, value, f"{name}.")  # type: ignore[arg-type]
    elif hint is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        wanted = "a number"
    elif hint is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        wanted = "an integer"
    elif isinstance(value, hint):
        return value
    raise ValueError(f"{name}: got {value!r}, wanted {wanted}")
