"""Inverse autoregressive flow: samples take one pass, the density of data one pass per value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from thalweg.models.flows.maf import autoregressive_layers
from thalweg.models.flows.transformed import TransformedFlow
from thalweg.nn.transform import Inverse

__all__ = ["IAF"]


class IAF(TransformedFlow):
    """Inverse autoregressive flow on flattened data: x = g(z), g the affine masked autoregressive layers of `MAF`.

    Sampling takes one pass per layer. The density of data inverts g one value at a time, so training by maximum
    likelihood costs D small products per layer. This is suited to small D, and to posteriors of variational inference.

    Args:
        shape: of one raw example, of at least two values.
        layers: number of autoregressive layers.
        hidden: width of the hidden layers of a masked network.
        depth: number of hidden layers of a masked network.
        context: number of context values that the flow is conditioned on; 0: none.
        settings: how raw data are mapped to R^d, see `Flow`.

    *Reference*: *Improving Variational Inference with Inverse Autoregressive Flow*, Diederik P. Kingma, Tim Salimans,
    Rafal Jozefowicz, Xi Chen, Ilya Sutskever, Max Welling, 2016, arXiv:1606.04934.

    >>> flow = IAF((3,), mean=[0.0] * 3, std=[1.0] * 3, hidden=8)
    >>> flow.log_prob(flow.sample(4)).shape
    torch.Size([4])
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        layers: int = 5,
        hidden: int = 128,
        depth: int = 2,
        context: int = 0,
        **settings: Any,
    ) -> None:
        networks = {"hidden": hidden, "depth": depth, "context": context}
        transform = Inverse(autoregressive_layers(math.prod(shape), "affine", layers, **networks))
        super().__init__(shape, transform, context=context, **settings)
