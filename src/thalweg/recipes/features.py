"""The features that samples are compared by: raw values, a small network trained on the data, or another network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from thalweg.checks import suggestion
from thalweg.recipes.factories import made_by

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from thalweg.data import Dataset, Spec

__all__ = ["Extractor", "features_for"]

CHUNK = 32  # images per pass through Inception, whose feature maps are large


class Extractor(NamedTuple):
    """A function from raw examples `(B, *shape)` to features (B, d), and its name in the results."""

    name: str
    extract: Callable[[Tensor], Tensor]


def features_for(
    dataset: Dataset,
    choice: str | None = None,
    *,
    cache: Path | str | None = None,
    device: torch.device | str = "cpu",
    log: Callable[[str], None] = lambda message: None,
) -> Extractor | None:
    """Return the features by which examples of `dataset` are compared; None means the raw values.

    `choice` is "auto" (or None) for the raw columns of vectors and the `feature_network` of images of at least 8×8;
    "pixels" for raw values; a path of Inception's weights, .pth or .pt (the published FID network; see `Inception`); or
    "package.module:factory", a function without arguments that returns a function from raw examples `(B, *shape)` to
    features (B, d).

    Raises ValueError for an unknown choice, for weights that cannot be read and for a factory that fails.

    >>> from thalweg.data import load
    >>> from thalweg.config import DataConfig
    >>> features_for(load(DataConfig(source="moons", examples=100))) is None
    True
    """
    spec, image = dataset.spec, dataset.spec.kind == "image"
    if choice == "pixels" or (choice in (None, "auto") and not (image and min(spec.shape[1:]) >= 8)):
        return None
    if choice in (None, "auto"):
        from thalweg.recipes.feature_network import feature_network

        name, network = feature_network(dataset, cache=cache, device=device, log=log)
        return Extractor(name, lambda x: network(x.to(device)))
    if choice.endswith((".pth", ".pt")):
        return _inception(Path(choice), spec, device)
    if ":" in choice:
        return Extractor(choice, _from_factory(choice))
    known = ["auto", "pixels"]
    raise ValueError(
        f"features: got '{choice}', wanted one of {', '.join(known)}, a package.module:factory, or a file of weights "
        f".pth{suggestion(choice, known)}"
    )


def _inception(path: Path, spec: Spec, device: torch.device | str) -> Extractor:
    import torch

    from thalweg.models.classifiers.inception import read_inception

    if spec.kind != "image" or spec.levels is None:
        raise ValueError(f"features: got '{path}' with data '{spec.name}' of kind {spec.kind}, wanted images")
    network = read_inception(path, spec.levels).to(device)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()

    def extract(x: Tensor) -> Tensor:
        return torch.cat([network(part.to(device)) for part in x.split(CHUNK)])

    return Extractor(f"Inception-v3 (sha256 {digest[:12]})", extract)


def _from_factory(choice: str) -> Callable[[Tensor], Tensor]:
    """Return the result of the factory named package.module:factory."""
    factory_result: Callable[[Tensor], Tensor] = made_by("features", choice)
    if not callable(factory_result):
        raise ValueError(f"features: got '{choice}', which returned {type(factory_result).__name__}, wanted a callable")
    return factory_result
