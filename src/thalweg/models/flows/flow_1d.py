"""Flows of a scalar: a monotone function that maps it to a base distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from thalweg.models.flows.affine import TriangularAffine
from thalweg.models.flows.base import Base, base_distribution
from thalweg.models.flows.transformed import TransformedFlow
from thalweg.nn.monotone import MixtureOfCDFs, Spline, Squash
from thalweg.nn.transform import Composed, Transform

__all__ = ["Flow1D"]


class Flow1D(TransformedFlow):
    """Flow of a scalar x: a monotone map m, then an affine map: z = a m(x) + b, or C(a m(x) + b) on (0, 1).

    m is C⁻¹ of a mixture of distribution functions C, normal or logistic, or a rational-quadratic spline (C is then
    logistic). C is applied last if the support of the base is (0, 1). With a = 1, b = 0 and a uniform base, z = F(x)
    and p(x) = F'(x), with F the mixture's distribution function; in the limit these are all densities on the line.

    Args:
        shape: of one raw example, (1,).
        map: "gaussian" or "logistic" mixture, or "spline".
        components: number of components of the mixture.
        bins: number of bins of the spline.
        bound: the spline transforms values in [−bound, bound], in standard deviations of the data.
        base: distribution of z: "normal", "logistic", "uniform" on (0, 1) or "beta", Beta(5, 5).
        context: number of context values that the flow is conditioned on; 0: none.
        settings: how raw data are mapped to R, see `Flow`.

    Reference: *Normalizing Flows for Probabilistic Modeling and Inference*, George Papamakarios, Eric Nalisnick, Danilo
    Jimenez Rezende, Shakir Mohamed, Balaji Lakshminarayanan, 2021, section 2.2, arXiv:1912.02762.

    >>> flow = Flow1D((1,), base="beta", mean=[0.0], std=[1.0])
    >>> z = flow.encode(flow.sample(100))
    >>> bool((z > 0).all() and (z < 1).all())
    True
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        map: Literal["gaussian", "logistic", "spline"] = "gaussian",
        components: int = 8,
        bins: int = 16,
        bound: float = 5.0,
        base: Base = "normal",
        context: int = 0,
        **settings: Any,
    ) -> None:
        if tuple(shape) != (1,):
            raise ValueError(f"shape: got {tuple(shape)}, wanted (1,): one value per example")
        monotone = Spline(bins, bound, context) if map == "spline" else MixtureOfCDFs(map, components, context)
        parts: list[Transform] = [monotone, TriangularAffine(1, context)]
        if base_distribution(base).unit:
            parts.append(Squash("logistic" if map == "spline" else map))
        super().__init__(shape, Composed(*parts), base=base, context=context, **settings)
