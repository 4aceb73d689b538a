"""Randomness as a function of (seed, name, step), never a state to be rescued.

All random numbers of the library come from generators seeded by `fold`. A run that is killed and resumed therefore
draws the same numbers as one that is not, and no checkpoint has to hold the state of a generator.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["fold", "generator"]


def fold(seed: int, *names: str | int) -> int:
    """Return a seed in [0, 2⁶³) derived from a seed and a path of names.

    Distinct paths have independent seeds; the type and position of each name count, so `(1, "2")` is not `("12",)`.

    >>> fold(0, "noise", 3) == fold(0, "noise", 3)
    True
    >>> fold(0, "noise", 3) == fold(0, "noise", "3")
    False
    """
    digest = hashlib.blake2b(repr((seed, *names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a new generator on `device`, seeded by `fold(seed, *names)`.

    >>> import torch
    >>> a, b = (torch.rand(3, generator=generator(0, "noise", 3)) for _ in range(2))
    >>> bool((a == b).all())
    True
    """
    import torch

    return torch.Generator(device).manual_seed(fold(seed, *names))
