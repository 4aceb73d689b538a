"""The multi-scale architecture: half of the channels are split off after every scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thalweg.checks import positive
from thalweg.nn.transform import Transform, TransformOutput

__all__ = ["MultiScale", "number_of_scales"]


class MultiScale(Transform):
    """A sequence of scales: z = (z_1, …, z_L), with channel halves (h_l, z_l) = f_l(h_{l−1}) and z_L = f_L(h_{L−1}).

    log |det ∂z/∂x| = Σ log |det ∂f_l|. Channels that were split off do not pass through later scales, which reduces the
    cost; z has as many values as x.

    Args:
        shape: of an image, (C, H, W).
        scales: the f_l, transforms of images (B, C, H, W) with `forward` and `inverse`.
        outputs: the output shape of each scale, before the split.

    Reference: *Density estimation using Real NVP*, Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio, 2017, section 3.6,
    arXiv:1605.08803.

    >>> from thalweg.nn.squeeze import Squeeze
    >>> flow = MultiScale((1, 4, 4), [Squeeze(), Squeeze()], [(4, 2, 2), (8, 1, 1)])
    >>> flow.parts, flow(torch.zeros(3, 1, 4, 4)).value.shape
    ([(2, 2, 2), (8, 1, 1)], torch.Size([3, 16]))
    """

    def __init__(
        self, shape: Sequence[int], scales: Sequence[nn.Module], outputs: Sequence[tuple[int, int, int]]
    ) -> None:
        super().__init__()
        self.shape, self.scales = tuple(shape), nn.ModuleList(scales)
        *before, last = outputs
        self.parts = [(c - c // 2, h, w) for c, h, w in before] + [last]  # shapes of the z_l

    def forward(self, x: Float[Tensor, "B ..."], context: Tensor | None = None) -> TransformOutput:
        """Return z (B, D), finest scale first, and the log-determinant."""
        h, total = x.reshape(-1, *self.shape), x.new_zeros(len(x))
        parts: list[Tensor] = []
        for scale in self.scales:
            h, log_det = scale(h, context)
            total = total + log_det
            if len(parts) < len(self.parts) - 1:
                h, part = h.split([h.shape[1] // 2, h.shape[1] - h.shape[1] // 2], 1)
                parts.append(part.flatten(1))
        return TransformOutput(torch.cat([*parts, h.flatten(1)], 1), total)

    def inverse(self, z: Float[Tensor, "B D"], context: Tensor | None = None) -> TransformOutput:
        """Return x (B, C, H, W), and the log-determinant of `forward` there."""
        *parts, h = z.split([math.prod(part) for part in self.parts], 1)
        h, total = h.reshape(-1, *self.parts[-1]), z.new_zeros(len(z))
        scales: list[Any] = list(self.scales)
        for k in reversed(range(len(scales))):
            if k < len(parts):
                h = torch.cat([h, parts[k].reshape(-1, *self.parts[k])], 1)
            h, log_det = scales[k].inverse(h, context)
            total = total + log_det
        return TransformOutput(h, total)


def number_of_scales(
    asked: int | None, height: int, width: int, *, min_side: int, max_scales: int = 3, unsqueezed: int = 0
) -> int:
    """Return the requested number of scales, or by default up to `max_scales`, with no side squeezed below `min_side`.

    The last `unsqueezed` scales are not squeezed. Raises ValueError where sides cannot be halved that often.

    >>> number_of_scales(None, 28, 28, min_side=4), number_of_scales(None, 11, 9, min_side=4, unsqueezed=1)
    (2, 1)
    """
    possible = _halvings(height, width, 1) + unsqueezed
    if asked is None:
        asked = max(1, min(max_scales, _halvings(height, width, min_side) + unsqueezed))
    if positive("scales", asked) > possible:
        wanted = f"at most {possible}" if possible else "even sides"
        raise ValueError(f"scales: got {asked} of images of {height}×{width}, wanted {wanted} (each halves the sides)")
    return asked


def _halvings(height: int, width: int, min_side: int) -> int:
    """Return how often both sides can be halved exactly without one of them falling below `min_side`."""
    count = 0
    while height % 2 == 0 and width % 2 == 0 and min(height, width) >= 2 * min_side:
        height, width, count = height // 2, width // 2, count + 1
    return count
