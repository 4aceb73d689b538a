"""Runs from beginning to end: the functions behind `thalweg train` and `resume`, and for reading run folders."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.checks import suggestion
from thalweg.config import DataConfig, RunConfig, coerce, from_json, keyword_options, to_json
from thalweg.data.dataset import Dataset, Spec, Split
from thalweg.randomness import fold
from thalweg.recipes import builder, recipe

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from thalweg.training import Run, RunFolder, Sources, Stage
    from thalweg.training.distributed import World
    from thalweg.training.progress import Progress

__all__ = ["Opened", "build", "check_options", "cost", "open_run", "own_data", "resume", "run_header", "train"]


def check_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return every option of the recipe, by default its default; raise ValueError for others, by name."""
    known = keyword_options(builder(name))
    for option in options:
        if option not in known:
            raise ValueError(f"{name}: unknown option '{option}'{suggestion(option, known)}")
    return {o: coerce(o, options.get(o, default), hint) for o, (hint, default) in known.items()}


def build(config: RunConfig, spec: Spec) -> Run:
    """Return the run that `config` describes for data of that `spec`, with weights drawn from the seed."""
    import torch

    function, options = builder(config.recipe), check_options(config.recipe, config.options)
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(fold(config.train.seed, "weights"))
        run: Run = function(spec, **options)
    return run.configured(config.train)


def train(
    config: RunConfig,
    folder: Path | str,
    *,
    overwrite: bool = False,
    dataset: Dataset | None = None,
    progress: Progress | None = None,
    warn: Callable[[str], None] | None = None,
) -> Path:
    """Train `config` from the beginning into a new run folder, and return its path.

    `dataset` is trained on in place of the data of the configuration, of which it is a variant.

    Nothing is written before the settings, the data and the model have been checked. Raises ValueError for mistakes of
    the caller, and the errors of `thalweg.training.train`.
    """
    from thalweg.data import load
    from thalweg.data.subsets import spec_of_training, with_share
    from thalweg.devices import resolve_device, resolve_precision
    from thalweg.training import RunFolder

    recipe(config.recipe)
    folder = Path(folder)
    first = _first_process()
    if first:
        RunFolder.check(folder, overwrite=overwrite)
    device = resolve_device(config.train.device)
    if config.train.precision == "auto" and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError("precision: got auto for several processes, which may differ, wanted float32 or bf16")
    precision: Any = resolve_precision(config.train.precision, device)
    settings = replace(config.train, precision=precision)
    config = replace(config, options=check_options(config.recipe, config.options), train=settings)
    dataset = with_share(dataset or load(config.data), settings.share, settings.seed)
    spec = dataset.spec if dataset.share is None else spec_of_training(dataset)
    run = build(config, spec)
    _check_classes(run.model, dataset)
    header = run_header(config, spec, folder, device)
    opened = RunFolder.create(folder, header, overwrite=overwrite) if first else None
    try:
        _train(run, dataset, config, opened, progress, warn)
    finally:
        if opened:
            opened.close()
    return folder


def run_header(config: RunConfig, spec: Spec, folder: Path, device: torch.device) -> dict[str, Any]:
    """Return the content of `run.json` of a new run that is computed on the device."""
    from thalweg import __version__
    from thalweg.devices import numerics

    return {
        "thalweg": __version__,
        "python": platform.python_version(),
        "numerics": numerics(device),
        "config": to_json(config),
        "spec": to_json(spec),
        "data_from_run": _relative(config.data.source, folder),
    }


def _check_classes(model: nn.Module, dataset: Dataset) -> None:
    """Raise ValueError for a classifier whose training examples are all of one class."""
    import numpy as np

    from thalweg.abilities import Classifies, has_ability

    y, names = dataset.train.y, dataset.spec.classes
    if names and y is not None and has_ability(model, Classifies) and len(known := np.unique(y)) < 2:
        raise ValueError(
            f"data: got training examples of the class '{names[int(known[0])]}' only, all others are in the validation"
            " or test split; wanted at least 2 classes: another --data-seed, or another --split-by"
        )


