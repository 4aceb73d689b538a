"""The latent codes that a trained model gives examples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.applications.ability import require
from thalweg.config import DataConfig
from thalweg.recipes.runs import Opened

if TYPE_CHECKING:
    import numpy as np

__all__ = ["EncodeResult", "encode"]


@dataclass(frozen=True)
class EncodeResult:
    """Latent codes `z` (N, d) of a split of a data set, with class indices `y` (N,) where there are labels."""

    z: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any] | None
    classes: tuple[str, ...] | None
    data: str
    split: str

    def save(self, path: Path | str) -> None:
        """Write the codes and labels as .npz or, with the names of the classes, as .csv."""
        from thalweg.applications.files import write_codes

        write_codes(Path(path), self.z, self.y, self.classes)


def encode(
    opened: Opened,
    data: DataConfig | None = None,
    *,
    split: str = "test",
    batch_size: int = 500,
    device: str = "auto",
) -> EncodeResult:
    """Return the codes of a split of the run's own data, or of other `data` that fit the model."""
    import numpy as np

    from thalweg.abilities import Encodes
    from thalweg.devices import resolve_device
    from thalweg.evaluation.examples import Examples, frozen

    place, model = resolve_device(device), require(opened, Encodes)
    dataset = opened.data(data)
    part = dataset.split(split)
    with frozen(model, place):
        examples = Examples(part.x, batch_size=batch_size, device=place)
        z = np.concatenate([model.encode(x).cpu().numpy() for _, x in examples.batches()])
    return EncodeResult(z, part.y, dataset.spec.classes, dataset.spec.name, split)
