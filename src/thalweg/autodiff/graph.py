"""Scalars that remember how they were computed: a directed acyclic graph with values and local derivatives."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

__all__ = ["Var", "as_var", "nodes"]


@dataclass(eq=False)
class Var:
    """A number `value`, the operation `op` that gave it, its `inputs`, and the derivative by each of them.

    Arithmetic with other variables or numbers adds nodes to the graph; functions are in `thalweg.autodiff.functions`.

    >>> x = Var(3.0, name="x")
    >>> y = x * x + 1
    >>> y.value, y.op, [node.op for node in y.inputs]
    (10.0, '+', ['×', 'constant'])
    """

    value: float
    op: str = "input"
    inputs: Sequence[Var] = ()
    derivatives: Sequence[float] = ()
    name: str = field(default="")

    def __add__(self, other: Var | float) -> Var:
        b = as_var(other)
        return Var(self.value + b.value, "+", (self, b), (1.0, 1.0))

    def __sub__(self, other: Var | float) -> Var:
        b = as_var(other)
        return Var(self.value - b.value, "−", (self, b), (1.0, -1.0))

    def __mul__(self, other: Var | float) -> Var:
        b = as_var(other)
        return Var(self.value * b.value, "×", (self, b), (b.value, self.value))

    def __truediv__(self, other: Var | float) -> Var:
        b = as_var(other)
        return Var(self.value / b.value, "/", (self, b), (1 / b.value, -self.value / b.value**2))

    def __pow__(self, other: Var | float) -> Var:
        b = as_var(other)
        value = self.value**b.value
        by_base = b.value * self.value ** (b.value - 1) if b.value else 0.0
        by_exponent = value * math.log(self.value) if self.value > 0 else 0.0  # of a constant exponent it is not used
        return Var(value, "power", (self, b), (by_base, by_exponent))

    def __neg__(self) -> Var:
        return Var(-self.value, "negative", (self,), (-1.0,))

    def __radd__(self, other: float) -> Var:
        return as_var(other) + self

    def __rsub__(self, other: float) -> Var:
        return as_var(other) - self

    def __rmul__(self, other: float) -> Var:
        return as_var(other) * self

    def __rtruediv__(self, other: float) -> Var:
        return as_var(other) / self

    def __rpow__(self, other: float) -> Var:
        return as_var(other) ** self


def as_var(value: Var | float) -> Var:
    """Return a number as a constant of the graph; a `Var` is returned as it is."""
    return value if isinstance(value, Var) else Var(float(value), "constant")


def nodes(output: Var) -> list[Var]:
    """Return all nodes that `output` depends on, each after its inputs, and `output` last.

    >>> x = Var(2.0)
    >>> [node.op for node in nodes(x * x + x)]
    ['input', '×', '+']
    """
    order: list[Var] = []
    seen: set[int] = set()
    stack: list[tuple[Var, Iterator[Var]]] = [(output, iter(output.inputs))]
    seen.add(id(output))
    while stack:  # depth first, without recursion: graphs may be deep
        node, rest = stack[-1]
        following = next((child for child in rest if id(child) not in seen), None)
        if following is None:
            order.append(node)
            stack.pop()
        else:
            seen.add(id(following))
            stack.append((following, iter(following.inputs)))
    return order
