"""The affine flow: a Gaussian with any mean and covariance, as a change of variables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thalweg.models.flows.transformed import TransformedFlow
from thalweg.nn.transform import Transform, TransformOutput

__all__ = ["AffineFlow", "TriangularAffine"]


class TriangularAffine(Transform):
    """f(x) = A⁻¹(x − b), A lower triangular with a positive diagonal: log |det ∂f| = −Σ log A_ii, the same everywhere.

    A = diag(e^s)(I + N), N strictly lower triangular. A context is added to b and s through a linear map. The transform
    is initialized as the identity.

    >>> affine = TriangularAffine(2)
    >>> affine(torch.ones(3, 2)).value.tolist()
    [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    """

    def __init__(self, size: int, context: int = 0) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(size))
        self.log_scale = nn.Parameter(torch.zeros(size))
        self.below = nn.Parameter(torch.zeros(size * (size - 1) // 2)) if size > 1 else None
        self.of_context = nn.Linear(context, 2 * size, bias=False) if context else None
        if self.of_context:
            nn.init.zeros_(self.of_context.weight)

    def matrix(self) -> Float[Tensor, "D D"]:
        """Return A, for a context of zeros if there is one."""
        return self.log_scale.exp()[:, None] * self._unit()

    def forward(self, x: Float[Tensor, "B D"], context: Float[Tensor, "B K"] | None = None) -> TransformOutput:
        """Return z = A⁻¹(x − b) and −Σ log A_ii."""
        shift, log_scale = self._of(context)
        z = (x - shift) * (-log_scale).exp()
        if self.below is not None:
            z = torch.linalg.solve_triangular(self._unit().T, z, upper=True, left=False, unitriangular=True)
        return TransformOutput(z, -log_scale.sum(-1).expand(len(x)))

    def inverse(self, z: Float[Tensor, "B D"], context: Float[Tensor, "B K"] | None = None) -> TransformOutput:
        """Return x = Az + b and −Σ log A_ii."""
        shift, log_scale = self._of(context)
        turned = z if self.below is None else z @ self._unit().T
        return TransformOutput(turned * log_scale.exp() + shift, -log_scale.sum(-1).expand(len(z)))

    def _unit(self) -> Tensor:
        """I + N."""
        size = len(self.shift)
        unit = torch.eye(size, dtype=self.shift.dtype, device=self.shift.device)
        if self.below is None:
            return unit
        row, column = torch.tril_indices(size, size, offset=-1, device=unit.device)
        return unit.index_put((row, column), self.below)

    def _of(self, context: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.of_context is None or context is None:
            return self.shift, self.log_scale
        shift, log_scale = self.of_context(context).to(self.shift.dtype).chunk(2, 1)
        return self.shift + shift, self.log_scale + log_scale


class AffineFlow(TransformedFlow):
    """Affine flow on flattened data: X = AZ + b, so that X ~ N(b, AAᵀ) with a normal base distribution.

    Every covariance is AAᵀ for some triangular A, and compositions of affine maps are affine, so a deeper affine flow
    represents no more distributions than this one. For images it is a Gaussian of the logits.

    Args:
        shape: of one raw example.
        context: number of context values that the flow is conditioned on; 0: none.
        settings: how raw data are mapped to R^d, see `Flow`.

    Reference: *Normalizing Flows for Probabilistic Modeling and Inference*, George Papamakarios, Eric Nalisnick, Danilo
    Jimenez Rezende, Shakir Mohamed, Balaji Lakshminarayanan, 2021, arXiv:1912.02762.

    >>> flow = AffineFlow((2,), mean=[1.0, 2.0], std=[3.0, 4.0])
    >>> flow.decode(torch.ones(1, 2)).tolist()
    [[4.0, 6.0]]
    """

    def __init__(self, shape: Sequence[int], *, context: int = 0, **settings: Any) -> None:
        super().__init__(shape, TriangularAffine(math.prod(shape), context), context=context, **settings)
