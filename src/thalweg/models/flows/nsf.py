"""Neural spline flow on vectors: couplings with rational-quadratic splines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from thalweg.models.flows.transformed import TransformedFlow
from thalweg.nn.coupling import Coupling, Couplings
from thalweg.nn.elementwise import SplineMap

__all__ = ["NSF"]


class NSF(TransformedFlow):
    """Neural spline flow (RQ-NSF with couplings) on flattened data, see `Couplings` and `SplineMap`.

    Coordinates are permuted between couplings; the paper also mixes them linearly, and uses residual networks.

    Args:
        shape: of one raw example, of at least two values.
        layers: number of couplings.
        bins: number of bins of each spline.
        bound: the splines transform values in [−bound, bound]; values outside are unchanged.
        hidden: width of the hidden layers of a coupling's network.
        depth: number of hidden layers of a coupling's network.
        context: number of context values that the flow is conditioned on; 0: none.
        settings: how raw data are mapped to R^d, see `Flow`.

    Reference: *Neural Spline Flows*, Conor Durkan, Artur Bekasov, Iain Murray, George Papamakarios, 2019,
    arXiv:1906.04032.

    >>> flow = NSF((3,), mean=[0.0] * 3, std=[1.0] * 3, hidden=8)
    >>> flow.log_prob(flow.sample(4)).shape
    torch.Size([4])
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        layers: int = 6,
        bins: int = 8,
        bound: float = 4.0,
        hidden: int = 64,
        depth: int = 2,
        context: int = 0,
        **settings: Any,
    ) -> None:

        def coupling(kept: int, moved: int) -> Coupling:
            return Coupling(kept, moved, SplineMap(bins, bound), hidden=hidden, depth=depth, context=context)

        super().__init__(shape, Couplings(math.prod(shape), layers, coupling), context=context, **settings)
