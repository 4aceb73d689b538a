"""The plan of a comparison: models, data, budget, and the settings of the evaluation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from thalweg.checks import choice, positive
from thalweg.config import DataConfig, RunConfig, TrainConfig, coerce, keyword_options, setting, to_json
from thalweg.data.dataset import SPLITS
from thalweg.recipes import recipe

__all__ = ["Candidate", "Measuring", "Plan"]

MAX_NAME = 120  # bytes of a folder's name; file systems allow 255
BUDGETS = ("minutes", "steps", "examples")
BASELINES = ("real", "uniform", "gaussian", "gaussian-mixture")


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """Settings of the evaluation, the same for all models."""

    split: str = setting("test", "split to measure on: train, validation, test or all")
    limit: int | None = setting(None, "number of examples, drawn by the seed (default: all)")
    samples: int | None = setting(None, "samples drawn from each model (default: as many as examples, at most 10,000)")
    draws: int = setting(3, "number of noise draws over which a likelihood is averaged")
    temperatures: int | None = setting(
        None,
        "number of annealed importance sampling steps; 0 omits this measure (default: 300, if not too slow on a CPU)",
    )
    features: str = setting("auto", "features of images: auto, pixels, a module:factory, or an Inception weight file")
    views: Literal["one", "flip", "six", "ten-crop"] = setting(
        "one", "views of each image whose predictions a classifier averages: one, flip, six or ten-crop"
    )
    anomalies: str = setting("", "data sets of anomalies to detect, separated by commas")
    batch_size: int = setting(500, "examples in a batch")
    seed: int = setting(0, "random seed of the evaluation")

    def __post_init__(self) -> None:
        choice("split", self.split, SPLITS)
        for name in ("limit", "samples"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
        positive("draws", self.draws)
        positive("batch_size", self.batch_size)
        if self.temperatures is not None and self.temperatures < 0:
            raise ValueError(f"temperatures: got {self.temperatures}, wanted a number of at least 0")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A recipe with its options and its own training settings; `name` is its name in the comparison.

    >>> Candidate.read("vae:latent_dim=2,lr=1e-3").train
    {'lr': 0.001}
    """

    name: str
    recipe: str
    options: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> Candidate:
        """Parse `RECIPE` or `RECIPE:option=value,...` with options of the recipe or of the training."""
        name, _, rest = text.partition(":")
        own = keyword_options(recipe(name))
        shared = {f: (hint, None) for f, hint in _train_hints().items()}
        options: dict[str, Any] = {}
        train: dict[str, Any] = {}
        for entry in filter(None, rest.split(",")):
            option, equals, value = entry.partition("=")
            key = choice("option", option.strip().replace("-", "_"), [*own, *shared])
            if not equals:
                raise ValueError(f"{name}: got '{entry}', wanted option=value")
            hint = own[key][0] if key in own else shared[key][0]
            (options if key in own else train)[key] = coerce(key, _plain(value), hint)
        if "seed" in train:
            raise ValueError(f"seed: got it in {text}, wanted --seeds, the number of trainings of every model")
        return cls(name=text, recipe=name, options=options, train=train)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A comparison: candidates, data, `seeds` trainings of each, budget and device in `train`, and the evaluation's
    settings.

    `shares` are those of the training examples in a learning curve, in increasing order up to 1; by default there is no
    learning curve.

    >>> plan = Plan(models=(Candidate(name="vae", recipe="vae"),), data=DataConfig(source="digits"), seeds=2)
    >>> [name for name, _ in plan.runs()]
    ['vae-0', 'vae-1']
    """

    models: tuple[Candidate, ...]
    data: DataConfig
    seeds: int = 1
    train: TrainConfig = field(default_factory=TrainConfig)
    measuring: Measuring = field(default_factory=Measuring)
    shares: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        positive("seeds", self.seeds)
        _check_shares(self.shares, self.models)
        names = [model.name for model in self.models]
        if not names:
            raise ValueError("RECIPE: got nothing, wanted one or more recipes")
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"RECIPE: got '{name}' twice, wanted different models (see RECIPE:option=value)")
        shared = [budget for budget in BUDGETS if getattr(self.train, budget) is not None]
        for model in self.models:
            own = [budget for budget in BUDGETS if budget in model.train]
            if shared and own:
                raise ValueError(
                    f"{own[0]}: got it in '{model.name}' beside --{shared[0]} of all models; wanted one budget for all,"
                    " or one in each model that needs its own"
                )

    def runs(self) -> list[tuple[str, RunConfig]]:
        """Return the configuration of every training by the name of its folder, ordered by share, model and seed.

        Those with all training examples are first, then those of the smaller shares of the learning curve.
        """
        fields = []
        for share in (None, *self.shares[:-1]):
            part: dict[str, Any] = {} if share is None else {"share": share}
            for model in self.models:
                stem = folder_name(model.name) + ("" if share is None else f"-share={share:g}")
                for seed in range(self.seeds):
                    train = TrainConfig(**{**_changed(self.train), **model.train, **part, "seed": seed})
                    config = RunConfig(recipe=model.recipe, data=self.data, options=dict(model.options), train=train)
                    fields.append((f"{stem}-{seed}", config))
        return fields

    @property
    def fixed(self) -> str:
        """What is equal for all shares of the learning curve: "steps", "minutes" or "examples", of the trainings."""
        own = {budget for model in self.models for budget in BUDGETS if budget in model.train}
        shared = {budget for budget in BUDGETS if getattr(self.train, budget) is not None}
        return " or ".join(sorted(shared or own)) or "steps"

    def digest(self) -> str:
        """Return a hash of all settings of the comparison."""
        return hashlib.sha256(json.dumps(to_json(self), sort_keys=True).encode()).hexdigest()[:16]

    def default_folder(self) -> Path:
        """Return runs/compare-MODELS-DATA, so that the same models and data resume the same comparison."""
        stem = Path(self.data.source).stem or "data"
        name = "-".join(["compare", *(folder_name(m.name) for m in self.models), stem])
        return Path("runs") / _short(name)


def folder_name(name: str) -> str:
    """Return a model's name as the name of a folder.

    >>> folder_name("vae:latent_dim=2,lr=1e-3")
    'vae_latent_dim=2_lr=1e-3'
    """
    return _short("".join(c if c.isalnum() or c in "-=." else "_" for c in name))


def _short(name: str) -> str:
    """Return the name; if it is too long for file systems, its beginning and a hash."""
    if len(name.encode()) <= MAX_NAME:
        return name
    return f"{name[: MAX_NAME // 4]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _check_shares(shares: tuple[float, ...], models: tuple[Candidate, ...]) -> None:
    """Raise ValueError unless the shares of a learning curve increase up to 1, and no model has a share of its own."""
    if not shares:
        return
    increasing = all(a < b for a, b in zip((0.0, *shares), shares, strict=False))
    if len(shares) < 2 or not increasing or shares[-1] != 1.0:
        got = ",".join(f"{share:g}" for share in shares)
        raise ValueError(f"learning_curve: got {got}, wanted two or more increasing shares above 0, the last of them 1")
    for model in models:
        if "share" in model.train:
            raise ValueError(f"share: got it in '{model.name}' beside the shares of the learning curve, wanted one")


def _changed(train: TrainConfig) -> Mapping[str, Any]:
    default = TrainConfig()
    return {f: getattr(train, f) for f in _train_hints() if getattr(train, f) != getattr(default, f)}


def _train_hints() -> dict[str, Any]:
    import typing

    return typing.get_type_hints(TrainConfig)


def _plain(text: str) -> Any:
    """Return the value of the text as JSON, or the text itself."""
    try:
        return json.loads({"True": "true", "False": "false"}.get(text, text))
    except json.JSONDecodeError:
        return text
