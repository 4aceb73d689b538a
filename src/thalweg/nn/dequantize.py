"""The map from dequantized levels of images to R, with its log-determinant."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from thalweg.nn.transform import TransformOutput

__all__ = ["LogitLevels"]


class LogitLevels(nn.Module):
    """z = logit(α + (1 − 2α) x / levels) for x in [0, levels): integer levels plus uniform noise u ~ U[0, 1).

    log |dz/dx| = log((1 − 2α) / levels) − log p(1 − p), p = sigmoid(z), summed over the values of an example.

    The mean over u of a log-density of x + u is a lower bound on the log-probability of the level x.

    Args:
        levels: number of quantization levels.
        alpha: margin between the argument of the logit and 0 or 1.

    Reference: *Density estimation using Real NVP*, Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio, 2017, section 4.1,
    arXiv:1605.08803. *A note on the evaluation of generative models*, Lucas Theis, Aäron van den Oord, Matthias Bethge,
    2016, arXiv:1511.01844.

    >>> levels = LogitLevels(17)
    >>> x = torch.tensor([[0.5, 8.5, 16.9]])
    >>> bool((levels.inverse(levels.forward_and_log_det(x).value) - x).abs().max() < 1e-5)
    True
    """

    def __init__(self, levels: int, alpha: float = 0.05) -> None:
        super().__init__()
        if levels < 2:
            raise ValueError(f"levels: got {levels}, wanted at least 2")
        if not 0 <= alpha < 0.5:
            raise ValueError(f"alpha: got {alpha}, wanted a number in [0, 0.5)")
        self.levels, self.alpha = levels, alpha

    def forward_and_log_det(self, x: Tensor) -> TransformOutput:
        """Return z and the log-determinant of each example, both finite."""
        scale = (1 - 2 * self.alpha) / self.levels
        z = torch.logit(x * scale + self.alpha, eps=torch.finfo(x.dtype).eps)
        log_det = softplus(z) + softplus(-z) + math.log(scale)
        return TransformOutput(z, log_det.flatten(1).sum(1))

    def inverse(self, z: Tensor) -> Tensor:
        """Return x; it is outside [0, levels) where the sigmoid of z is within the margin α of 0 or 1."""
        return (z.sigmoid() - self.alpha) * (self.levels / (1 - 2 * self.alpha))
