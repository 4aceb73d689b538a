"""Coupling transforms: one part of a vector moves by an invertible map whose parameters are read off the other part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thalweg.checks import positive
from thalweg.nn.dequantize import Moved
from thalweg.randomness import generator

__all__ = ["AdditiveCoupling", "AffineCoupling", "Coupled", "Couplings", "conditioner"]

BOUND = 2.0  # of |s| at the start: measured to train best in the plane


class Coupled(NamedTuple):
    """The moved part (B, M) and the log-determinant's terms (B, M), not yet summed."""

    moved: Tensor
    log_scale: Tensor


class Couplings(nn.Module):
    """Couplings one after another, whose two parts take turns: f = f_L ∘ … ∘ f_1, log |det ∂f| = Σ log |det ∂f_l|.

    The parts are first the even and the odd coordinates. Where `permute`, the coordinates are permuted after every
    second coupling by a fixed permutation, saved with the module (in the plane there is nothing to permute).

    The lecture's partition n/2:n shares a coordinate with 1:n/2; here the parts are disjoint.

    Args:
        size: of a vector, at least 2.
        layers: number of couplings.
        make: builds a coupling from the sizes of the part that is kept and of the part that moves.
        permute: mix the coordinates after every second coupling.

    Reference: NICE: Non-linear Independent Components Estimation, Laurent Dinh, David Krueger, Yoshua Bengio, 2015,
    arXiv 1410.8516.

    >>> couplings = Couplings(3, 2, lambda kept, moved: AdditiveCoupling(kept, moved, hidden=8))
    >>> couplings(torch.ones(4, 3)).log_det
    tensor([0., 0., 0., 0.])
    """

    order: Tensor

    def __init__(self, size: int, layers: int, make: Callable[[int, int], nn.Module], permute: bool = True) -> None:
        super().__init__()
        if size < 2:
            raise ValueError(f"size: got {size}, wanted at least 2 (a coupling has two parts)")
        positive("layers", layers)
        self.sizes = (size - size // 2, size // 2)
        self.layers = nn.ModuleList(make(self.sizes[k % 2], self.sizes[1 - k % 2]) for k in range(layers))
        pairs = (layers + 1) // 2 if permute and size > 2 else 1
        order = [torch.randperm(size, generator=generator(0, "couplings", k)) for k in range(pairs)]
        order[0] = torch.cat([torch.arange(0, size, 2), torch.arange(1, size, 2)])
        self.register_buffer("order", torch.stack(order))

    def _mixes(self, k: int) -> bool:
        """Whether the coordinates are permuted before coupling k."""
        return k > 0 and k % 2 == 0 and len(self.order) > 1

    def forward(self, x: Float[Tensor, "B D"], context: Float[Tensor, "B K"] | None = None) -> Moved:
        """Return z; each coupling's parts change places after it."""
        scales = []
        kept, moved = x.index_select(1, self.order[0]).split(self.sizes, 1)
        for k, coupling in enumerate(self.layers):
            if self._mixes(k):
                joined = torch.cat([kept, moved], 1)
                kept, moved = joined.index_select(1, self.order[k // 2]).split(self.sizes, 1)
            changed, log_scale = coupling(kept, moved, context)
            kept, moved = changed, kept
            scales.append(log_scale)
        return Moved(torch.cat([kept, moved], 1), torch.cat(scales, 1).sum(1))

    def inverse(self, z: Float[Tensor, "B D"], context: Float[Tensor, "B K"] | None = None) -> Moved:
        """Undo the couplings and the permutations, last first: x, and the log-determinant of `forward` there."""
        back, couplings = self.order.argsort(1), list[Any](self.layers)
        sizes = self.sizes if len(couplings) % 2 == 0 else self.sizes[::-1]
        kept, moved = z.split(sizes, 1)
        scales = []
        for k in reversed(range(len(couplings))):
            kept, moved = moved, kept
            moved, log_scale = couplings[k].inverse(kept, moved, context)
            scales.append(log_scale)
            if self._mixes(k):
                joined = torch.cat([kept, moved], 1).index_select(1, back[k // 2])
                kept, moved = joined.split(self.sizes, 1)
        x = torch.cat([kept, moved], 1).index_select(1, back[0])
        return Moved(x, torch.cat(scales, 1).sum(1))


class AdditiveCoupling(nn.Module):
    """Moves x_B by a shift that a network reads off x_A: z_B = x_B + m(x_A), which keeps volumes.

    The network's last layer starts at zero: the coupling starts as the identity.

    Args:
        kept: size of x_A.
        moved: size of x_B.
        hidden: width of the hidden layers.
        depth: number of hidden layers.
        context: how many numbers more the network reads.

    Reference: NICE: Non-linear Independent Components Estimation, Laurent Dinh, David Krueger, Yoshua Bengio, 2015,
    arXiv 1410.8516.

    >>> coupling = AdditiveCoupling(1, 2, hidden=8)
    >>> bool((coupling(torch.randn(4, 1), torch.ones(4, 2)).moved == 1).all())
    True
    """

    def __init__(self, kept: int, moved: int, *, hidden: int = 128, depth: int = 2, context: int = 0) -> None:
        super().__init__()
        self.network = conditioner(kept + context, moved, hidden, depth)

    def forward(
        self, kept: Float[Tensor, "B A"], moved: Float[Tensor, "B M"], context: Tensor | None = None
    ) -> Coupled:
        """Return z_B, and zeros."""
        return Coupled(moved + self._shift(kept, context), torch.zeros_like(moved))

    def inverse(
        self, kept: Float[Tensor, "B A"], moved: Float[Tensor, "B M"], context: Tensor | None = None
    ) -> Coupled:
        """Return x_B = z_B − m(x_A), and zeros."""
        return Coupled(moved - self._shift(kept, context), torch.zeros_like(moved))

    def _shift(self, kept: Tensor, context: Tensor | None) -> Tensor:
        shift: Tensor = self.network(joined(kept, context))
        return shift.to(kept.dtype)


class AffineCoupling(nn.Module):
    """Moves x_B by a scale and a shift that a network reads off x_A: z_B = e^{s(x_A)} ⊙ x_B + t(x_A).

    s = c ⊙ tanh(·) with c learned, one a coordinate, so that no example can blow up the inverse. s and t come out of
    one network. Its last layer starts at zero: the coupling starts as the identity.

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
        self.network = conditioner(kept + context, 2 * moved, hidden, depth)
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
        raw, shift = self.network(joined(kept, context)).to(kept.dtype).chunk(2, 1)
        return (2 * (2 * raw).sigmoid() - 1) * self.bound, shift  # tanh, in a fraction of its time


def conditioner(inputs: int, outputs: int, hidden: int, depth: int) -> nn.Sequential:
    """Return a network of `depth` hidden ReLU layers whose last layer starts at zero."""
    for name, value in {"inputs": inputs, "outputs": outputs, "hidden": hidden, "depth": depth}.items():
        positive(name, value)
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Linear(hidden if i else inputs, hidden), nn.ReLU(inplace=True)]
    last = nn.Linear(hidden, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


def joined(kept: Tensor, context: Tensor | None) -> Tensor:
    """Return what a coupling's network reads."""
    return kept if context is None else torch.cat([kept, context], 1)
