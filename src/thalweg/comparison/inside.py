"""What a trained classifier of images looks at: maps of a few test images, and their nearest training images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from thalweg.abilities import Classifies, has_ability
from thalweg.evaluation import Findings
from thalweg.evaluation.estimates.figures import ImageGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thalweg.data import Dataset
    from thalweg.interpretability import Explanation, Probe
    from thalweg.recipes.runs import Opened

__all__ = ["inside"]

IMAGES, NEIGHBORS = 6, 3


def inside(opened: Opened, dataset: Dataset, split: str, seed: int) -> Findings:
    """Return figures of the section "inside": the first six images of the split with the saliency and the occlusion map
    of the model, and for each image its nearest training images by the activations of the last hidden layer.

    The training images are at most 2,000, chosen by the seed. It never raises: where a method fails, the reason is in
    the table "inside". It is empty for models that do not classify images.
    """
    spec = dataset.spec
    findings = Findings()
    if spec.kind != "image" or not spec.levels or not has_ability(opened.model, Classifies):
        return findings
    part = dataset.split(split)
    raw = np.array(part.x[:IMAGES])
    top, names = spec.levels - 1, spec.classes
    x = torch.from_numpy(raw.astype(np.float32)) / top
    reasons: dict[str, str] = {}

    def attempt(what: str, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # a defective model may raise anything, and the measures do not need this section
            reasons[what] = " ".join(str(error).split()) or type(error).__name__

    def show(values: NDArray[Any], caption: str, panel: str = "saliency and occlusion") -> None:
        findings.figures.append(ImageGrid("inside", values, panel=panel, caption=caption))

    def maps() -> None:
        from thalweg.interpretability import Probe

        probe = Probe.of(opened)
        attempt("saliency", lambda: saliency(probe))
        attempt("occlusion", lambda: show(_signed(probe.occlusion(x).extra["attribution"], top), "occlusion"))
        attempt("nearest training images", lambda: nearest(probe))

    def saliency(probe: Probe) -> None:
        found = probe.saliency(x)
        show(raw, _predictions(found, part.y, names))
        show(_scaled(found.values, top), "saliency")

    def nearest(probe: Probe) -> None:
        from thalweg.interpretability.methods import last_hidden, searched

        images = searched(dataset.trained_on.train.x, top + 1, seed)
        found = probe.neighbors(x, images, last_hidden(probe, x), k=NEIGHBORS)
        for j, caption in enumerate(("nearest", "second nearest", "third nearest")[: found.values.shape[1]]):
            shown = images[found.values[:, j]].numpy() * top
            show(np.rint(shown).astype(raw.dtype), caption, "nearest training images")

    attempt("saliency, occlusion and nearest training images", maps)
    if reasons:
        findings.tables["inside"] = reasons
    return findings


def _scaled(maps: Tensor, top: int) -> NDArray[Any]:
    """Return maps (B, H, W) as gray images (B, 1, H, W) of the levels 0..top, each scaled by itself."""
    from thalweg.interpretability.result import normalized

    return np.asarray(normalized(maps.numpy()) * top, dtype=np.float32)


def _signed(maps: Tensor, top: int) -> NDArray[Any]:
    """Return maps (B, H, W) as gray images with 0 in the middle, each scaled by its largest absolute value.

    >>> _signed(torch.tensor([[[0.0, 2.0, -1.0]]]), top=4).ravel().tolist()
    [2.0, 4.0, 1.0]
    """
    largest = maps.abs().amax((1, 2), keepdim=True)
    return np.asarray(((0.5 + maps / (2 * largest.clamp(min=1e-30))) * top)[:, None].numpy(), dtype=np.float32)


def _predictions(found: Explanation, y: NDArray[Any] | None, names: tuple[str, ...] | None) -> str:
    """Return "label → predicted class" of each image."""
    assert found.target is not None
    predicted = [names[k] if names else str(k) for k in found.target]
    if y is None or names is None:
        return f"predicted: {', '.join(predicted)}"
    labels = [names[int(k)] for k in y[: len(predicted)]]
    pairs = [b if a == b else f"{b} (label {a})" for a, b in zip(labels, predicted, strict=True)]
    return f"predicted: {', '.join(pairs)}"
