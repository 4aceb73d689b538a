"""Figures that measures return beside their values, and that a report draws."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thalweg.data.dataset import Spec

__all__ = ["Axis", "Curve", "Figure", "ImageGrid", "Matrix", "Scatter", "drawable", "from_json"]

Layout = Literal["grid", "pairs", "paths"]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """An axis with its label and scale; without a `range`, it is that of the values."""

    label: str
    range: tuple[float, float] | None = None
    scale: Literal["linear", "log2"] = "linear"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A line of one model: `y` over `x`, optionally with the ends of its intervals, `low` and `high`.

    Curves of different models with the same section, panel and axes are drawn in one chart. `sizes` are the relative
    sizes of marks at the points; `diagonal` adds the line y = x; `legend` is written after the model's name.
    """

    section: str
    panel: str
    x_axis: Axis
    y_axis: Axis
    x: list[float]
    y: list[float]
    low: list[float] | None = None
    high: list[float] | None = None
    sizes: list[float] | None = None
    diagonal: bool = False
    legend: str = ""


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Counts (rows, columns) with the names of both; `details` are the rows of a table below."""

    section: str
    panel: str
    rows: list[str]
    columns: list[str]
    values: list[list[float]]
    caption: str = ""
    details: list[dict[str, Any]]


@dataclass(frozen=True)
class ImageGrid:
    """Raw images: a "grid" (n, C, H, W), "pairs" (n, 2, C, H, W), or "paths" (rows, steps, C, H, W).

    Grids with a `caption` are rows of images; those of the same `panel` are drawn together.
    """

    section: str
    values: NDArray[Any]
    layout: Layout = "grid"
    panel: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Scatter:
    """Points of the plane: a "grid" (n, 2), "pairs" (n, 2, 2), or "paths" (rows, steps, 2)."""

    section: str
    values: NDArray[Any]
    layout: Layout = "grid"


Figure = Curve | Matrix | ImageGrid | Scatter
TYPES: dict[str, type[Curve | Matrix]] = {"curve": Curve, "matrix": Matrix}


def drawable(section: str, values: NDArray[Any], spec: Spec, layout: Layout = "grid") -> list[Figure]:
    """Return raw examples `values` as a figure, if they are images or points of the plane; otherwise an empty list."""
    if not len(values):
        return []
    if spec.kind == "image":
        return [ImageGrid(section, values, layout)]
    if spec.kind == "vector" and math.prod(spec.shape) == 2:
        return [Scatter(section, values.reshape(*values.shape[: values.ndim - len(spec.shape)], 2), layout)]
    return []


def to_json(figure: Curve | Matrix) -> dict[str, Any]:
    """Return a figure without arrays as what `json.dumps` takes."""
    return {"type": next(name for name, kind in TYPES.items() if isinstance(figure, kind)), **asdict(figure)}


def from_json(document: Mapping[str, Any]) -> Curve | Matrix:
    """Return the figure that `to_json` described; null becomes NaN.

    >>> axes = {"x_axis": Axis(label="K", range=(1, 2)), "y_axis": Axis(label="bound, nats")}
    >>> curve = Curve(section="bounds", panel="", x=[1.0], y=[-2.0], **axes)
    >>> from_json(to_json(curve)) == curve
    True
    """
    fields = {name: value for name, value in document.items() if name != "type"}
    for name in ("x_axis", "y_axis"):
        if name in fields:
            axis = Axis(**fields[name])
            fields[name] = Axis(**(asdict(axis) | {"range": None if axis.range is None else tuple(axis.range)}))
    for name in ("x", "y", "low", "high", "sizes"):
        if fields.get(name) is not None:
            fields[name] = [math.nan if value is None else float(value) for value in fields[name]]
    return TYPES[document["type"]](**fields)
