"""Checks of arguments. Each error message names the argument, its value and what was wanted."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TypeVar

__all__ = ["at_least", "choice", "decay", "in_range", "positive", "share", "suggestion"]

Number = TypeVar("Number", int, float)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for the nearest known word, or nothing.

    >>> suggestion("vea", ["vae", "wgan"])
    " (did you mean 'vae'?)"
    """
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{near[0]}'?)" if near else ""


def choice(name: str, value: str, known: Iterable[str]) -> str:
    """Return `value` if it is one of `known`; else raise ValueError with the nearest one.

    >>> choice("likelihood", "gausian", ["bernoulli", "gaussian"])
    Traceback (most recent call last):
    ValueError: likelihood: got 'gausian', wanted one of bernoulli, gaussian (did you mean 'gaussian'?)
    """
    known = list(known)
    if value not in known:
        raise ValueError(f"{name}: got '{value}', wanted one of {', '.join(known)}{suggestion(str(value), known)}")
    return value


def positive(name: str, value: Number) -> Number:
    """Return `value` if it is greater than zero; else raise ValueError.

    >>> positive("steps", -3)
    Traceback (most recent call last):
    ValueError: steps: got -3, wanted a number greater than 0
    """
    if not value > 0:
        raise ValueError(f"{name}: got {value}, wanted a number greater than 0")
    return value


def at_least(name: str, value: Number, low: Number) -> Number:
    """Return `value` if it is not below `low`; else raise ValueError.

    >>> at_least("warmup", -3, 0)
    Traceback (most recent call last):
    ValueError: warmup: got -3, wanted a number of at least 0
    """
    if not value >= low:
        raise ValueError(f"{name}: got {value}, wanted a number of at least {low}")
    return value


def in_range(name: str, value: Number, low: Number, high: Number) -> Number:
    """Return `value` if low ≤ value ≤ high; else raise ValueError.

    >>> in_range("momentum", 1.5, 0.0, 1.0)
    Traceback (most recent call last):
    ValueError: momentum: got 1.5, wanted a number from 0.0 to 1.0
    """
    if not low <= value <= high:
        raise ValueError(f"{name}: got {value}, wanted a number from {low} to {high}")
    return value


def decay(name: str, value: float) -> float:
    """Return `value` if it is a decay of a running average, 0 ≤ value < 1; else raise ValueError.

    >>> decay("ema", 2.0)
    Traceback (most recent call last):
    ValueError: ema: got 2.0, wanted a decay in [0, 1)
    """
    if not 0.0 <= value < 1.0:
        raise ValueError(f"{name}: got {value}, wanted a decay in [0, 1)")
    return value


def share(name: str, value: float) -> float:
    """Return `value` if it is a share that is not empty, 0 < value ≤ 1; else raise ValueError.

    >>> share("swa", 0.0)
    Traceback (most recent call last):
    ValueError: swa: got 0.0, wanted a share in (0, 1]
    """
    if not 0.0 < value <= 1.0:
        raise ValueError(f"{name}: got {value}, wanted a share in (0, 1]")
    return value
