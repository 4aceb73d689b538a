"""Coupling transforms: an element-wise map of one part of a vector, with parameters from the other part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thalweg.checks import positive
from thalweg.nn.elementwise import ElementwiseMap
from thalweg.nn.transform import MapOutput, Transform, TransformOutput
from thalweg.randomness import generator

__all__ = ["Coupling", "Couplings", "conditioner"]


class Coupling(nn.Module):
    """z_B = g(x_B; θ(x_A)): an element-wise map g of x_B, with parameters θ that a network computes from x_A.

    The network's last layer is initialized with zeros, so the coupling starts as the identity.

    Args:
        kept: size of x_A.
        moved: size of x_B.
        map: g.
        hidden: width of the hidden layers.
        depth: number of hidden layers.
        context: number of context values that the network reads in addition.

    >>> from thalweg.nn.elementwise import AffineMap
    >>> coupling = Coupling(1, 2, AffineMap(2), hidden=8)
    >>> bool((coupling(torch.randn(4, 1), torch.ones(4, 2)).value == 1).all())
    True
    """

    def __init__(
        self, kept: int, moved: int, map: ElementwiseMap, *, hidden: int = 128, depth: int = 2, context: int = 0
    ) -> None:
        super().__init__()
        self.map = map
        self.network = conditioner(kept + context, map.per_value * moved, hidden, depth)

    def forward(
        self, kept: Float[Tensor, "B A"], moved: Float[Tensor, "B M"], context: Tensor | None = None
    ) -> MapOutput:
        """Return z_B and the logarithms of the slopes of g."""
        output: MapOutput = self.map(moved, self._map_parameters(kept, context))
        return output

    def inverse(
        self, kept: Float[Tensor, "B A"], moved: Float[Tensor, "B M"], context: Tensor | None = None
    ) -> MapOutput:
        """Return x_B of z_B, and the logarithms of the slopes of g there."""
        return self.map.inverse(moved, self._map_parameters(kept, context))

    def _map_parameters(self, kept: Tensor, context: Tensor | None) -> Tensor:
        raw: Tensor = self.network(joined(kept, context))
        return raw.to(kept.dtype)


class Couplings(Transform):
    """A composition of couplings whose two parts alternate: f = f_L ∘ … ∘ f_1, log |det ∂f| = Σ log |det ∂f_l|.

    The parts are first the even and the odd coordinates, disjoint. Where `permute`, the coordinates are permuted after
    every second coupling by a fixed permutation, saved with the module (in the plane there is nothing to permute).

    Args:
        size: of a vector, at least 2.
        layers: number of couplings.
        make: builds a `Coupling` from the sizes of x_A and x_B.
        permute: mix the coordinates after every second coupling.

    *Reference*: *NICE: Non-linear Independent Components Estimation*, Laurent Dinh, David Krueger, Yoshua Bengio, 2015,
    arXiv:1410.8516.

    >>> from thalweg.nn.elementwise import AdditiveMap
    >>> couplings = Couplings(3, 2, lambda kept, moved: Coupling(kept, moved, AdditiveMap(), hidden=8))
    >>> couplings(torch.ones(4, 3)).log_det
    tensor([0., 0., 0., 0.])
    """

    order: Tensor

    def __init__(self, size: int, layers: int, make: Callable[[int, int], Coupling], permute: bool = True) -> None:
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

    def _permutes(self, k: int) -> bool:
        """Whether the coordinates are permuted before coupling k."""
        return k > 0 and k % 2 == 0 and len(self.order) > 1

    def forward(self, x: Float[Tensor, "B D"], context: Float[Tensor, "B K"] | None = None) -> TransformOutput:
        """Return z and the log-determinant; the parts are swapped after each coupling."""
        slopes = []
        kept, moved = x.index_select(1, self.order[0]).split(self.sizes, 1)
        for k, coupling in enumerate(self.layers):
            if self._permutes(k):
                whole = torch.cat([kept, moved], 1)
                kept, moved = whole.index_select(1, self.order[k // 2]).split(self.sizes, 1)
            changed, log_slope = coupling(kept, moved, context)
            kept, moved = changed, kept
            slopes.append(log_slope)
        return TransformOutput(torch.cat([kept, moved], 1), torch.cat(slopes, 1).sum(1))

    def inverse(self, z: Float[Tensor, "B D"], context: Float[Tensor, "B K"] | None = None) -> TransformOutput:
        """Invert the couplings and the permutations, last first: x, and the log-determinant of `forward` there."""
        back, couplings = self.order.argsort(1), list[Any](self.layers)
        sizes = self.sizes if len(couplings) % 2 == 0 else self.sizes[::-1]
        kept, moved = z.split(sizes, 1)
        slopes = []
        for k in reversed(range(len(couplings))):
            kept, moved = moved, kept
            moved, log_slope = couplings[k].inverse(kept, moved, context)
            slopes.append(log_slope)
            if self._permutes(k):
                whole = torch.cat([kept, moved], 1).index_select(1, back[k // 2])
                kept, moved = whole.split(self.sizes, 1)
        x = torch.cat([kept, moved], 1).index_select(1, back[0])
        return TransformOutput(x, torch.cat(slopes, 1).sum(1))


def conditioner(inputs: int, outputs: int, hidden: int, depth: int) -> nn.Sequential:
    """Return a network of `depth` hidden ReLU layers whose last layer is initialized with zeros."""
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
    """Return the input of a coupling's network."""
    return kept if context is None else torch.cat([kept, context], 1)
