"""Real NVP on vectors: affine couplings with alternating parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from thalweg.models.flows.transformed import TransformedFlow
from thalweg.nn.coupling import AffineCoupling, Couplings

__all__ = ["RealNVP"]


class RealNVP(TransformedFlow):
    """Real NVP on flattened data: `layers` affine couplings, the two parts taking turns, see `Couplings`.

    Args:
        shape: of one raw example, of at least two values.
        layers: number of couplings.
        hidden: width of the hidden layers of a coupling's network.
        depth: number of those hidden layers.
        context: how many numbers the flow is conditioned on; 0: none.
        settings: how raw data reach R^d, see `Flow`.

    Reference: Density estimation using Real NVP, Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio, 2017,
    arXiv 1605.08803.

    >>> import torch
    >>> flow = RealNVP((3,), mean=[0.0] * 3, std=[1.0] * 3, hidden=8)
    >>> flow.log_prob(flow.sample(4)).shape
    torch.Size([4])
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        layers: int = 10,
        hidden: int = 128,
        depth: int = 2,
        context: int = 0,
        **settings: Any,
    ) -> None:
        coupling = partial(AffineCoupling, hidden=hidden, depth=depth, context=context)
        super().__init__(shape, Couplings(math.prod(shape), layers, coupling), context=context, **settings)
