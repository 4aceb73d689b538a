"""Figures of matplotlib as the picture of a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["as_tiles", "new_figure"]


def new_figure(width: float = 6.4, height: float = 4.8) -> Figure:
    """Return an empty figure, in inches at 100 dots per inch, that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def as_tiles(figure: Figure) -> Tensor:
    """Return the drawn figure as the only tile of a picture, (1, 1, 3, H, W) in [0, 1]."""
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None, None].float() / 255
