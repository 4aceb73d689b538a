"""Samples drawn from a trained model."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.applications.ability import require
from thalweg.recipes.runs import Opened

if TYPE_CHECKING:
    import numpy as np

    from thalweg.abilities import Samples
    from thalweg.data import Spec
    from thalweg.training.progress import Progress

__all__ = ["SampleResult", "draw", "sample"]

BATCH = 500


@dataclass(frozen=True)
class SampleResult:
    """Samples `x` `(n, *shape)`, in raw units, of data described by `spec`."""

    x: np.ndarray[Any, Any]
    spec: Spec
    seed: int

    def save(self, path: Path | str) -> None:
        """Write the samples as a picture (.png), raw values (.npz, .csv) or text (.txt), as the suffix says.

        Raises ValueError if samples of this kind cannot be written so.
        """
        from thalweg.applications.files import check_fits, write_values

        check_fits(Path(path), self.spec)
        write_values(Path(path), self.x, self.spec)


def sample(
    opened: Opened,
    n: int = 64,
    *,
    seed: int = 0,
    temperature: float | None = None,
    truncation: float | None = None,
    label: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> SampleResult:
    """Return `n` samples of a run's model: a function of the seed.

    `temperature` scales the spread of the latent noise; `truncation` keeps each latent coordinate within that many
    standard deviations; `label` is the class to draw. Raises ValueError for a setting that the model does not have, and
    for more samples than fit into the free memory.
    """
    from thalweg import abilities
    from thalweg.checks import choice, positive
    from thalweg.devices import resolve_device

    positive("n", n)
    place, model, recipe = resolve_device(device), require(opened, abilities.Samples), opened.config.recipe
    settings: dict[str, Any] = {}
    for name, value in (("temperature", temperature), ("truncation", truncation)):
        if value is not None:
            if name not in inspect.signature(model.sample).parameters:
                raise ValueError(f"{name}: got {value}, but {recipe} has none")
            settings[name] = positive(name, value)
    if label is not None:
        if "y" not in inspect.signature(model.sample).parameters or not model.classes:
            raise ValueError(
                f"label: got '{label}', but this {recipe} is not conditioned on classes, "
                "wanted one trained with --conditional"
            )
        classes = opened.spec.classes or ()
        settings["label"] = classes.index(choice("label", label, classes))
    return SampleResult(draw(model.to(place), n, seed, progress=progress, **settings), opened.spec, seed)


def draw(
    model: Samples, n: int, seed: int, label: int | None = None, progress: Progress | None = None, **settings: Any
) -> np.ndarray[Any, Any]:
    """Return `n` raw samples `(n, *shape)`, drawn in evaluation mode; of the class with index `label`, if given.

    The progress display counts samples. Raises ValueError where the samples would not fit into the free memory.
    """
    import numpy as np
    import torch

    from thalweg.devices import free_memory
    from thalweg.evaluation.examples import frozen, seeded
    from thalweg.randomness import generator

    result = np.empty(0)
    if progress is not None:
        progress.start("samples", 0, n)
    with frozen(model) as device:
        for start in range(0, n, BATCH):
            source, count = generator(seed, "sample", start, device=device), min(BATCH, n - start)
            if label is not None:
                settings["y"] = torch.full((count,), label, device=device)
            with seeded(seed, "sample", start, device=device):
                part = torch.as_tensor(model.sample(count, generator=source, **settings)).cpu().numpy()
            if start == 0:
                room, size = free_memory(), part.nbytes // count
                if n * size > room:
                    raise ValueError(
                        f"n: got {n:,} samples of {size:,} bytes each, which need {n * size / 2**30:,.1f} GiB;"
                        f" wanted at most {room // size:,}, which fit into the free memory"
                    )
                result = np.empty((n, *part.shape[1:]), part.dtype)
            result[start : start + count] = part
            if progress is not None:
                progress.update(start + count, {}, n)
    if progress is not None:
        progress.close()
    return result
