"""Flows on the line: a monotone function that takes one number to a uniform, a beta or a normal distribution."""

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
    """Flow of one number x by a monotone map m, then an affine map: z = a m(x) + b, or C(a m(x) + b) on (0, 1).

    m is C⁻¹ of a mixture of distribution functions C, normal or logistic, or a rational-quadratic spline (C is then
    logistic). C comes last where the base lives on (0, 1), so that z does, too. With a = 1, b = 0 and a uniform base,
    z = F(x) and p(x) = F'(x), F the mixture's: every density on the line is one of those in the limit.

    Args:
        shape: of one raw example, (1,).
        map: "gaussian" or "logistic" mixture, or "spline".
        components: of the mixture.
        bins: of the spline.
        bound: the spline moves what is in [−bound, bound], in standard deviations of the data.
        base: distribution of z: "normal", "logistic", "uniform" on (0, 1) or "beta", Beta(5, 5).
        context: how many numbers the flow is conditioned on; 0: none.
        settings: how raw data reach R, see `Flow`.

    Reference: Normalizing Flows for Probabilistic Modeling and Inference, George Papamakarios, Eric Nalisnick,
    Danilo Jimenez Rezende, Shakir Mohamed, Balaji Lakshminarayanan, 2021, section 2.2, arXiv 1912.02762.

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
            raise ValueError(f"shape: got {tuple(shape)}, wanted (1,): one number an example")
        monotone = Spline(bins, bound, context) if map == "spline" else MixtureOfCDFs(map, components, context)
        parts: list[Transform] = [monotone, TriangularAffine(1, context)]
        if base_distribution(base).unit:
            parts.append(Squash("logistic" if map == "spline" else map))
        super().__init__(shape, Composed(*parts), base=base, context=context, **settings)
