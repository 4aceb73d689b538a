"""Recipes of continuous-time flows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from thalweg.recipes.flows import FlowOptions, fitted, flow_settings

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["ffjord"]

MAX_EXACT_TRACE = 8  # number of values of an example up to which the exact trace is cheap


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
    common: FlowOptions = FlowOptions(),
) -> Run:
    """FFJORD: a continuous-time flow along a learned velocity field, on vectors or images.

    Args:
        architecture: network of the velocity, dense on flattened examples or conv on images; auto is conv for images
        hidden: units (dense) or channels (conv) of a hidden layer of the velocity; by default 64 or 32
        depth: hidden layers of the velocity; by default 2 (dense) or 3 (conv)
        solver: solver of the differential equation, with fixed steps (rk4) or adaptive steps (dopri5)
        ode_steps: number of steps of rk4
        tolerance: relative and absolute error tolerance of dopri5
        adjoint: compute gradients with the adjoint equation, in constant memory
        trace: trace of the Jacobian in training, exact or Hutchinson's estimate; by default exact for examples of at
            most 8 values

    Reference: *FFJORD: Free-form Continuous Dynamics for Scalable Reversible Generative Models*, Will Grathwohl, Ricky
    Chen, Jesse Bettencourt, Ilya Sutskever, David Duvenaud, 2019, arXiv:1810.01367.
    """
    from thalweg.checks import choice
    from thalweg.models.flows.ffjord import FFJORD
    from thalweg.nn.ode import Solver

    settings = flow_settings("ffjord", spec, common)
    if trace is not None:
        choice("trace", trace, ("exact", "hutchinson"))
    probed = spec.size > MAX_EXACT_TRACE if trace is None else trace == "hutchinson"
    image = spec.kind == "image"
    if choice("architecture", architecture, ("auto", "dense", "conv")) == "conv" and not image:
        raise ValueError(f"architecture: got 'conv' with vectors '{spec.name}', wanted dense")
    conv = image and architecture != "dense"
    flow = FFJORD(
        spec.shape,
        architecture="conv" if conv else "dense",
        hidden=(32 if conv else 64) if hidden is None else hidden,
        depth=(3 if conv else 2) if depth is None else depth,
        solver=Solver(solver, ode_steps, tolerance),
        adjoint=adjoint,
        probed=probed,
        **settings,
    )
    if image:
        return fitted(flow, steps=4000, batch_size=128 if conv else 512)
    # A rate of 2e-3 leads to velocities that a few solver steps cannot integrate accurately.
    return fitted(flow, steps=4000, batch_size=256, lr=1e-2)
