"""Real NVP on vectors: affine couplings with alternating parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from thalweg.checks import positive
from thalweg.models.flows.flow import Flow
from thalweg.nn.coupling import AffineCoupling
from thalweg.nn.dequantize import Moved
from thalweg.randomness import generator

__all__ = ["RealNVP"]


class RealNVP(Flow):
    """Real NVP on flattened data: `layers` affine couplings, the two parts taking turns.

    The parts are first the even and the odd coordinates; after every second coupling the coordinates are permuted by a
    fixed permutation, saved with the model (in the plane there is nothing to permute).

    Args:
        shape: of one raw example, of at least two values.
        layers: number of couplings.
        hidden: width of the hidden layers of a coupling's network.
        depth: number of those hidden layers.
        settings: how raw data reach R^d, see `Flow`.

    Reference: Density estimation using Real NVP, Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio, 2017,
    arXiv 1605.08803.

    >>> flow = RealNVP((3,), mean=[0.0] * 3, std=[1.0] * 3, hidden=8)
    >>> flow.log_prob(flow.sample(4)).shape
    torch.Size([4])
    """

    order: Tensor

    def __init__(
        self, shape: Sequence[int], *, layers: int = 10, hidden: int = 128, depth: int = 2, **settings: Any
    ) -> None:
        super().__init__(shape, **settings)
        if self.size < 2:
            raise ValueError(f"shape: got {self.shape}, wanted at least 2 values (a coupling has two parts)")
        positive("layers", layers)
        sizes = (self.size - self.size // 2, self.size // 2)
        self.couplings = nn.ModuleList(
            AffineCoupling(sizes[k % 2], sizes[1 - k % 2], hidden=hidden, depth=depth, context=self.context)
            for k in range(layers)
        )
        pairs = (layers + 1) // 2 if self.size > 2 else 1
        order = [torch.randperm(self.size, generator=generator(0, "real-nvp", k)) for k in range(pairs)]
        order[0] = torch.cat([torch.arange(0, self.size, 2), torch.arange(1, self.size, 2)])
        self.register_buffer("order", torch.stack(order))
        self.sizes = sizes

    def push(self, y: Tensor, context: Tensor | None = None) -> Moved:
        """Take prepared data to R^d; each coupling's parts change places after it."""
        scales = []
        kept, moved = y.flatten(1).index_select(1, self.order[0]).split(self.sizes, 1)
        for k, coupling in enumerate(self.couplings):
            if k and k % 2 == 0 and self.size > 2:
                joined = torch.cat([kept, moved], 1)
                kept, moved = joined.index_select(1, self.order[k // 2]).split(self.sizes, 1)
            changed, log_scale = coupling(kept, moved, context)
            kept, moved = changed, kept
            scales.append(log_scale)
        return Moved(torch.cat([kept, moved], 1), torch.cat(scales, 1).sum(1))

    def pull(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Undo the couplings and the permutations, last first."""
        return self.pull_and_log_det(z, context).value

    def pull_and_log_det(self, z: Tensor, context: Tensor | None = None) -> Moved:
        """Undo the couplings and the permutations, last first, and sum what they scale by."""
        back, couplings = self.order.argsort(1), cast("list[AffineCoupling]", list(self.couplings))
        sizes = self.sizes if len(couplings) % 2 == 0 else self.sizes[::-1]
        kept, moved = z.split(sizes, 1)
        scales = []
        for k in reversed(range(len(couplings))):
            kept, moved = moved, kept
            moved, log_scale = couplings[k].inverse(kept, moved, context)
            scales.append(log_scale)
            if k and k % 2 == 0 and self.size > 2:
                joined = torch.cat([kept, moved], 1).index_select(1, back[k // 2])
                kept, moved = joined.split(self.sizes, 1)
        y = torch.cat([kept, moved], 1).index_select(1, back[0]).reshape(-1, *self.shape)
        return Moved(y, torch.cat(scales, 1).sum(1))