def resume(
    folder: Path | str,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    data: str | None = None,
    dataset: Dataset | None = None,
    progress: Progress | None = None,
    warn: Callable[[str], None] | None = None,
) -> Path:
    """Resume a run exactly where it stopped; `steps` or `minutes` replace its budget by a new total.

    `data` is the present path of the data; `dataset` is the variant that `train` was given, if it was given one. Raises
    ValueError where their fingerprint is not that of the run.
    """
    from thalweg.training import RunFolder
    from thalweg.training.checkpoint import checkpoints
    from thalweg.training.loop import to_stderr

    folder = Path(folder)
    config, spec = _read(folder)
    if "combined" in RunFolder.read(folder):
        raise ValueError(
            f"run: got {folder}, which `thalweg ensemble` combined from trained runs and which is not trained further; "
            "wanted a run of `thalweg train`"
        )
    if data is not None:
        config = replace(config, data=replace(config.data, source=data))
    if (folder / "model.safetensors").exists() and not checkpoints(folder / "checkpoints", "step"):
        raise ValueError(
            f"run: got {folder}, which has a model but no checkpoints to resume from, as a run that was shared; "
            "wanted a run folder with its checkpoints"
        )
    changed = steps is not None or minutes is not None or data is not None
    if steps is not None or minutes is not None:
        config = replace(config, train=replace(config.train, steps=steps, minutes=minutes, examples=None))
    if steps is not None:
        done = max((checkpoint.step for checkpoint in checkpoints(folder / "checkpoints", "step")[-1:]), default=0)
        if steps < done:
            raise ValueError(f"steps: got {steps}, wanted at least {done}, which the run has already done")
    with RunFolder.open(folder, hold=_first_process()) as opened:
        dataset = own_data(folder, config, spec, dataset)
        _warn_of_other_numerics(RunFolder.read(folder), config, warn)
        if changed and _first_process():
            changes = {"config": to_json(config), "data_from_run": _relative(config.data.source, folder)}
            opened.write_json("run.json", RunFolder.read(folder) | changes)
        reported = (folder / "report.json").exists()
        _train(build(config, spec), dataset, config, opened, progress, warn)
        if reported and not (folder / "report.json").exists() and _first_process():
            (warn or to_stderr)("the report of the previous model is removed; `thalweg evaluate` writes a new one")
    return folder


@dataclass(frozen=True)
class Opened:
    """A run folder's trained model and what it was trained on."""

    path: Path
    config: RunConfig
    spec: Spec
    model: nn.Module

    def data(self, other: DataConfig | None = None) -> Dataset:
        """Return the data that the model was trained on or, where `other` is given, those data read for this model.

        Other data are read with the run's settings (size of images, label column ...) unless `other` sets them; columns
        are matched by name and classes have the indices of the model. Raises ValueError where the run's own data have
        changed, and where other data do not fit the model.
        """
        from thalweg.data.sources import inherited, load

        if other is None:
            return own_data(self.path, self.config, self.spec)
        return load(inherited(other, self.config.data), self.spec)

    def records(self) -> list[dict[str, Any]]:
        """Return the lines of metrics.jsonl."""
        from thalweg.training.records import read_metrics

        return read_metrics(self.path)


def own_data(folder: Path, config: RunConfig, spec: Spec, dataset: Dataset | None = None) -> Dataset:
    """Return the data of a run, read again unless they are given; raise ValueError where their fingerprint differs."""
    from thalweg.data.sources import SOURCES, load
    from thalweg.data.subsets import with_share
    from thalweg.training import RunFolder

    data = config.data
    if data.source not in SOURCES and not Path(data.source).expanduser().exists():
        beside = RunFolder.read(folder).get("data_from_run")
        if isinstance(beside, str) and (folder / beside).exists():  # the folder moved, and its data with it
            data = replace(data, source=os.path.normpath(folder / beside))
    dataset = dataset or load(data)
    if dataset.spec.fingerprint != spec.fingerprint:
        raise ValueError(
            f"data: got {data.source} with fingerprint {dataset.spec.fingerprint}, wanted {spec.fingerprint}, which the"
            " run was trained on: the data have changed (to measure or score them as other data, name them: `thalweg"
            " evaluate DIR --data D`, `thalweg score DIR INPUT`)"
        )
    return with_share(dataset, config.train.share, config.train.seed)


def _relative(source: str, folder: Path) -> str | None:
    """Return the path from a run folder to data with a relative path, so that both may be moved together."""
    path = Path(source).expanduser()
    return None if path.is_absolute() or not path.exists() else os.path.relpath(path, folder)


