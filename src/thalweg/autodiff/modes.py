"""Forward mode and reverse mode: the chain rule along a graph, from the inputs or from the output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from thalweg.autodiff.graph import Var, as_var, nodes

__all__ = ["adjoints", "derivative", "gradient", "multiplications", "tangents"]


def tangents(output: Var, direction: Mapping[Var, float]) -> dict[Var, float]:
    """Return the derivative of every node in a direction of the inputs, in the order of the computation (forward mode).

    ẏ_l = Σ_{i → l} ∂f_l/∂y_i · ẏ_i. Inputs that `direction` does not name have 0.

    >>> x, y = Var(3.0), Var(2.0)
    >>> z = x * y
    >>> tangents(z, {x: 1.0})[z]
    2.0
    """
    result: dict[Var, float] = {}
    for node in nodes(output):
        terms = zip(node.inputs, node.derivatives, strict=True)
        result[node] = direction.get(node, 0.0) + sum(slope * result[source] for source, slope in terms)
    return result


def adjoints(output: Var) -> dict[Var, float]:
    """Return the derivative of the output by every node, in the reverse order (reverse mode, backpropagation).

    g[output] = 1; then, from the last node to the first, g[i] ← g[i] + g[l] · ∂f_l/∂y_i for every input i of node l.

    >>> x = Var(3.0)
    >>> adjoints(x * x)[x]
    6.0
    """
    order = nodes(output)
    result = dict.fromkeys(order, 0.0)
    result[output] = 1.0
    for node in reversed(order):
        for source, slope in zip(node.inputs, node.derivatives, strict=True):
            result[source] += result[node] * slope
    return result


def gradient(f: Callable[..., Var | float], *x: float) -> tuple[float, list[float]]:
    """Return f(x) and its gradient, by one pass of reverse mode.

    >>> gradient(lambda x, y: x * y + y, 3.0, 2.0)
    (8.0, [2.0, 4.0])
    """
    variables = [Var(float(value), name=f"x{i + 1}") for i, value in enumerate(x)]
    output = as_var(f(*variables))
    known = adjoints(output)
    return output.value, [known.get(variable, 0.0) for variable in variables]


def derivative(f: Callable[..., Var | float], x: Sequence[float], direction: Sequence[float]) -> tuple[float, float]:
    """Return f(x) and its derivative in a direction, by one pass of forward mode. Raises ValueError for other lengths.

    >>> derivative(lambda x, y: x * y + y, [3.0, 2.0], [0.0, 1.0])
    (8.0, 4.0)
    """
    if len(x) != len(direction):
        raise ValueError(f"direction: got {len(direction)} numbers, wanted {len(x)}, as many as arguments")
    variables = [Var(float(value), name=f"x{i + 1}") for i, value in enumerate(x)]
    output = as_var(f(*variables))
    return output.value, tangents(output, dict(zip(variables, direction, strict=True)))[output]


def multiplications(sizes: Sequence[int], *, reverse: bool) -> int:
    """Return the multiplications of a product of Jacobians J_L ⋯ J_1, where J_l has shape (sizes[l], sizes[l − 1]).

    Forward mode multiplies from the right, J_L(⋯(J_2 J_1)), with Σ n_l n_{l−1} n_0 products; reverse mode from the
    left, ((J_L J_{L−1})⋯)J_1, with Σ n_L n_l n_{l−1}. Reverse mode is better where the output is smaller than the
    input, as for a loss.

    >>> multiplications([784, 100, 10, 1], reverse=False), multiplications([784, 100, 10, 1], reverse=True)
    (791840, 79400)
    """
    steps = list(zip(sizes[1:], sizes[:-1], strict=True))
    if reverse:
        return sum(sizes[-1] * rows * columns for rows, columns in steps[:-1])
    return sum(rows * columns * sizes[0] for rows, columns in steps[1:])
