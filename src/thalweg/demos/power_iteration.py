"""Power iteration: the eigenvalue of largest absolute value of a symmetric matrix, and its eigenvector."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from thalweg.checks import positive
from thalweg.devices import resolve_device
from thalweg.randomness import generator

__all__ = ["Eigenpair", "power_iteration"]


class Eigenpair(NamedTuple):
    """An eigenvalue, its eigenvector (n,) of length 1 and the residual ‖Av − λv‖."""

    value: float
    vector: Tensor
    residual: float


def power_iteration(matrix: Tensor, steps: int = 100, *, device: str = "auto", seed: int = 0) -> Eigenpair:
    """Return the eigenvalue of largest absolute value of a symmetric matrix (n, n), by x ← Ax/‖Ax‖.

    Matrix and vector are moved to the device once, and the result back once; there is no synchronization in between.
    Without the division, A¹⁰⁰x overflows float32 for every eigenvalue above 2.4. The value is the Rayleigh quotient
    xᵀAx, whose error decreases by the factor (λ₂/λ₁)² in each step.

    Raises ValueError for a matrix that is not square and symmetric, or has values that are not finite.

    >>> found = power_iteration(torch.tensor([[2.0, 1.0], [1.0, 3.0]]), device="cpu")
    >>> round(found.value, 6)
    3.618034
    """
    positive("steps", steps)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise ValueError(f"matrix: got shape {tuple(matrix.shape)}, wanted (n, n)")
    if not matrix.isfinite().all() or not torch.allclose(matrix, matrix.T):
        raise ValueError("matrix: got one that is not symmetric or not finite, wanted a symmetric matrix")
    a = matrix.to(resolve_device(device))
    x = torch.randn(len(a), generator=generator(seed, "power iteration"), dtype=a.dtype).to(a.device)
    for _ in range(steps):
        x = a @ x
        x = x / x.abs().max().clamp_min(torch.finfo(a.dtype).tiny)  # whose square is finite; 0 for the zero matrix
        x = x / x.norm().clamp_min(1e-30)
    image = a @ x
    value = x @ image
    residual = torch.linalg.vector_norm(image - value * x)
    return Eigenpair(value.item(), x.cpu(), residual.item())
