"""Recipes of flows in continuous time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from thalweg.recipes.flows import fitted, flow_settings

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["ffjord"]

FEW = 8  # values of an example, up to which an exact trace costs little


def ffjord(
    spec: Spec,
    *,
    hidden: int = 64,
    depth: int = 3,
    solver: Literal["rk4", "dopri5"] = "rk4",
    ode_steps: int = 8,
    tolerance: float = 1e-5,
    adjoint: bool = False,
    trace: Literal["exact", "hutchinson"] | None = None,
    alpha: float = 0.05,
    conditional: bool = False,
) -> Run:
    """FFJORD, a flow in continuous time along a learned velocity, on vectors or flattened images.

    Args:
        hidden: units of a hidden layer of the velocity
        depth: hidden layers of the velocity
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
    probed = spec.size > FEW if trace is None else trace == "hutchinson"
    way = Solver(solver, ode_steps, tolerance)
    flow = FFJORD(spec.shape, hidden=hidden, depth=depth, solver=way, adjoint=adjoint, probed=probed, **settings)
    return fitted(flow, steps=4000)
