"""Cached sampling from a PixelCNN, at about the cost of one pass over the image."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

__all__ = ["cached_sample", "draw_level"]


def draw_level(scores: Float[Tensor, "B L"], uniform: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
    """Return the level at which the cumulative probability passes `uniform`, a sample of the softmax of `scores`.

    >>> draw_level(torch.zeros(3, 4), torch.tensor([0.0, 0.3, 0.99])).tolist()
    [0, 1, 3]
    """
    cumulative = scores.softmax(1).cumsum(1)
    passed = cumulative <= uniform[:, None] * cumulative[:, -1:]  # its last value is 1 up to rounding
    return passed.sum(1).clamp(max=scores.shape[1] - 1)


@torch.no_grad()
def cached_sample(model: Any, noise: Float[Tensor, "B C H W"], context: Tensor | None = None) -> Int[Tensor, "B C H W"]:
    """Return a sample of the levels of `model`, a PixelCNN, from uniform noise, one random number per value.

    The vertical features of a row depend on the rows above and are computed once per row. The horizontal features of a
    pixel depend on those to its left, which are cached. So each pixel takes one window of each layer, where a full pass
    computes the whole image; the convolutions are the same.
    """
    n, channels, height, width = noise.shape
    symbols = torch.zeros(noise.shape, dtype=torch.int64, device=noise.device)
    side, above = model.left.kernel_size[1] - 1, model.above.kernel_size[0]
    context_terms = [layer.context_terms(context) for layer in model.layers]
    rows: list[Tensor] = []  # the vertical features that each layer reads: the last rows, padded left and right
    for layer in model.layers:
        reach = layer.reach
        rows.append(noise.new_zeros(n, layer.vertical.in_channels, reach + 1, width + 2 * reach))
    for r in range(height):
        known = symbols[:, :, max(r - above, 0) : r]
        window = F.pad(model.scaled(known), (side, side, above - known.shape[2], 0))
        v, gate_terms = model.above(window), []
        for i, layer in enumerate(model.layers):
            rows[i] = torch.cat([rows[i][:, :, 1:], F.pad(v, (layer.reach, layer.reach))], dim=2)
            v, g = layer.rows(rows[i], _at(context_terms[i], r))
            gate_terms.append(g)
        # the horizontal features of this row for each layer, padded on the left
        left = [
            noise.new_zeros(n, x.shape[1], 1, width + layer.reach) for x, layer in zip(rows, model.layers, strict=True)
        ]
        for c in range(width):
            for k in range(channels):
                known = symbols[:, :, r : r + 1, max(c - side, 0) : c + 1]
                h = model.left(F.pad(model.scaled(known), (side + 1 - known.shape[3], 0)))
                for i, layer in enumerate(model.layers):
                    left[i][..., c + layer.reach] = h[..., 0]
                    h = layer.pixels(left[i][..., c : c + layer.reach + 1], gate_terms[i][..., c : c + 1])
                scores = model.scores(h)[:, :, k, 0, 0]
                symbols[:, k, r, c] = draw_level(scores, noise[:, k, r, c])
    return symbols


def _at(context_terms: tuple[Tensor, Tensor] | None, row: int) -> tuple[Tensor, Tensor] | None:
    """Return one row of the context terms, or all of them where they are the same for all positions."""
    if context_terms is None or context_terms[0].shape[2] == 1:
        return context_terms
    return context_terms[0][:, :, row : row + 1], context_terms[1][:, :, row : row + 1]
