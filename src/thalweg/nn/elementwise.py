"""Monotone maps of single values whose parameters a conditioner computes: additive, affine, spline."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thalweg.checks import in_range, positive
from thalweg.nn.spline import rational_quadratic
from thalweg.nn.transform import MapOutput

__all__ = ["AdditiveMap", "AffineMap", "ElementwiseMap", "SplineMap"]

START_BOUND = 2.0  # initial bound of |s|; it trained best on two-dimensional data
EVERY = slice(None)


class ElementwiseMap(nn.Module, ABC):
    """A monotone map of each value x by `per_value` unconstrained parameters `raw`; zeros give the identity.

    Values are (B, M, ...) and parameters (B, per_value · M, ...), grouped by kind. Where only some of the M values are
    passed, `columns` are their indices.
    """

    per_value: int

    @abstractmethod
    def forward(self, x: Float[Tensor, "B M ..."], raw: Float[Tensor, "B P ..."], columns: slice = EVERY) -> MapOutput:
        """Return y and log dy/dx."""

    @abstractmethod
    def inverse(self, y: Float[Tensor, "B M ..."], raw: Float[Tensor, "B P ..."], columns: slice = EVERY) -> MapOutput:
        """Return the x that `forward` maps to y, and log dy/dx there."""


class AdditiveMap(ElementwiseMap):
    """y = x + t: a shift, of slope 1.

    *Reference*: *NICE: Non-linear Independent Components Estimation*, Laurent Dinh, David Krueger, Yoshua Bengio, 2015,
    arXiv:1410.8516.

    >>> AdditiveMap()(torch.ones(1, 2), torch.tensor([[1.0, 2.0]])).value
    tensor([[2., 3.]])
    """

    per_value = 1

    def forward(self, x: Tensor, raw: Tensor, columns: slice = EVERY) -> MapOutput:
        """Return x + t, and zeros."""
        return MapOutput(x + raw, torch.zeros_like(x))

    def inverse(self, y: Tensor, raw: Tensor, columns: slice = EVERY) -> MapOutput:
        """Return y − t, and zeros."""
        return MapOutput(y - raw, torch.zeros_like(y))


class AffineMap(ElementwiseMap):
    """y = e^s x + t, with s = c tanh(raw) and one learned bound c per value (per channel of images).

    The bound keeps the inverse from overflowing on any example.

    Args:
        size: number of values, or channels of images.

    *Reference*: *Density estimation using Real NVP*, Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio, 2017,
    arXiv:1605.08803.

    >>> affine = AffineMap(1)
    >>> x, raw = torch.ones(1, 1), torch.tensor([[0.5, 3.0]])
    >>> bool(affine.inverse(affine(x, raw).value, raw).value.allclose(x))
    True
    """

    per_value = 2

    def __init__(self, size: int) -> None:
        super().__init__()
        self.bound = nn.Parameter(torch.full((size,), START_BOUND))

    def forward(self, x: Tensor, raw: Tensor, columns: slice = EVERY) -> MapOutput:
        """Return e^s x + t, and s."""
        log_scale, shift = self._scale_and_shift(raw, columns)
        return MapOutput(torch.addcmul(shift, x, log_scale.exp()), log_scale)

    def inverse(self, y: Tensor, raw: Tensor, columns: slice = EVERY) -> MapOutput:
        """Return (y − t) e^{−s}, and s."""
        log_scale, shift = self._scale_and_shift(raw, columns)
        return MapOutput((y - shift) * log_scale.neg().exp(), log_scale)

    def _scale_and_shift(self, raw: Tensor, columns: slice) -> tuple[Tensor, Tensor]:
        scale, shift = raw.chunk(2, 1)
        bound = self.bound[columns].view(-1, *(1 for _ in raw.shape[2:]))
        return (2 * (2 * scale).sigmoid() - 1) * bound, shift  # tanh, several times faster


class SplineMap(ElementwiseMap):
    """A monotone rational-quadratic spline of [−bound, bound] onto itself, see `rational_quadratic`; identity outside.

    Args:
        bins: number of bins of each spline.
        bound: values in [−bound, bound] are transformed.

    *Reference*: *Neural Spline Flows*, Conor Durkan, Artur Bekasov, Iain Murray, George Papamakarios, 2019,
    arXiv:1906.04032.

    >>> spline = SplineMap(bins=3, bound=4.0)
    >>> spline(torch.tensor([[1.0, 9.0]]), torch.zeros(1, 16)).value
    tensor([[1., 9.]])
    """

    def __init__(self, bins: int = 8, bound: float = 4.0) -> None:
        super().__init__()
        self.bins, self.bound = in_range("bins", bins, 2, 500), positive("bound", bound)
        self.per_value = 3 * bins - 1

    def forward(self, x: Tensor, raw: Tensor, columns: slice = EVERY) -> MapOutput:
        """Return y and the logarithms of the slopes."""
        return MapOutput(*rational_quadratic(x, self._knots(raw), self.bound))

    def inverse(self, y: Tensor, raw: Tensor, columns: slice = EVERY) -> MapOutput:
        """Return x and the logarithms of the slopes there."""
        return MapOutput(*rational_quadratic(y, self._knots(raw), self.bound, inverse=True))

    def _knots(self, raw: Tensor) -> Tensor:
        return raw.unflatten(1, (self.per_value, -1)).movedim(1, 0).contiguous()  # bins first: twice as fast
