"""Ordinary differential equations, solved differentiably: through the solver's steps, or with the adjoint equation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from thalweg.checks import choice, positive

__all__ = ["Solver", "State", "solve", "solve_by_adjoint"]

State = tuple[Tensor, ...]
Field = Callable[[Any, State], State]


class Solver(NamedTuple):
    """How an equation is solved: "rk4" with `steps` equal steps, or "dopri5" with steps adapted to `tolerance`.

    `tolerance` is both relative and absolute. "rk4" is the classical Runge-Kutta method; torchdiffeq's "rk4" is the
    other method of order four, the 3/8 rule.

    Raises ValueError for other names and for numbers that are not positive.
    """

    name: Literal["rk4", "dopri5"] = "rk4"
    steps: int = 8
    tolerance: float = 1e-5

    def checked(self) -> Solver:
        """Return the solver if its fields are valid."""
        choice("solver", self.name, ("rk4", "dopri5"))
        positive("steps", self.steps)
        positive("tolerance", self.tolerance)
        return self


def solve(field: Field, state: State, start: float, end: float, solver: Solver) -> State:
    """Return the state at `end` of ds/dt = field(t, s) with `state` at `start`, which may be later than `end`.

    Differentiable through the solver's steps. Raises ArithmeticError where the step size becomes too small.

    >>> grown = solve(lambda t, state: state, (torch.ones(1),), 0.0, 1.0, Solver(steps=10))
    >>> round(grown[0].item(), 4)
    2.7183
    """
    if solver.name == "rk4":
        return _runge_kutta(field, state, start, end, solver.steps)
    from torchdiffeq import odeint

    times = torch.tensor([start, end], dtype=state[0].dtype, device=state[0].device)
    try:
        path = odeint(field, state, times, rtol=solver.tolerance, atol=solver.tolerance, method="dopri5")
    except AssertionError as error:
        raise ArithmeticError(
            f"dopri5 at tolerance {solver.tolerance:g} could not go on ({str(error).split(':')[0]}); wanted a larger "
            "tolerance, a lower learning rate, or the solver rk4"
        ) from None
    return tuple(values[-1] for values in path)


def _runge_kutta(field: Field, state: State, start: float, end: float, steps: int) -> State:
    h = (end - start) / steps
    for i in range(steps):
        t = start + i * h
        k1 = field(t, state)
        k2 = field(t + h / 2, _ahead(state, k1, h / 2))
        k3 = field(t + h / 2, _ahead(state, k2, h / 2))
        k4 = field(t + h, _ahead(state, k3, h))
        state = tuple(
            s.add(a + d, alpha=h / 6).add(b + c, alpha=h / 3)
            for s, a, b, c, d in zip(state, k1, k2, k3, k4, strict=True)
        )
    return state


def _ahead(state: State, slope: State, h: float) -> State:
    return tuple(s.add(k, alpha=h) for s, k in zip(state, slope, strict=True))


def solve_by_adjoint(
    field: Field, state: State, start: float, end: float, solver: Solver, parameters: Sequence[Tensor]
) -> State:
    """Return the result of `solve`, with gradients from the adjoint equation, in constant memory.

    With a = ∂L/∂s, da/dt = −aᵀ ∂f/∂s and ∂L/∂θ = ∫ aᵀ ∂f/∂θ dt, where s is solved backward as well: exact up to the
    solver's errors. `parameters` are all tensors, apart from the state, that require gradients. Differentiable once.

    Reference: *Neural Ordinary Differential Equations*, Ricky Chen, Yulia Rubanova, Jesse Bettencourt, David Duvenaud,
    2018, arXiv:1806.07366.
    """
    wanted = [p for p in parameters if p.requires_grad]
    states: State = _Adjoint.apply(field, start, end, solver, len(state), *state, *wanted)
    return states


class _Adjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, field: Field, start: float, end: float, solver: Solver, n: int, *tensors: Tensor) -> State:
        with torch.no_grad():
            state = solve(field, tensors[:n], start, end, solver)
        ctx.field, ctx.start, ctx.end, ctx.solver = field, start, end, solver
        ctx.n, ctx.parameters = n, tensors[n:]
        ctx.save_for_backward(*state)
        return state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        n, parameters = ctx.n, ctx.parameters

        def backward_field(t: Any, state: State) -> State:
            with torch.enable_grad():
                at = [s.detach().requires_grad_() for s in state[:n]]
                slope = ctx.field(t, tuple(at))
                inputs = [*at, *parameters]
                gradients = torch.autograd.grad(slope, inputs, state[n : 2 * n], allow_unused=True)
            pulled = [torch.zeros_like(x) if g is None else -g for x, g in zip(inputs, gradients, strict=True)]
            return (*(s.detach() for s in slope), *pulled)

        state = (*ctx.saved_tensors, *gradients, *(torch.zeros_like(p) for p in parameters))
        with torch.no_grad():
            state = solve(backward_field, state, ctx.end, ctx.start, ctx.solver)
        return (None, None, None, None, None, *state[n:])
