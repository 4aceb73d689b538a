"""An invertible linear map of channels, in LU form: for images the 1×1 convolution of Glow."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thalweg.nn.transform import Transform, TransformOutput

__all__ = ["InvertibleLinear"]


class InvertibleLinear(Transform):
    """z = W x at every position, W = P L (U + diag(σ ⊙ e^{s})): log |det ∂z/∂x| = H·W·Σ s (of vectors: Σ s).

    L is lower triangular with ones on its diagonal, U strictly upper triangular, s unconstrained; all are learned, and
    W is always invertible. The permutation P and the signs σ are fixed. W is initialized as a random rotation. The
    inverse solves two triangular systems. The computation uses the precision of `x`, under autocast as well, so that
    the map stays invertible.

    Args:
        channels: of images (B, C, H, W), or columns of vectors (B, C).

    Reference: *Glow: Generative Flow with Invertible 1×1 Convolutions*, Diederik P. Kingma, Prafulla Dhariwal, 2018,
    section 3.2, arXiv:1807.03039.

    >>> linear = InvertibleLinear(4)
    >>> x = torch.randn(5, 4, 3, 3)
    >>> bool((linear.inverse(linear(x).value).value - x).abs().max() < 1e-5)
    True
    """

    permutation: Tensor
    sign: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(channels, channels)).Q
        permutation, lower, upper = torch.linalg.lu(rotation)
        self.register_buffer("permutation", permutation)
        self.register_buffer("sign", upper.diagonal().sign())
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))
        self.log_scale = nn.Parameter(upper.diagonal().abs().log())

    def forward(self, x: Float[Tensor, "B C ..."], context: Tensor | None = None) -> TransformOutput:
        """Return z and the log-determinant. A context is ignored."""
        lower, upper = self._factors()
        with torch.autocast(x.device.type, enabled=False):
            weight = self.permutation @ lower @ upper
            if x.ndim == 2:
                return TransformOutput(x @ weight.T, self._log_det(x))
            return TransformOutput(nn.functional.conv2d(x, weight[:, :, None, None]), self._log_det(x))

    def inverse(self, z: Float[Tensor, "B C ..."], context: Tensor | None = None) -> TransformOutput:
        """Return x = W⁻¹ z, and the log-determinant of `forward`."""
        lower, upper = self._factors()
        with torch.autocast(z.device.type, enabled=False):
            columns = self.permutation.T @ z.movedim(1, 0).flatten(1)
            columns = torch.linalg.solve_triangular(lower, columns, upper=False, unitriangular=True)
            columns = torch.linalg.solve_triangular(upper, columns, upper=True)
        x = columns.reshape(z.shape[1], len(z), *z.shape[2:]).movedim(0, 1)
        return TransformOutput(x, self._log_det(z))

    def _factors(self) -> tuple[Tensor, Tensor]:
        identity = torch.eye(len(self.sign), dtype=self.sign.dtype, device=self.sign.device)
        return self.lower.tril(-1) + identity, self.upper.triu(1) + torch.diag(self.sign * self.log_scale.exp())

    def _log_det(self, x: Tensor) -> Tensor:
        return (x[0, 0].numel() * self.log_scale.sum()).expand(len(x))

    def extra_repr(self) -> str:
        return f"{len(self.sign)}"
