"""Batch normalization as an invertible transform, with its log-determinant."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

from thalweg.checks import in_range, positive
from thalweg.nn.transform import Transform, TransformOutput

__all__ = ["FlowBatchNorm", "Moments", "mean_over_processes", "moments", "per_channel"]


class FlowBatchNorm(Transform):
    """z = (x − μ̃) / √(σ̃² + ε), with one μ̃ and σ̃² per channel; log |det ∂z/∂x| = −½ H·W·Σ log(σ̃² + ε).

    There are no γ and β. In training μ̃ ← ρ μ̃ + (1 − ρ) μ̂, and likewise σ̃², with the statistics μ̂ and σ̂² of the
    batch; z uses the new values, and gradients pass through μ̂ and σ̂² only. In evaluation, and in the inverse, μ̃ and
    σ̃² are fixed, so examples do not depend on each other. ρ is 1 − the momentum of torch's batch normalization. The
    running variance starts at 1. With several processes each normalizes with its own μ̂, and all store the mean over
    the processes.

    The log-determinant of an image sums over all positions of all channels.

    Args:
        channels: of images (B, C, H, W), or columns of vectors (B, C).
        rho: weight of the old running statistics in a step, from 0 to 1.
        eps: added to the variance.

    Reference: *Density estimation using Real NVP*, Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio, 2017, section 3.7
    and appendix E, arXiv:1605.08803.

    >>> norm = FlowBatchNorm(2, rho=0.0)
    >>> z = norm(3 + 5 * torch.randn(100, 2)).value
    >>> bool(z.mean(0).abs().max() < 1e-5)
    True
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, *, rho: float = 0.9, eps: float = 1e-5) -> None:
        super().__init__()
        self.rho, self.eps = in_range("rho", rho, 0.0, 1.0), positive("eps", eps)
        self.momentum: float | None = 1 - self.rho  # None: running statistics are means over all batches since a reset
        self._batches = 0
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, x: Float[Tensor, "B C ..."], context: Tensor | None = None) -> TransformOutput:
        """Return z and the log-determinant; in training, update the running statistics. A context is ignored."""
        now = self._follow(x) if self.training else Moments(self.mean, self.variance)
        scale = (now.variance + self.eps).rsqrt()
        return TransformOutput((x - per_channel(now.mean, x)) * per_channel(scale, x), self._log_det(x, now.variance))

    def inverse(self, z: Float[Tensor, "B C ..."], context: Tensor | None = None) -> TransformOutput:
        """Return x = z √(σ̃² + ε) + μ̃ with the running statistics, and the log-determinant of `forward` with them."""
        scale = (self.variance + self.eps).sqrt()
        x = z * per_channel(scale, z) + per_channel(self.mean, z)
        return TransformOutput(x, self._log_det(z, self.variance))

    def reset_running_stats(self) -> None:
        """Forget all batches, as torch's batch normalization does."""
        self.mean.zero_()
        self.variance.fill_(1.0)
        self._batches = 0

    def _follow(self, x: Tensor) -> Moments:
        of_batch = moments(x)
        self._batches += 1
        rho = self.rho if self.momentum is not None else 1 - 1 / self._batches
        mean = rho * self.mean + (1 - rho) * of_batch.mean
        variance = rho * self.variance + (1 - rho) * of_batch.variance
        kept = mean_over_processes(torch.stack([mean.detach(), variance.detach()]))
        self.mean.copy_(kept[0])
        self.variance.copy_(kept[1])
        return Moments(mean, variance)

    def _log_det(self, x: Tensor, variance: Tensor) -> Tensor:
        return (-0.5 * x[0, 0].numel() * (variance + self.eps).log().sum()).expand(len(x))

    def extra_repr(self) -> str:
        return f"{len(self.mean)}, rho={self.rho}, eps={self.eps}"


class Moments(NamedTuple):
    """Mean and variance of each channel (C,)."""

    mean: Tensor
    variance: Tensor


def moments(x: Float[Tensor, "B C ..."]) -> Moments:
    """Return the mean and the variance, divided by n, of each channel over examples and positions."""
    over = [d for d in range(x.ndim) if d != 1]
    variance, mean = torch.var_mean(x, over, correction=0)
    return Moments(mean, variance)


def per_channel(value: Float[Tensor, " C"], x: Float[Tensor, "B C ..."]) -> Tensor:
    """Return `value` (C,) shaped so that it broadcasts over `x`."""
    return value.view(-1, *(1 for _ in x.shape[2:]))


def mean_over_processes(value: Tensor) -> Tensor:
    """Return the mean of `value` over the processes that train together."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return value
    dist.all_reduce(value)
    return value / dist.get_world_size()
