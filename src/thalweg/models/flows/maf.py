"""Masked autoregressive flow: the density takes one pass, samples one pass per value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from thalweg.checks import choice, positive
from thalweg.models.flows.transformed import TransformedFlow
from thalweg.nn.elementwise import AffineMap, ElementwiseMap, SplineMap
from thalweg.nn.masked_autoregressive import MaskedAutoregressive
from thalweg.nn.transform import Composed

__all__ = ["MAF", "autoregressive_layers"]


class MAF(TransformedFlow):
    """Masked autoregressive flow on flattened data: layers z_i = g(x_i; θ_i(x_<i)) in alternating order.

    With affine maps it is the paper's flow, without its batch normalization; with splines, the autoregressive neural
    spline flow.

    Args:
        shape: of one raw example, of at least two values.
        map: "affine" or "spline".
        layers: number of autoregressive layers.
        bins: number of bins of each spline.
        bound: the splines transform values in [−bound, bound].
        hidden: width of the hidden layers of a masked network.
        depth: number of hidden layers of a masked network.
        context: number of context values that the flow is conditioned on; 0: none.
        settings: how raw data are mapped to R^d, see `Flow`.

    *Reference*: *Masked Autoregressive Flow for Density Estimation*, George Papamakarios, Theo Pavlakou, Iain Murray,
    2017, arXiv:1705.07057. *Neural Spline Flows*, Conor Durkan, Artur Bekasov, Iain Murray, George Papamakarios, 2019,
    arXiv:1906.04032.

    >>> flow = MAF((3,), mean=[0.0] * 3, std=[1.0] * 3, hidden=8)
    >>> flow.log_prob(flow.sample(4)).shape
    torch.Size([4])
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        map: Literal["affine", "spline"] = "affine",
        layers: int = 5,
        bins: int = 8,
        bound: float = 4.0,
        hidden: int = 128,
        depth: int = 2,
        context: int = 0,
        **settings: Any,
    ) -> None:
        choice("map", map, ("affine", "spline"))
        networks = {"hidden": hidden, "depth": depth, "context": context}
        transform = autoregressive_layers(math.prod(shape), map, layers, bins, bound, **networks)
        super().__init__(shape, transform, context=context, **settings)


def autoregressive_layers(
    size: int, map: str, layers: int, bins: int = 8, bound: float = 4.0, **networks: int
) -> Composed:
    """Return autoregressive layers of affine or spline maps, every second one in reverse order."""

    def layer(k: int) -> MaskedAutoregressive:
        g: ElementwiseMap = SplineMap(bins, bound) if map == "spline" else AffineMap(size)
        return MaskedAutoregressive(size, g, reverse=k % 2 == 1, **networks)

    return Composed(*[layer(k) for k in range(positive("layers", layers))])
