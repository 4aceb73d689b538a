"""Recipes of the simplest flows: of a scalar, and affine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from thalweg.recipes.flows import FlowOptions, fitted, flow_settings

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["affine_flow", "flow_1d"]


def flow_1d(
    spec: Spec,
    *,
    map: Literal["gaussian", "logistic", "spline"] = "gaussian",
    base: Literal["normal", "logistic", "uniform", "beta"] = "normal",
    components: int = 8,
    bins: int = 16,
    bound: float = 5.0,
    conditional: bool = False,
) -> Run:
    """Flow of a scalar to a normal, logistic, uniform or Beta(5, 5) base distribution, by maximum likelihood.

    Args:
        map: monotone function: from the distribution function of a gaussian or logistic mixture, or a spline
        base: base distribution
        components: number of components of the mixture
        bins: number of bins of the spline
        bound: the spline transforms values in [-bound, bound], in standard deviations of the data
        conditional: one density per class, which makes the model a classifier as well

    Reference: *Normalizing Flows for Probabilistic Modeling and Inference*, George Papamakarios, Eric Nalisnick, Danilo
    Jimenez Rezende, Shakir Mohamed, Balaji Lakshminarayanan, 2021, arXiv:1912.02762, section 2.2.
    """
    from thalweg.models.flows.flow_1d import Flow1D

    settings = flow_settings("flow-1d", spec, FlowOptions(conditional=conditional))
    if spec.shape != (1,):
        raise ValueError(f"flow-1d: got data '{spec.name}' of shape {spec.shape}, wanted vectors of one column")
    flow = Flow1D(spec.shape, map=map, base=base, components=components, bins=bins, bound=bound, **settings)
    return fitted(flow, steps=3000, lr=1e-2)


def affine_flow(spec: Spec, *, common: FlowOptions = FlowOptions()) -> Run:
    """The affine flow X = AZ + b, a Gaussian, of vectors or logits of images, by maximum likelihood.

    Reference: *Normalizing Flows for Probabilistic Modeling and Inference*, George Papamakarios, Eric Nalisnick, Danilo
    Jimenez Rezende, Shakir Mohamed, Balaji Lakshminarayanan, 2021, arXiv:1912.02762.
    """
    from thalweg.models.flows.affine import AffineFlow

    settings = flow_settings("affine-flow", spec, common)
    return fitted(AffineFlow(spec.shape, **settings), steps=3000, lr=1e-2)
