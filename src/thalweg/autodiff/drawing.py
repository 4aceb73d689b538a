"""Drawings of a graph with the value and the derivative of each node: as DOT text, or as a picture."""

from __future__ import annotations

from typing import Any

from thalweg.autodiff.graph import Var, nodes
from thalweg.autodiff.modes import adjoints

__all__ = ["draw", "to_dot"]


def _labels(output: Var) -> dict[Var, str]:
    slopes = adjoints(output)
    return {
        node: f"{node.name or (f'{node.value:g}' if node.op == 'constant' else node.op)}\nvalue {node.value:.6g}\n"
        f"adjoint {slopes[node]:.6g}"
        for node in nodes(output)
    }


def to_dot(output: Var) -> str:
    """Return the graph in the DOT language of Graphviz, with values and adjoints.

    >>> print(to_dot(Var(2.0, name="x") * 3))
    digraph {
      0 [label="x\\nvalue 2\\nadjoint 3"]
      1 [label="3\\nvalue 3\\nadjoint 2"]
      2 [label="×\\nvalue 6\\nadjoint 1"]
      0 -> 2
      1 -> 2
    }
    """
    number = {node: i for i, node in enumerate(nodes(output))}
    labels = _labels(output)
    text = {node: label.replace('"', "'").replace("\n", "\\n") for node, label in labels.items()}
    lines = [f'  {i} [label="{text[node]}"]' for node, i in number.items()]
    lines += [f"  {number[source]} -> {i}" for node, i in number.items() for source in node.inputs]
    return "\n".join(["digraph {", *lines, "}"])


def draw(output: Var, axes: Any = None) -> Any:
    """Draw the graph from left to right, with values and adjoints, and return the matplotlib axes.

    A node stands one column to the right of the last of its inputs, and an input one column before its first use.
    """
    order, column = nodes(output), dict[Var, int]()
    for node in order:
        column[node] = 1 + max((column[source] for source in node.inputs), default=-1)
    for node in order:
        if not node.inputs:
            column[node] = min((column[user] for user in order if node in user.inputs), default=1) - 1
    if axes is None:
        from matplotlib.figure import Figure

        axes = Figure(figsize=(2.1 * (1 + max(column.values())), 3.2), layout="constrained").add_subplot()
    members: dict[int, list[Var]] = {}
    for node in order:
        members.setdefault(column[node], []).append(node)
    place = {
        node: (c, (len(group) - 1) / 2 - i + 0.6 * (c % 2))
        for c, group in members.items()
        for i, node in enumerate(group)
    }
    box = {"boxstyle": "round", "facecolor": "#e8eef5", "edgecolor": "#4a7ba6"}
    texts = {
        node: axes.text(*place[node], label, ha="center", va="center", fontsize=8, bbox=box, zorder=3)
        for node, label in _labels(output).items()
    }
    axes.set_xlim(-0.6, max(column.values()) + 0.6)
    heights = [y for _, y in place.values()]
    axes.set_ylim(min(heights) - 0.6, max(heights) + 0.6)
    axes.set_axis_off()
    axes.figure.draw_without_rendering()  # the sizes of the boxes, at which the arrows end
    for node in order:
        for source in node.inputs:
            ends = {"patchA": texts[source].get_bbox_patch(), "patchB": texts[node].get_bbox_patch()}
            arrow = {"arrowstyle": "-|>", "color": "gray", "shrinkA": 0, "shrinkB": 1, **ends}
            axes.annotate("", place[node], place[source], arrowprops=arrow)
    return axes
