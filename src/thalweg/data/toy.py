"""Distributions in the plane and on the line with exact `log_prob`, to compare models with the truth.

All are within `[-extent, extent]` along each axis up to a mass below 1e-5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from thalweg.checks import choice
from thalweg.data.densities import Checkerboard, Curves, Density, Mixture, Pinwheel, Rings

__all__ = ["DENSITIES", "Density", "density"]


def density(name: str) -> Density:
    """Return the density of that name. Raises ValueError with the most similar name for an unknown one.

    >>> density("moons").sample(3, seed=0).shape
    (3, 2)
    """
    return DENSITIES[choice("density", name, DENSITIES)]


def _equal(name: str, means: Sequence[Sequence[float]], std: float, extent: float) -> Mixture:
    k = len(means)
    return Mixture(name=name, extent=extent, means=means, stds=[std] * k, weights=[1 / k] * k)


_CIRCLE = [(3 * math.cos(math.pi / 4 * k), 3 * math.sin(math.pi / 4 * k)) for k in range(8)]
_GRID = [(1.5 * i, 1.5 * j) for i in range(-2, 3) for j in range(-2, 3)]

DENSITIES: dict[str, Density] = {
    "moons": Curves(name="moons", shape="moons", std=0.2, nodes=128, extent=4.5),
    "rings": Rings(name="rings", radii=(1.0, 2.0, 3.0), std=0.15),
    "pinwheel": Pinwheel(name="pinwheel", extent=5.0),
    "checkerboard": Checkerboard(name="checkerboard"),
    "spiral": Curves(name="spiral", shape="spiral", std=0.1, nodes=512),
    "eight-gaussians": _equal("eight-gaussians", _CIRCLE, 0.3, 5.0),
    "grid-gaussians": _equal("grid-gaussians", _GRID, 0.15, 4.0),
    "three-gaussians": _equal("three-gaussians", [(0.0, 0.0), (4.0, 0.0), (0.0, 4.0)], 1.0, 10.0),
    "mixture-1d": Mixture(
        name="mixture-1d", dim=1, means=[(-1.5,), (0.5,), (2.0,)], stds=[0.5, 0.3, 0.4], weights=[0.5, 0.2, 0.3]
    ),
}
