"""NICE: additive couplings, which preserve volume, and a final scale per coordinate, which does not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from thalweg.models.flows.transformed import TransformedFlow
from thalweg.nn.coupling import Coupling, Couplings
from thalweg.nn.elementwise import AdditiveMap
from thalweg.nn.transform import Composed, Scaling

__all__ = ["NICE"]


class NICE(TransformedFlow):
    """NICE: z = e^s ⊙ (f_L ∘ … ∘ f_1)(x), the f additive couplings of log-determinant 0, so log |det ∂z/∂x| = Σ s.

    The parts alternate between the even and the odd coordinates, without permutations. The final scales are needed:
    without them the density could not exceed the maximum of the base density.

    Args:
        shape: of one raw example, of at least two values.
        layers: number of couplings; with fewer than three, some coordinates do not depend on others.
        hidden: width of the hidden layers of a coupling's network.
        depth: number of hidden layers of a coupling's network.
        base: distribution of each coordinate of z; logistic in the paper.
        context: number of context values that the flow is conditioned on; 0: none.
        settings: how raw data are mapped to R^d, see `Flow`.

    Reference: *NICE: Non-linear Independent Components Estimation*, Laurent Dinh, David Krueger, Yoshua Bengio, 2015,
    arXiv:1410.8516.

    >>> flow = NICE((3,), mean=[0.0] * 3, std=[1.0] * 3, hidden=8)
    >>> flow.log_prob(flow.sample(4)).shape
    torch.Size([4])
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        layers: int = 4,
        hidden: int = 1000,
        depth: int = 5,
        base: Any = "logistic",
        context: int = 0,
        **settings: Any,
    ) -> None:
        size = math.prod(shape)

        def coupling(kept: int, moved: int) -> Coupling:
            return Coupling(kept, moved, AdditiveMap(), hidden=hidden, depth=depth, context=context)

        transform = Composed(Couplings(size, layers, coupling, permute=False), Scaling(size))
        super().__init__(shape, transform, base=base, context=context, **settings)
