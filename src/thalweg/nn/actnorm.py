"""ActNorm: one shift and one scale per channel, initialized from the first training batch."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thalweg.nn.flow_batch_norm import mean_over_processes, moments, per_channel
from thalweg.nn.transform import Transform, TransformOutput

__all__ = ["ActNorm"]

MIN_STD = 1e-6  # added to a standard deviation


class ActNorm(Transform):
    """z = e^{s} (x − m), with m and s learned per channel; log |det ∂z/∂x| = H·W·Σ s (of vectors: Σ s).

    The first forward pass in training mode sets m and s such that z has mean 0 and variance 1 in each channel over that
    batch: over the first of several micro-batches, and over the batches of all processes together. Afterwards they are
    ordinary parameters. Before, they are 0, which is the identity. A buffer records whether they were initialized, so
    that a loaded or resumed module is not initialized again.

    Args:
        channels: of images (B, C, H, W), or columns of vectors (B, C).

    Reference: *Glow: Generative Flow with Invertible 1×1 Convolutions*, Diederik P. Kingma, Prafulla Dhariwal, 2018,
    arXiv:1807.03039.

    >>> norm = ActNorm(2)
    >>> z = norm(3 + 5 * torch.randn(100, 2)).value
    >>> bool(z.mean(0).abs().max() < 1e-5), bool(norm.started)
    (True, True)
    """

    started: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels))
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.register_buffer("started", torch.tensor(False))
        self._known = False  # reading the buffer at every step would wait for the device

    def forward(self, x: Float[Tensor, "B C ..."], context: Tensor | None = None) -> TransformOutput:
        """Return z and the log-determinant; initialize m and s from the first training batch. A context is ignored."""
        if self.training and not self._known:
            self._start(x)
        shift, log_scale = per_channel(self.shift, x), per_channel(self.log_scale, x)
        return TransformOutput((x - shift) * log_scale.exp(), self._log_det(x))

    def inverse(self, z: Float[Tensor, "B C ..."], context: Tensor | None = None) -> TransformOutput:
        """Return x = z e^{−s} + m, and the log-determinant of `forward`."""
        shift, log_scale = per_channel(self.shift, z), per_channel(self.log_scale, z)
        return TransformOutput(z * log_scale.neg().exp() + shift, self._log_det(z))

    def _log_det(self, x: Tensor) -> Tensor:
        return (x[0, 0].numel() * self.log_scale.sum()).expand(len(x))

    @torch.compiler.disable
    @torch.no_grad()
    def _start(self, x: Tensor) -> None:
        if not self.started:
            mean, variance = moments(x)
            mean, square = mean_over_processes(torch.stack([mean, variance + mean.square()]))
            self.shift.copy_(mean)
            self.log_scale.copy_(-((square - mean.square()).clamp(min=0).sqrt() + MIN_STD).log())
            self.started.fill_(True)
        self._known = True

    def _load_from_state_dict(self, *args: Any, **settings: Any) -> None:
        super()._load_from_state_dict(*args, **settings)
        self._known = False  # the buffer may have changed
