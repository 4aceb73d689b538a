"""Recipes of flows in continuous time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from thalweg.recipes.flows import fitted, flow_settings

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["ffjord"]

MAX_EXACT_TRACE = 8  # values of an example, up to which an exact trace costs little


def ffjord(
    spec: Spec,
    *,
    architecture: Literal["auto", "dense", "conv"] = "auto",
    hidden: int | None = None,
    depth: int | None = None,
    solver: Literal["rk4", "dopri5"] = "rk4",
    ode_steps: int = 8,
    tolerance: float = 1e-5,
    adjoint: bool = False,
    trace: Literal["exact", "hutchinson"] | None = None,
    alpha: float = 0.05,
    conditional: bool = False,
) -> Run:
    """FFJORD, a flow in continuous time along a learned velocity, on vectors or images.

    Args:
        architecture: of the velocity, dense on flattened examples or conv on images; auto is conv for images
        hidden: units, or channels, of a hidden layer of the velocity; by default 64 units or 32 channels
        depth: hidden layers of the velocity; by default 2, of conv 3
        solver: of the differential equation, fixed steps (rk4) or steps that keep errors to a tolerance (dopri5)
        ode_steps: of rk4
        tolerance: of dopri5, relative and absolute
        adjoint: find gradients by the adjoint equation, in constant memory
        trace: in training, exact or Hutchinson's estimate; by default exact for examples of at most 8 values
        alpha: how far the logit of an image's values stays from its ends
        conditional: a density for each class, and so a classifier too

    Reference: FFJORD: Free-form Continuous Dynamics for Scalable Reversible Generative Models, Will Grathwohl,
    Ricky Chen, Jesse Bettencourt, Ilya Sutskever, David Duvenaud, 2019, arXiv 1810.01367.
    """
    from thalweg.checks import choice
    from thalweg.models.flows.ffjord import FFJORD
    from thalweg.nn.ode import Solver

    settings = flow_settings("ffjord", spec, alpha=alpha, conditional=conditional)
    if trace is not None:
        choice("trace", trace, ("exact", "hutchinson"))
    probed = spec.size > MAX_EXACT_TRACE if trace is None else trace == "hutchinson"
    way = Solver(solver, ode_steps, tolerance)
    image = spec.kind == "image"
    if choice("architecture", architecture, ("auto", "dense", "conv")) == "conv" and not image:
        raise ValueError(f"architecture: got 'conv' with vectors '{spec.name}', wanted dense")
    conv = image and architecture != "dense"
    flow = FFJORD(
        spec.shape,
        architecture="conv" if conv else "dense",
        hidden=(32 if conv else 64) if hidden is None else hidden,
        depth=(3 if conv else 2) if depth is None else depth,
        solver=way,
        adjoint=adjoint,
        probed=probed,
        **settings,
    )
    if image:
        return fitted(flow, steps=4000, batch_size=128 if conv else 512)
    return fitted(flow, steps=4000, batch_size=256, lr=1e-2)  # at 2e-3, velocities that a few steps cannot follow