def cost(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the cost of a training from its records: steps, seconds and the peak memory in MiB.

    >>> cost([{"stage": 0, "step": 50, "seconds": 2.0, "memory": 300.0}, {"stage": 1, "step": 9, "seconds": 1.0}])
    {'steps': 59, 'seconds': 3.0, 'memory': 300.0}
    """
    last: dict[int, Mapping[str, Any]] = {}
    for record in records:
        if "seconds" in record:
            last[record["stage"]] = record
    return {
        "steps": sum(record["step"] for record in last.values()),
        "seconds": sum(record["seconds"] for record in last.values()),
        "memory": max((record.get("memory", 0.0) for record in records), default=0.0),
    }


def open_run(folder: Path | str, *, device: str = "auto") -> Opened:
    """Return the trained model of a run folder, in evaluation mode. Raises ValueError where training has not ended."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    from thalweg.devices import resolve_device
    from thalweg.training.records import verified

    folder = Path(folder)
    where = resolve_device(device)
    config, spec = _read(folder)
    model = build(config, spec).model
    path = folder / "model.safetensors"
    if not path.is_file():
        raise ValueError(
            f"run: got {folder}, which has no model yet; run `thalweg resume {folder}` first to complete it"
        )
    try:
        model.load_state_dict(load(verified(folder, path.name)))
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"run: got {path}, wanted the tensors of {config.recipe} ({reason})") from None
    return Opened(folder, config, spec, model.to(where).eval())


def _read(folder: Path) -> tuple[RunConfig, Spec]:
    from thalweg.training import RunFolder

    header = RunFolder.read(folder)
    for key in ("config", "spec"):
        if key not in header:
            raise ValueError(f"run: got {folder / 'run.json'} without '{key}'; wanted a run folder")
    return from_json(RunConfig, header["config"]), from_json(Spec, header["spec"])


def _train(
    run: Run,
    dataset: Dataset,
    config: RunConfig,
    folder: RunFolder | None,
    progress: Progress | None,
    warn: Callable[[str], None] | None,
) -> None:
    from thalweg.data import Batches
    from thalweg.devices import resolve_device
    from thalweg.training import Sources
    from thalweg.training import train as train_stages
    from thalweg.training.loop import to_stderr

    settings = config.train
    device = resolve_device(settings.device)
    opened: list[Batches] = []

    def sources(stage: Stage, world: World) -> Sources:
        batches = Batches(
            dataset.train,
            stage.batch_size,
            scheme=stage.scheme,
            seed=fold(settings.seed, "order", stage.name),
            device=device,
            resident=settings.resident,
            threads=settings.threads,
            rank=world.rank,
            world=world.size,
        )
        opened.append(batches)
        return Sources(batches, Chunks(dataset.validation, device))

    try:
        train_stages(run, sources, settings, folder=folder, progress=progress, warn=warn or to_stderr)
    finally:
        for batches in opened:
            batches.close()


class Chunks:
    """The examples of a split with their targets, in order, as tensors on a device, `size` at a time."""

    def __init__(self, split: Split, device: torch.device, size: int = 500) -> None:
        self.split, self.device, self.size = split, device, size

    def __len__(self) -> int:
        return -(-len(self.split) // self.size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        import torch

        x, y = self.split.x, self.split.y  # copied to memory of torch, whose alignment is the same in every process
        for i in range(0, len(x), self.size):
            targets = None if y is None else torch.tensor(y[i : i + self.size])
            yield (
                torch.tensor(x[i : i + self.size]).to(self.device),
                None if targets is None else targets.to(self.device),
            )


def _warn_of_other_numerics(header: Mapping[str, Any], config: RunConfig, warn: Callable[[str], None] | None) -> None:
    """Warn where the last bits of results may differ from those on the machine where the run began."""
    from thalweg.devices import numerics, resolve_device
    from thalweg.training.loop import to_stderr

    before, now = header.get("numerics", {}), numerics(resolve_device(config.train.device))
    changed = [f"{name} {before[name]} then, {now.get(name)} now" for name in before if before[name] != now.get(name)]
    if changed and _first_process():
        (warn or to_stderr)(f"the run is resumed, but not byte for byte as where it began: {'; '.join(changed)}")


def _first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"
