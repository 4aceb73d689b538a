"""Affine couplings of images, whose two parts are the fields of a checkerboard or two groups of channels."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thalweg.nn.elementwise import AffineMap
from thalweg.nn.squeeze import checkerboard
from thalweg.nn.transform import Transform, TransformOutput

__all__ = ["ChannelCoupling", "CheckerboardCoupling"]


class CheckerboardCoupling(Transform):
    """z = b ⊙ x + (1 − b) ⊙ (e^{s(b ⊙ x)} ⊙ x + t(b ⊙ x)), b a checkerboard: log |det ∂z/∂x| = Σ (1 − b) ⊙ s.

    s = c ⊙ tanh(·) with one learned c per channel. Images may have any size.

    Args:
        shape: of an image, (C, H, W).
        network: maps images (B, C, H, W) and a context to (B, 2C, H, W).
        odd: keep the positions where row + column is odd, and transform the others.

    Reference: *Density estimation using Real NVP*, Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio, 2017, section 3.4,
    arXiv:1605.08803.

    >>> from thalweg.nn.coupling_networks import ResidualNetwork
    >>> coupling = CheckerboardCoupling((1, 4, 5), ResidualNetwork(1, 2, hidden=8))
    >>> coupling(torch.ones(2, 1, 4, 5)).log_det.tolist()  # the network's last layer starts at zero
    [0.0, 0.0]
    """

    mask: Tensor

    def __init__(self, shape: tuple[int, int, int], network: nn.Module, *, odd: bool = False) -> None:
        super().__init__()
        board = checkerboard(*shape[1:])
        self.register_buffer("mask", 1 - board if odd else board, persistent=False)
        self.network, self.map = network, AffineMap(shape[0])

    def forward(self, x: Float[Tensor, "B C H W"], context: Tensor | None = None) -> TransformOutput:
        """Return z and the log-determinant."""
        value, log_slope = self.map(x, self._map_parameters(x, context))
        return TransformOutput(value, log_slope.flatten(1).sum(1))

    def inverse(self, z: Float[Tensor, "B C H W"], context: Tensor | None = None) -> TransformOutput:
        """Return x, and the log-determinant of `forward` there."""
        value, log_slope = self.map.inverse(z, self._map_parameters(z, context))
        return TransformOutput(value, log_slope.flatten(1).sum(1))

    def _map_parameters(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Return the parameters of the affine map, zero at the positions that are kept."""
        raw: Tensor = self.network(x * self.mask, context)
        return raw.to(x.dtype) * (1 - self.mask)


class ChannelCoupling(Transform):
    """One part of the channels is scaled and shifted depending on the other part: z_B = e^{s(x_A)} ⊙ x_B + t(x_A).

    log |det ∂z/∂x| = Σ s, s = c ⊙ tanh(·) with one learned c per channel. x_A are the first channels.

    Where x_B is split off afterwards, this is a learned prior of x_B: x_B = μ(x_A) + e^{−s(x_A)} ⊙ z_B, with z_B from
    the base distribution.

    Args:
        kept: number of channels of x_A; of vectors, columns.
        moved: number of channels of x_B.
        network: maps x_A and a context to 2·`moved` channels.
        swap: x_A are the last channels.

    Reference: *Density estimation using Real NVP*, Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio, 2017,
    arXiv:1605.08803.

    >>> from thalweg.nn.coupling_networks import PlainNetwork
    >>> coupling = ChannelCoupling(1, 3, PlainNetwork(1, 6, hidden=8))
    >>> bool((coupling(torch.ones(2, 4, 5, 5)).value == 1).all())  # the network's last layer starts at zero
    True
    """

    def __init__(self, kept: int, moved: int, network: nn.Module, *, swap: bool = False) -> None:
        super().__init__()
        self.sizes, self.swap = (moved, kept) if swap else (kept, moved), swap
        self.network, self.map = network, AffineMap(moved)

    def forward(self, x: Float[Tensor, "B C ..."], context: Tensor | None = None) -> TransformOutput:
        """Return z and the log-determinant."""
        kept, moved = self._parts(x)
        value, log_slope = self.map(moved, self.network(kept, context).to(kept.dtype))
        return TransformOutput(self._joined(kept, value), log_slope.flatten(1).sum(1))

    def inverse(self, z: Float[Tensor, "B C ..."], context: Tensor | None = None) -> TransformOutput:
        """Return x, and the log-determinant of `forward` there."""
        kept, moved = self._parts(z)
        value, log_slope = self.map.inverse(moved, self.network(kept, context).to(kept.dtype))
        return TransformOutput(self._joined(kept, value), log_slope.flatten(1).sum(1))

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = x.split(self.sizes, 1)
        return (second, first) if self.swap else (first, second)

    def _joined(self, kept: Tensor, moved: Tensor) -> Tensor:
        return torch.cat([moved, kept] if self.swap else [kept, moved], 1)
