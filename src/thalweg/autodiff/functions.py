"""Elementary functions of `Var` objects, with their derivatives."""

from __future__ import annotations

import math

from thalweg.autodiff.graph import Var, as_var

__all__ = ["cos", "cosh", "exp", "log", "relu", "sigmoid", "sin", "sinh", "sqrt", "tanh"]


def exp(x: Var | float) -> Var:
    """Return eˣ."""
    x = as_var(x)
    value = math.exp(x.value)
    return Var(value, "exp", (x,), (value,))


def log(x: Var | float) -> Var:
    """Return the natural logarithm. Raises ValueError for numbers that are not positive.

    >>> round(log(2.0).value, 6)
    0.693147
    """
    x = as_var(x)
    if not x.value > 0:
        raise ValueError(f"log: got {x.value}, wanted a number greater than 0")
    return Var(math.log(x.value), "log", (x,), (1 / x.value,))


def sqrt(x: Var | float) -> Var:
    """Return √x, whose derivative is 1/(2√x). Raises ValueError for numbers that are not positive."""
    x = as_var(x)
    if not x.value > 0:
        raise ValueError(f"sqrt: got {x.value}, wanted a number greater than 0")
    value = math.sqrt(x.value)
    return Var(value, "sqrt", (x,), (1 / (2 * value),))


def sin(x: Var | float) -> Var:
    """Return the sine."""
    x = as_var(x)
    return Var(math.sin(x.value), "sin", (x,), (math.cos(x.value),))


def cos(x: Var | float) -> Var:
    """Return the cosine."""
    x = as_var(x)
    return Var(math.cos(x.value), "cos", (x,), (-math.sin(x.value),))


def sinh(x: Var | float) -> Var:
    """Return the hyperbolic sine."""
    x = as_var(x)
    return Var(math.sinh(x.value), "sinh", (x,), (math.cosh(x.value),))


def cosh(x: Var | float) -> Var:
    """Return the hyperbolic cosine."""
    x = as_var(x)
    return Var(math.cosh(x.value), "cosh", (x,), (math.sinh(x.value),))


def tanh(x: Var | float) -> Var:
    """Return the hyperbolic tangent."""
    x = as_var(x)
    value = math.tanh(x.value)
    return Var(value, "tanh", (x,), (1 - value**2,))


def sigmoid(x: Var | float) -> Var:
    """Return 1/(1 + e⁻ˣ)."""
    x = as_var(x)
    value = 1 / (1 + math.exp(-x.value)) if x.value >= 0 else math.exp(x.value) / (1 + math.exp(x.value))
    return Var(value, "sigmoid", (x,), (value * (1 - value),))


def relu(x: Var | float) -> Var:
    """Return max(x, 0); its derivative at 0 is taken to be 0."""
    x = as_var(x)
    return Var(max(x.value, 0.0), "relu", (x,), (1.0 if x.value > 0 else 0.0,))
