"""FFJORD: a flow in continuous time, whose log-determinant is an integral of a trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thalweg.checks import choice
from thalweg.models.flows.flow import Flow
from thalweg.models.flows.velocity import ConvVelocity, Velocity
from thalweg.nn.ode import Solver, State, solve, solve_by_adjoint
from thalweg.nn.transform import Transform, TransformOutput

__all__ = ["FFJORD", "Continuous", "Velocity"]

# Training may find velocities for which the fixed steps are wrong in its favor, a density of mass above 1: what is
# measured takes this many times as many, whose error is 81 times smaller.
FINER = 3


class Continuous(Transform):
    """f(x) = z_1 with dz/dt = h(t, z) and z_0 = x, so that log |det ∂f/∂x| = ∫₀¹ tr ∂h/∂z dt; the inverse goes back.

    The trace is exact, D products with the Jacobian, unless there is a probe ε with E εεᵀ = I: then it is εᵀ(∂h/∂z)ε,
    whose mean is right (Hutchinson), one product; ε stays the same during the solution.

    The lecture leaves the log-determinant out, and its integral ∫₀ᵗ h(t, z_t) dt is ∫₀ᵗ h(s, z_s) ds.

    Args:
        velocity: h, called as `Velocity` is, on vectors (B, D).
        solver: of the differential equation.
        adjoint: find gradients by the adjoint equation, in constant memory, and not through the solver's steps.
    """

    def __init__(self, velocity: nn.Module, solver: Solver, adjoint: bool = False) -> None:
        super().__init__()
        self.velocity, self.solver, self.adjoint = velocity, solver.checked(), adjoint

    def forward(
        self,
        x: Float[Tensor, "B D"],
        context: Float[Tensor, "B K"] | None = None,
        probe: Float[Tensor, "B D"] | None = None,
    ) -> TransformOutput:
        """Return z_1 and the log-determinant."""
        return TransformOutput(*self._solve(x, context, 0.0, 1.0, _basis(x) if probe is None else probe[None]))

    def inverse(
        self,
        z: Float[Tensor, "B D"],
        context: Float[Tensor, "B K"] | None = None,
        probe: Float[Tensor, "B D"] | None = None,
    ) -> TransformOutput:
        """Return z_0 and the log-determinant of `forward` there."""
        x, back = self._solve(z, context, 1.0, 0.0, _basis(z) if probe is None else probe[None])
        return TransformOutput(x, -back)

    def forward_alone(
        self, x: Float[Tensor, "B D"], context: Float[Tensor, "B K"] | None = None
    ) -> Float[Tensor, "B D"]:
        """Return z_1, for less."""
        return self._solve(x, context, 0.0, 1.0, None)[0]

    def inverse_alone(self, z: Float[Tensor, "B D"], context: Float[Tensor, "B K"] | None = None) -> Tensor:
        """Return z_0, for less."""
        return self._solve(z, context, 1.0, 0.0, None)[0]

    def _solve(self, x: Tensor, context: Tensor | None, start: float, end: float, vectors: Tensor | None) -> State:
        def field(t: Any, state: State) -> State:
            velocity, pushed = self.velocity(t, state[0], vectors, context)
            velocity = velocity.to(x.dtype)
            return (velocity,) if pushed is None else (velocity, (vectors * pushed).sum((0, 2)).to(x.dtype))

        state = (x,) if vectors is None else (x, x.new_zeros(len(x)))
        solver = self.solver if self.training else self.solver._replace(steps=FINER * self.solver.steps)
        if not self.adjoint:
            return solve(field, state, start, end, solver)
        others = [*self.velocity.parameters(), *([] if context is None else [context])]
        return solve_by_adjoint(field, state, start, end, solver, others)


def _basis(x: Tensor) -> Tensor:
    return torch.eye(x.shape[1], dtype=x.dtype, device=x.device)[:, None]


EXACT = 256  # values of an example, up to which what is measured has an exact trace


class FFJORD(Flow):
    """FFJORD: log p(x) = log p_Z(z_1) + ∫₀¹ tr ∂h/∂z dt, see `Continuous`, `Velocity` and `ConvVelocity`.

    `probed`: training estimates the trace by the signs of normal noise. What is measured is exact up to 256 values an
    example; beyond, it is an unbiased estimate by signs drawn anew each time, as in the paper. The paper's flows of
    images also have several scales; here all of z keeps the size of the image.

    The density is that of the exact solution: with too few steps, or too large a tolerance, it need not integrate to 1.
    In evaluation mode "rk4" takes three times as many steps as in training.

    Args:
        shape: of one raw example.
        architecture: of h, "dense" on flattened examples or "conv" on images.
        hidden: width of the hidden layers of h, or their channels.
        depth: number of those hidden layers.
        solver: of the differential equation.
        adjoint: find gradients by the adjoint equation.
        probed: estimate the trace in training.
        context: how many numbers the flow is conditioned on; 0: none.
        settings: how raw data reach R^d, see `Flow`.

    Reference: FFJORD: Free-form Continuous Dynamics for Scalable Reversible Generative Models, Will Grathwohl,
    Ricky Chen, Jesse Bettencourt, Ilya Sutskever, David Duvenaud, 2019, arXiv 1810.01367.

    >>> flow = FFJORD((2,), mean=[0.0] * 2, std=[1.0] * 2, hidden=8)
    >>> flow.log_prob(flow.sample(4)).shape
    torch.Size([4])
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        architecture: Literal["dense", "conv"] = "dense",
        hidden: int = 64,
        depth: int = 3,
        solver: Solver = Solver(),  # noqa: B008  # immutable
        adjoint: bool = False,
        probed: bool = False,
        context: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(shape, context=context, **settings)
        velocity: nn.Module
        if choice("architecture", architecture, ("dense", "conv")) == "conv":
            velocity = ConvVelocity(self.shape, hidden=hidden, depth=depth, context=context)
        else:
            velocity = Velocity(self.size, hidden=hidden, depth=depth, context=context)
        self.transform, self.probed = Continuous(velocity, solver, adjoint), probed

    def forward_transform(self, y: Tensor, context: Tensor | None = None) -> TransformOutput:
        """Take prepared data to z, with the log-determinant."""
        y = y.flatten(1)
        moved: TransformOutput = self.transform(y, context, torch.randn_like(y).sign() if self.size > EXACT else None)
        return moved

    def forward_value(self, y: Tensor, context: Tensor | None = None) -> Tensor:
        """Take prepared data to z, without the trace."""
        return self.transform.forward_alone(y.flatten(1), context)

    def forward_transform_by_probe(self, y: Tensor, context: Tensor | None, probe: Tensor) -> TransformOutput:
        """Take prepared data to z, with an estimate of the log-determinant by the signs of `probe`."""
        moved: TransformOutput = self.transform(y.flatten(1), context, probe.sign().to(y.dtype))
        return moved

    def inverse_transform(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Invert `forward_transform`."""
        return self.transform.inverse_alone(z, context).reshape(-1, *self.shape)

    def inverse_transform_and_log_det(self, z: Tensor, context: Tensor | None = None) -> TransformOutput:
        """Return y with the log-determinant of `forward_transform` there, from one solution."""
        y, log_det = self.transform.inverse(z, context, torch.randn_like(z).sign() if self.size > EXACT else None)
        return TransformOutput(y.reshape(-1, *self.shape), log_det)
