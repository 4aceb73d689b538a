"""Data sets: raw examples, their description (`Spec`), and the order in which they are drawn.

All but the record types is imported on first use, so `import thalweg.data` does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from thalweg.data.dataset import Dataset, Spec, Split, Target, class_target

if TYPE_CHECKING:
    from thalweg.data.augment import Augment
    from thalweg.data.batches import Batches
    from thalweg.data.sources import fetch, info, load, names

__all__ = [
    "Augment",
    "Batches",
    "Dataset",
    "Spec",
    "Split",
    "Target",
    "class_target",
    "fetch",
    "info",
    "load",
    "names",
]

_HOMES = {
    "Augment": "augment", "Batches": "batches", "fetch": "sources", "info": "sources", "load": "sources",
    "names": "sources",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"thalweg.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'thalweg.data' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
