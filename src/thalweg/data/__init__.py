"""Data sets: raw examples, what they are (`Spec`), and the order they are drawn in.

Everything but the three record types is imported when it is first named: `import thalweg.data` costs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from thalweg.data.dataset import Dataset, Spec, Split

if TYPE_CHECKING:
    from thalweg.data.augment import Augment
    from thalweg.data.batches import Batches
    from thalweg.data.sources import fetch, info, load, names

__all__ = ["Augment", "Batches", "Dataset", "Spec", "Split", "fetch", "info", "load", "names"]

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
