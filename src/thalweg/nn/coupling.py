"""Coupling transforms: one part of a vector moves by an invertible map whose parameters are read off the other part."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thalweg.checks import positive

__all__ = ["AffineCoupling", "Coupled"]

BOUND = 2.0  # of |s| at the start: measured to train best in the plane


class Coupled(NamedTuple):
    """The moved part (B, M) and the log-determinant's terms (B, M), not yet summed."""

    moved: Tensor
    log_scale: Tensor


class AffineCoupling(nn.Module):
    """Moves x_B by a scale and a shift that a network reads off x_A: z_B = e^{s(x_A)} ⊙ x_B + t(x_A).

    s = c ⊙ tanh(·) with c learned, one a coordinate, so that no example can blow up the inverse. s and t come out of
    one network. Its last layer starts at zero: the coupling starts as the identity.

    The lecture's partition n/2:n shares a coordinate with 1:n/2; here the parts are disjoint.

    Args:
        kept: size of x_A.
        moved: size of x_B.
        hidden: width of the hidden layers.
        depth: number of hidden layers.
        context: how many numbers more the network reads.

    Reference: Density estimation using Real NVP, Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio, 2017,
    arXiv 1605.08803.

    >>> coupling = AffineCoupling(1, 2, hidden=8)
    >>> bool((coupling(torch.randn(4, 1), torch.ones(4, 2)).moved == 1).all())
    True
    """

    def __init__(self, kept: int, moved: int, *, hidden: int = 128, depth: int = 2, context: int = 0) -> None:
        super().__init__()
        for name, value in {"kept": kept, "moved": moved, "hidden": hidden, "depth": depth}.items():
            positive(name, value)
        layers: list[nn.Module] = []
        for i in range(depth):
            layers += [nn.Linear(hidden if i else kept + context, hidden), nn.ReLU(inplace=True)]
        last = nn.Linear(hidden, 2 * moved)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(*layers, last)
        self.bound = nn.Parameter(torch.full((moved,), BOUND))

    def forward(
        self, kept: Float[Tensor, "B A"], moved: Float[Tensor, "B M"], context: Tensor | None = None
    ) -> Coupled:
        """Return z_B and s."""
        log_scale, shift = self._scale_and_shift(kept, context)
        return Coupled(torch.addcmul(shift, moved, log_scale.exp()), log_scale)

    def inverse(
        self, kept: Float[Tensor, "B A"], moved: Float[Tensor, "B M"], context: Tensor | None = None
    ) -> Coupled:
        """Return x_B = (z_B − t) ⊙ e^{−s}, and s."""
        log_scale, shift = self._scale_and_shift(kept, context)
        return Coupled((moved - shift) * log_scale.neg().exp(), log_scale)

    def _scale_and_shift(self, kept: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        read = kept if context is None else torch.cat([kept, context], 1)
        raw, shift = self.network(read).to(kept.dtype).chunk(2, 1)
        return raw.tanh() * self.bound, shift
