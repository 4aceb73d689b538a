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
) -> SampleResult:
    """Return `n` samples of a run's model: a function of the seed.

    `temperature` scales the spread of the latent noise; `truncation` keeps each latent coordinate within that many
    standard deviations; `label` is the class to draw. Raises ValueError for a setting that the model does not have.
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
    return SampleResult(draw(model.to(place), n, seed, **settings), opened.spec, seed)


def draw(model: Samples, n: int, seed: int, label: int | None = None, **settings: Any) -> np.ndarray[Any, Any]:
    """Return `n` raw samples `(n, *shape)`, drawn in evaluation mode; of the class with index `label`, if given."""
    import numpy as np
    import torch

    from thalweg.evaluation.examples import frozen, seeded
    from thalweg.randomness import generator

    parts = []
    with frozen(model) as device:
        for start in range(0, n, BATCH):
            source, count = generator(seed, "sample", start, device=device), min(BATCH, n - start)
            if label is not None:
                settings["y"] = torch.full((count,), label, device=device)
            with seeded(seed, "sample", start, device=device):
                part = model.sample(count, generator=source, **settings)
            parts.append(torch.as_tensor(part).cpu().numpy())
    return np.concatenate(parts)
