"""Thalweg: train, sample, measure and compare the classic deep networks.

Rooms are imported when they are first named, so that `import thalweg` costs no torch.
"""

import importlib

# `python -m thalweg` runs this file before __main__ takes the current folder off the path: a file types.py or
# __future__.py there would be imported.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

__version__ = "0.2.0"

_ROOMS = (
    "checks",
    "comparison",
    "config",
    "data",
    "evaluation",
    "models",
    "nn",
    "objectives",
    "problems",
    "randomness",
    "recipes",
    "training",
)
__all__ = ["__version__", *_ROOMS]


def __getattr__(name: str) -> "ModuleType":
    if name in _ROOMS:
        return importlib.import_module(f"thalweg.{name}")
    raise AttributeError(f"module 'thalweg' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
