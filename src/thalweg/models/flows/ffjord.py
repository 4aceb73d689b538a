"""FFJORD: a continuous-time flow whose log-determinant is the integral of a trace."""

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

# Training may exploit the error of the fixed steps, which then yield a density with mass above 1. Evaluation therefore
# takes this many times more steps; the error is then 81 times smaller.
FINER = 3


class Continuous(Transform):
    """f(x) = z_1 with dz/dt = h(t, z) and z_0 = x, so that log |det ∂f/∂x| = ∫₀¹ tr ∂h/∂z dt.

    The trace is exact, from D products with the Jacobian, unless a probe ε with E εεᵀ = I is given: then it is
    Hutchinson's unbiased estimate εᵀ(∂h/∂z)ε, from one product, with the same ε during the whole solution.

    Args:
        velocity: h, with the signature of `Velocity`, on vectors (B, D).
        solver: of the differential equation.
        adjoint: compute gradients with the adjoint equation, in constant memory, in place of the solver's steps.
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
        """Return z_1 without the trace, which is faster."""
        return self._solve(x, context, 0.0, 1.0, None)[0]

    def inverse_alone(self, z: Float[Tensor, "B D"], context: Float[Tensor, "B K"] | None = None) -> Tensor:
        """Return z_0 without the trace, which is faster."""
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


EXACT = 256  # number of values of an example up to which evaluation uses the exact trace


class FFJORD(Flow):
    """FFJORD: log p(x) = log p_Z(z_1) + ∫₀¹ tr ∂h/∂z dt, see `Continuous`, `Velocity` and `ConvVelocity`.

    With `probed`, training estimates the trace with random signs. Evaluation is exact for examples of up to 256 values;
    for larger examples it is an unbiased estimate with new random signs in each call, as in the paper. The paper's
    flows of images also have several scales; here z has the size of the image throughout.

    The formula holds for the exact solution: with too few steps, or too large a tolerance, the density need not
    integrate to 1. In evaluation mode "rk4" takes three times as many steps as in training.

    Args:
        shape: of one raw example.
        architecture: network of h, "dense" on flattened examples or "conv" on images.
        hidden: units or channels of the hidden layers of h.
        depth: number of hidden layers of h.
        solver: of the differential equation.
        adjoint: compute gradients with the adjoint equation.
        probed: estimate the trace in training.
        context: number of context values that the flow is conditioned on; 0: none.
        settings: how raw data are mapped to R^d, see `Flow`.

    Reference: *FFJORD: Free-form Continuous Dynamics for Scalable Reversible Generative Models*, Will Grathwohl, Ricky
    Chen, Jesse Bettencourt, Ilya Sutskever, David Duvenaud, 2019, arXiv:1810.01367.

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
        """Map preprocessed data to z, with the log-determinant."""
        y = y.flatten(1)
        moved: TransformOutput = self.transform(y, context, torch.randn_like(y).sign() if self.size > EXACT else None)
        return moved

    def forward_value(self, y: Tensor, context: Tensor | None = None) -> Tensor:
        """Map preprocessed data to z, without the trace."""
        return self.transform.forward_alone(y.flatten(1), context)

    def forward_transform_by_probe(self, y: Tensor, context: Tensor | None, probe: Tensor) -> TransformOutput:
        """Map preprocessed data to z, with an estimate of the log-determinant from the signs of `probe`."""
        moved: TransformOutput = self.transform(y.flatten(1), context, probe.sign().to(y.dtype))
        return moved

    def inverse_transform(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Invert `forward_transform`."""
        return self.transform.inverse_alone(z, context).reshape(-1, *self.shape)

    def inverse_transform_and_log_det(self, z: Tensor, context: Tensor | None = None) -> TransformOutput:
        """Return y with the log-determinant of `forward_transform` there, from one solution."""
        y, log_det = self.transform.inverse(z, context, torch.randn_like(z).sign() if self.size > EXACT else None)
        return TransformOutput(y.reshape(-1, *self.shape), log_det)
