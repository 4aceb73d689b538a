"""Affine couplings of images, whose parts are the colors of a checkerboard or two groups of channels."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thalweg.nn.dequantize import Moved
from thalweg.nn.flow_batch_norm import per_channel
from thalweg.nn.squeeze import checkerboard

__all__ = ["ChannelCoupling", "CheckerboardCoupling"]

BOUND = 2.0  # of |s| at the start


class CheckerboardCoupling(nn.Module):
    """z = b ⊙ x + (1 − b) ⊙ (e^{s(b ⊙ x)} ⊙ x + t(b ⊙ x)), b a checkerboard: log |det ∂z/∂x| = Σ (1 − b) ⊙ s.

    s = c ⊙ tanh(·) with c learned, one a channel. Any size of image will do.

    Args:
        shape: of an image, (C, H, W).
        network: takes images (B, C, H, W) and a context to (B, 2C, H, W).
        odd: keep the places where row + column is odd, and move the others.

    Reference: Density estimation using Real NVP, Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio, 2017, section 3.4,
    arXiv 1605.08803.

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
        self.network, self.bound = network, nn.Parameter(torch.full((shape[0],), BOUND))

    def forward(self, x: Float[Tensor, "B C H W"], context: Tensor | None = None) -> Moved:
        """Return z and the log-determinant."""
        log_scale, shift = self._scale_and_shift(x, context)
        return Moved(torch.addcmul(shift, x, log_scale.exp()), log_scale.flatten(1).sum(1))

    def inverse(self, z: Float[Tensor, "B C H W"], context: Tensor | None = None) -> Moved:
        """Return x, and the log-determinant of `forward` there."""
        log_scale, shift = self._scale_and_shift(z, context)
        return Moved((z - shift) * log_scale.neg().exp(), log_scale.flatten(1).sum(1))

    def _scale_and_shift(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return s and t, zero at the places that are kept."""
        log_scale, shift = scale_and_shift(self.network, x * self.mask, self.bound, context)
        moved = 1 - self.mask
        return log_scale * moved, shift * moved


class ChannelCoupling(nn.Module):
    """One part of the channels moves by a scale and a shift read off the other: z_B = e^{s(x_A)} ⊙ x_B + t(x_A).

    log |det ∂z/∂x| = Σ s, s = c ⊙ tanh(·) with c learned, one a channel. x_A are the first channels.

    Where x_B is split off afterwards, this is a learned prior of it: x_B = μ(x_A) + e^{−s(x_A)} ⊙ z_B, z_B of the base.

    Args:
        kept: number of channels of x_A; of vectors, columns.
        moved: number of channels of x_B.
        network: takes x_A and a context to 2·`moved` channels.
        swap: x_A are the last channels.

    Reference: Density estimation using Real NVP, Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio, 2017,
    arXiv 1605.08803.

    >>> from thalweg.nn.coupling_networks import PlainNetwork
    >>> coupling = ChannelCoupling(1, 3, PlainNetwork(1, 6, hidden=8))
    >>> bool((coupling(torch.ones(2, 4, 5, 5)).value == 1).all())  # the network's last layer starts at zero
    True
    """

    def __init__(self, kept: int, moved: int, network: nn.Module, *, swap: bool = False) -> None:
        super().__init__()
        self.sizes, self.swap = (moved, kept) if swap else (kept, moved), swap
        self.network, self.bound = network, nn.Parameter(torch.full((moved,), BOUND))

    def forward(self, x: Float[Tensor, "B C ..."], context: Tensor | None = None) -> Moved:
        """Return z and the log-determinant."""
        kept, moved = self._parts(x)
        log_scale, shift = scale_and_shift(self.network, kept, self.bound, context)
        moved = torch.addcmul(shift, moved, log_scale.exp())
        return Moved(self._joined(kept, moved), log_scale.flatten(1).sum(1))

    def inverse(self, z: Float[Tensor, "B C ..."], context: Tensor | None = None) -> Moved:
        """Return x, and the log-determinant of `forward` there."""
        kept, moved = self._parts(z)
        log_scale, shift = scale_and_shift(self.network, kept, self.bound, context)
        moved = (moved - shift) * log_scale.neg().exp()
        return Moved(self._joined(kept, moved), log_scale.flatten(1).sum(1))

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = x.split(self.sizes, 1)
        return (second, first) if self.swap else (first, second)

    def _joined(self, kept: Tensor, moved: Tensor) -> Tensor:
        return torch.cat([moved, kept] if self.swap else [kept, moved], 1)


def scale_and_shift(network: nn.Module, kept: Tensor, bound: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return s = bound ⊙ tanh(raw) and t, raw and t what the network makes of the part that is kept."""
    raw, shift = network(kept, context).to(kept.dtype).chunk(2, 1)
    return (2 * (2 * raw).sigmoid() - 1) * per_channel(bound, raw), shift  # tanh, in a fraction of its time
