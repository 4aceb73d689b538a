"""Checks of what a problem returns: its losses and diagnostics, and the names under which they are recorded."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypeVar

from torch import Tensor

from thalweg.training.problem import Loss

__all__ = ["VALIDATION", "check_loss", "check_names", "check_type"]

RESERVED = frozenset({"loss", "lr", "stage", "step", "seconds", "memory"})  # keys of a line of the metrics
VALIDATION = "validation/"  # the prefix of the keys of a line after a validation

T = TypeVar("T")


def check_type(name: str, value: object, wanted: type[T]) -> T:
    """Return `value` if it is of the type wanted; else raise TypeError.

    >>> check_type("loss of model", 3.0, Loss)
    Traceback (most recent call last):
    TypeError: loss of model: got float, wanted Loss
    """
    if not isinstance(value, wanted):
        raise TypeError(f"{name}: got {type(value).__name__}, wanted {wanted.__name__}")
    return value


def check_loss(player: str, loss: object, examples: int) -> Loss:
    """Return the loss of a player if it has one value per example; it looks at shapes, never at values.

    Raises TypeError for another type, ValueError for values of another shape.

    >>> import torch
    >>> check_loss("model", Loss(torch.zeros(1)), 16)
    Traceback (most recent call last):
    ValueError: loss of model: got values of shape (1,), wanted (16,), one per example
    """
    loss = check_type(f"loss of {player}", loss, Loss)
    values = check_type(f"values of the loss of {player}", loss.values, Tensor)
    if values.shape != (examples,):
        raise ValueError(
            f"loss of {player}: got values of shape {tuple(values.shape)}, wanted ({examples},), one per example"
        )
    return loss


def check_names(what: str, names: Iterable[str], taken: Collection[str] = ()) -> None:
    """Raise ValueError for names of extras or diagnostics under which the metrics hold something else.

    `taken` are names in use beside the reserved ones.

    >>> check_names("diagnostics", ["rank", "step"])
    Traceback (most recent call last):
    ValueError: diagnostics: got 'step', which the metrics themselves hold; wanted other names
    """
    held = sorted(name for name in names if name in RESERVED or name in taken or name.startswith(VALIDATION))
    if held:
        listed = "', '".join(held)
        raise ValueError(f"{what}: got '{listed}', which the metrics themselves hold; wanted other names")
