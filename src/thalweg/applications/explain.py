"""Looking inside a network by name: a run or a user's own module, images of files or of data, and a method."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.checks import choice
from thalweg.config import DataConfig
from thalweg.data.images import read_image
from thalweg.interpretability.methods import METHODS, Subject, explain, searched
from thalweg.interpretability.probe import Probe

if TYPE_CHECKING:
    from thalweg.data import Dataset
    from thalweg.interpretability.result import Explanation

__all__ = ["Explained", "Viewed", "explain_images", "opened"]

IMAGES = 6  # of the test split, where no index is given


@dataclass(frozen=True)
class Viewed:
    """A network with the data that belong to it, if there are any, and the settings of its images."""

    name: str
    probe: Probe
    config: DataConfig
    data: Callable[[DataConfig | None], Dataset]


@dataclass(frozen=True)
class Explained:
    """The results of methods by their names, for the same images; `failed` are reasons of methods that failed."""

    name: str
    images: tuple[str, ...]
    probe: Probe
    scores: Tensor
    results: dict[str, Explanation]
    failed: dict[str, str]


def opened(source: str) -> Viewed:
    """Return the network of a run folder, or the one that `package.module:factory` returns.

    The attributes `classes`, `normalize` and `shape` of such a module are those of `Probe`. Raises ValueError for a run
    that does not classify images, and for a factory that returns something else than a module.
    """
    if not re.fullmatch(r"[\w.]+:\w+", source) or Path(source).exists():
        from thalweg.recipes.runs import open_run

        run = open_run(source, device="cpu")
        return Viewed(Path(source).resolve().name, Probe.of(run), run.config.data, run.data)
    from thalweg.recipes.factories import made_by

    module = made_by("run", source)
    if not isinstance(module, nn.Module):
        raise ValueError(f"run: got '{source}', which returned {type(module).__name__}, wanted a torch.nn.Module")
    fields: dict[str, Any] = {name: getattr(module, name, None) for name in ("classes", "normalize", "shape")}
    first = next((m for m in module.modules() if isinstance(m, nn.Conv2d)), None)
    gray = {1: "gray", 3: "rgb"}.get(first.in_channels if first else 0)
    config = DataConfig(source=source, channels=gray)  # type: ignore[arg-type]

    def data(other: DataConfig | None) -> Dataset:
        from thalweg.data import load

        if other is None:
            raise ValueError(f"data: got nothing with {source}, wanted the data that the images are taken from")
        return load(other)

    return Viewed(source.partition(":")[2], Probe(module.eval(), **fields), config, data)


def explain_images(
    source: str,
    method: str,
    *,
    files: Sequence[str] = (),
    data: DataConfig | None = None,
    index: Sequence[int] = (),
    layer: str | None = None,
    target: str | None = None,
    log: Callable[[str], None] = lambda message: None,
) -> Explained:
    """Return the result of a method, or of `all` methods for one image.

    Images are the files, else the test examples at the places `index`, by default the first six, of the run's own data
    or of `data`. Of all methods, those that do not apply to the network have the reason in `failed`.

    Raises ValueError for unknown methods, layers, classes and images, and for a method that does not apply.
    """
    every = choice("method", method, [*METHODS, "all"]) == "all"
    if files and index:
        raise ValueError(f"index: got {index[0]} with image files, wanted one of both")
    viewed = opened(source)
    known: list[Dataset] = []

    def dataset() -> Dataset:
        if not known:
            known.append(_images_only(viewed.data(data)))
        return known[0]

    if files:
        x, names = _of_files(files, viewed)
    else:
        x, names = _of_data(dataset(), index or range(1 if every else IMAGES))
    if every and len(x) > 1:
        raise ValueError(
            f"{'image' if files else 'index'}: got {len(x)} images, wanted one for the page of all methods"
        )
    scores = _scores(viewed.probe, x)
    if layer is not None:
        viewed.probe.selector(layer)
    if target is not None:
        viewed.probe.targets(scores, target)

    def images() -> Tensor:
        of = dataset()
        assert of.spec.levels
        return searched(of.trained_on.train.x if len(of.trained_on.train) else of.test.x, of.spec.levels)

    results, failed = {}, {}
    for name in METHODS if every else [method]:
        takes = METHODS[name].takes if every else ("layer", "target")
        chosen: dict[str, Any] = {"layer": layer if "layer" in takes else None}
        chosen["target"] = target if "target" in takes and not (every and chosen["layer"]) else None
        if every:
            log(f"{name} ...")
        try:
            results[name] = explain(viewed.probe, name, Subject(x, images, **chosen))
        except (ValueError, ArithmeticError, RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())
            if not every and isinstance(error, RuntimeError):
                raise ValueError(f"method: got {name}, with which the network fails ({reason})") from None
            if not every:
                raise
            failed[name] = reason
    return Explained(viewed.name, tuple(names), viewed.probe, scores, results, failed)


def _images_only(data: Dataset) -> Dataset:
    if data.spec.kind != "image" or not data.spec.levels:
        raise ValueError(f"data: got {data.spec.name} of kind {data.spec.kind}, wanted images")
    return data


def _of_files(files: Sequence[str], viewed: Viewed) -> tuple[Tensor, list[str]]:
    """Return the images of files in [0, 1], and the files' names."""
    shape = viewed.probe.shape
    wanted = (int(shape[0]), int(shape[1]), int(shape[2])) if shape else None
    arrays = [read_image(Path(file), viewed.config, wanted) for file in files]
    for file, array in zip(files, arrays, strict=True):
        if array.shape != arrays[0].shape:
            raise ValueError(
                f"image: got '{file}' of shape {array.shape} and '{files[0]}' of shape {arrays[0].shape}, wanted one"
                " shape, or the attribute `shape` of the module, to which images are resized"
            )
    return torch.from_numpy(np.stack(arrays).astype(np.float32)) / 255, list(files)


def _of_data(data: Dataset, index: Sequence[int]) -> tuple[Tensor, list[str]]:
    """Return the test examples at these places in [0, 1], and their names."""
    n = len(data.test)
    if not n:
        raise ValueError(f"data: got {data.spec.name} without test examples, wanted some")
    for i in index if isinstance(index, list) else ():
        if not 0 <= i < n:
            raise ValueError(f"index: got {i}, wanted a test example of {data.spec.name} from 0 to {n - 1}")
    rows = [i for i in index if i < n]
    assert data.spec.levels
    x = torch.from_numpy(np.array(data.test.x[rows], dtype=np.float32)) / (data.spec.levels - 1)
    labels = [""] * len(rows)
    if data.test.y is not None and data.spec.classes:
        labels = [f" ({data.spec.classes[int(data.test.y[i])]})" for i in rows]
    return x, [f"test example {i}{label}" for i, label in zip(rows, labels, strict=True)]


def _scores(probe: Probe, x: Tensor) -> Tensor:
    """Return the scores of the images; an error of the network itself becomes one line."""
    from thalweg.interpretability.state import frozen

    x = probe.images(x)
    try:
        with frozen(probe.model), torch.no_grad():
            return torch.cat([probe.scores(one[None]) for one in x]).cpu()
    except (ValueError, FloatingPointError):
        raise
    except Exception as error:  # a user's network may raise any exception
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise ValueError(
            f"image: got images of shape {tuple(x.shape[1:])}, with which the network fails ({reason}); wanted those of"
            " its own size, or the attribute `shape` of the module"
        ) from None
