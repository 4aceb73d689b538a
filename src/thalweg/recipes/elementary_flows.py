"""Recipes of the simplest flows: on the line, and affine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from thalweg.recipes.flows import fitted, flow_settings

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
    """A flow of one number to a normal, logistic, uniform or Beta(5, 5) distribution, by maximum likelihood.

    Args:
        map: a monotone function made of a gaussian or logistic mixture's distribution function, or a spline
        base: distribution of z; the lecture's three are uniform, beta and normal
        components: of the mixture
        bins: of the spline
        bound: the spline moves what is in [-bound, bound], in standard deviations of the data
        conditional: a density for each class, and so a classifier too

    Reference: Normalizing Flows for Probabilistic Modeling and Inference, George Papamakarios, Eric Nalisnick,
    Danilo Jimenez Rezende, Shakir Mohamed, Balaji Lakshminarayanan, 2021, section 2.2, arXiv 1912.02762.
    """
    from thalweg.models.flows.flow_1d import Flow1D

    settings = flow_settings("flow-1d", spec, conditional=conditional)
    if spec.shape != (1,):
        raise ValueError(f"flow-1d: got data '{spec.name}' of shape {spec.shape}, wanted vectors of one column")
    flow = Flow1D(spec.shape, map=map, base=base, components=components, bins=bins, bound=bound, **settings)
    return fitted(flow, steps=3000, lr=1e-2)


def affine_flow(spec: Spec, *, alpha: float = 0.05, conditional: bool = False) -> Run:
    """The affine flow X = AZ + b, a Gaussian, on vectors or logits of images, by maximum likelihood.

    Args:
        alpha: how far the logit of an image's values stays from its ends
        conditional: a density for each class, and so a classifier too

    Reference: Normalizing Flows for Probabilistic Modeling and Inference, George Papamakarios, Eric Nalisnick,
    Danilo Jimenez Rezende, Shakir Mohamed, Balaji Lakshminarayanan, 2021, arXiv 1912.02762.
    """
    from thalweg.models.flows.affine import AffineFlow

    settings = flow_settings("affine-flow", spec, alpha=alpha, conditional=conditional)
    return fitted(AffineFlow(spec.shape, **settings), steps=3000, lr=1e-2)
