"""Monotone maps of the line: through mixtures of distribution functions, by splines, and to the interval (0, 1)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import logsigmoid
from torch.special import log_ndtr, ndtri

from thalweg.checks import choice, in_range, positive
from thalweg.nn.spline import rational_quadratic
from thalweg.nn.transform import Transform, TransformOutput

__all__ = ["KERNELS", "Kernel", "MixtureOfCDFs", "Spline", "Squash"]

MIN_SCALE = 1e-3  # smallest scale of a component: without it the likelihood is unbounded


class Kernel(NamedTuple):
    """A symmetric distribution: log C and log c of a value, and the value as a function of (log C, log (1 − C))."""

    log_cdf: Callable[[Tensor], Tensor]
    log_pdf: Callable[[Tensor], Tensor]
    quantile: Callable[[Tensor, Tensor], Tensor]


class MixtureOfCDFs(Transform):
    """f(x) = C⁻¹(Σ_k w_k C((x − μ_k)/σ_k)): the distribution function F of a mixture, then the quantile function C⁻¹.

    C is the distribution function of the normal or the logistic distribution. f'(x) = F'(x)/c(f(x)). With one component
    f is affine; otherwise it is asymptotically affine. With a Gaussian C, f maps the mixture exactly to N(0, 1), as
    F(X) is uniform. Everything is computed from the logarithms of F and 1 − F, so the tails are accurate. The inverse
    has no closed form and is computed by bisection, then Newton's method.

    Args:
        kernel: distribution of a component, "gaussian" or "logistic".
        components: number of components.
        context: number of context values; the weights, means and log-scales depend on them linearly.

    >>> f = MixtureOfCDFs("gaussian", 1)
    >>> x = torch.tensor([[-30.0], [0.0], [30.0]])
    >>> bool((f.inverse(f(x).value).value - x).abs().max() < 1e-4)
    True
    """

    def __init__(self, kernel: Literal["gaussian", "logistic"], components: int, context: int = 0) -> None:
        super().__init__()
        self.kernel = choice("kernel", kernel, KERNELS)
        k = positive("components", components)
        means = torch.linspace(-2, 2, k) if k > 1 else torch.zeros(1)
        log_scales = torch.full((k,), -math.log(k) / 2)
        self.start = nn.Parameter(torch.stack([torch.zeros(k), means, log_scales]))
        self.of_context = nn.Linear(context, 3 * k, bias=False) if context else None

    def forward(self, x: Float[Tensor, "B 1"], context: Float[Tensor, "B K"] | None = None) -> TransformOutput:
        """Return f(x) and log f'(x)."""
        log_weight, mean, scale = self._of(context)
        kernel, u = KERNELS[self.kernel], (x - mean) / scale
        log_below = (log_weight + kernel.log_cdf(u)).logsumexp(-1, keepdim=True)
        log_above = (log_weight + kernel.log_cdf(-u)).logsumexp(-1, keepdim=True)
        log_density = (log_weight - scale.log() + kernel.log_pdf(u)).logsumexp(-1)
        value = kernel.quantile(log_below, log_above)
        return TransformOutput(value, log_density - kernel.log_pdf(value).squeeze(-1))

    def inverse(self, z: Float[Tensor, "B 1"], context: Float[Tensor, "B K"] | None = None) -> TransformOutput:
        """Return the x with f(x) = z to the precision of floats, differentiable, and log f'(x)."""
        with torch.no_grad():
            _, mean, scale = self._of(context)
            ends = mean + scale * z  # x lies between the solutions for single components
            low, high = ends.amin(-1, keepdim=True), ends.amax(-1, keepdim=True)
            for _ in range(24):
                middle = (low + high) / 2
                below = self(middle, context).value < z
                low, high = torch.where(below, middle, low), torch.where(below, high, middle)
            x = (low + high) / 2
            for _ in range(3):
                x = self._newton(x, z, context).clamp(low, high)
        x = self._newton(x, z, context)  # one more step gives the derivative, by the implicit function theorem
        return TransformOutput(x, self(x, context).log_det)

    def _newton(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        value, log_slope = self(x, context)
        return x + (z - value) * (-log_slope.detach()).exp().unsqueeze(-1)

    def _of(self, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        raw = self.start.flatten()
        if self.of_context is not None and context is not None:
            raw = raw + self.of_context(context).to(raw.dtype)
        weight, mean, log_scale = raw.chunk(3, -1)
        return weight.log_softmax(-1), mean, log_scale.exp() + MIN_SCALE


class Spline(Transform):
    """A monotone rational-quadratic spline of [−bound, bound] onto itself, see `rational_quadratic`; identity outside.

    Args:
        bins: number of bins of the spline.
        bound: values in [−bound, bound] are transformed.
        context: number of context values; the parameters depend on them linearly.

    >>> Spline(8, 4.0)(torch.tensor([[1.0], [9.0]])).value.tolist()
    [[1.0], [9.0]]
    """

    def __init__(self, bins: int, bound: float, context: int = 0) -> None:
        super().__init__()
        self.bound = positive("bound", bound)
        self.raw = nn.Parameter(torch.zeros(3 * in_range("bins", bins, 2, 500) - 1, 1))
        self.of_context = nn.Linear(context, len(self.raw), bias=False) if context else None

    def forward(self, x: Float[Tensor, "B 1"], context: Float[Tensor, "B K"] | None = None) -> TransformOutput:
        """Return f(x) and log f'(x)."""
        return self._moved(x, context, inverse=False)

    def inverse(self, z: Float[Tensor, "B 1"], context: Float[Tensor, "B K"] | None = None) -> TransformOutput:
        """Return the x with f(x) = z, and log f'(x)."""
        return self._moved(z, context, inverse=True)

    def _moved(self, x: Tensor, context: Tensor | None, inverse: bool) -> TransformOutput:
        raw = self.raw
        if self.of_context is not None and context is not None:
            raw = raw + self.of_context(context).to(raw.dtype).T
        value, log_slope = rational_quadratic(x.squeeze(1), raw, self.bound, inverse=inverse)
        return TransformOutput(value.unsqueeze(1), log_slope)


class Squash(Transform):
    """The map to (0, 1) by a distribution function C: z = C(x), with log |det| = Σ log c(x).

    z is kept inside (0, 1), at the nearest floating-point numbers to 0 and 1.

    >>> Squash("logistic")(torch.zeros(1, 1)).value.item()
    0.5
    """

    def __init__(self, kernel: Literal["gaussian", "logistic"]) -> None:
        super().__init__()
        self.kernel = choice("kernel", kernel, KERNELS)

    def forward(self, x: Float[Tensor, "B D"], context: Float[Tensor, "B K"] | None = None) -> TransformOutput:
        """Return z and Σ log c(x). A context is ignored."""
        kernel = KERNELS[self.kernel]
        return TransformOutput(_inside(kernel.log_cdf(x).exp()), kernel.log_pdf(x).sum(1))

    def inverse(self, z: Float[Tensor, "B D"], context: Float[Tensor, "B K"] | None = None) -> TransformOutput:
        """Return x, and Σ log c(x)."""
        kernel, z = KERNELS[self.kernel], _inside(z)
        x = kernel.quantile(z.log(), (-z).log1p())
        return TransformOutput(x, kernel.log_pdf(x).sum(1))


def _inside(z: Tensor) -> Tensor:
    info = torch.finfo(z.dtype)
    return z.clamp(info.tiny, 1 - info.eps / 2)


def _normal_log_pdf(x: Tensor) -> Tensor:
    return -0.5 * x.square() - 0.5 * math.log(2 * math.pi)


class _NormalQuantile(torch.autograd.Function):
    """The x with Φ(x) = p from log p and log (1 − p): from the smaller of the two, so that both tails are accurate."""

    @staticmethod
    def forward(ctx: Any, log_below: Tensor, log_above: Tensor) -> Tensor:
        log_p = torch.minimum(log_below, log_above)
        far = -(-2 * log_p - (-2 * log_p).clamp(min=1).log() - math.log(2 * math.pi)).clamp(min=0).sqrt()
        x = torch.where(log_p > -10, ndtri(log_p.exp()), far)
        for _ in range(4):
            x = x - (log_ndtr(x) - log_p) * (log_ndtr(x) - _normal_log_pdf(x)).exp()
        ctx.save_for_backward(x, log_below < log_above)
        return torch.where(log_below < log_above, x, -x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
        x, lower = ctx.saved_tensors
        g = g * (log_ndtr(x) - _normal_log_pdf(x)).exp()
        return g * lower, -g * ~lower


KERNELS: dict[str, Kernel] = {
    "gaussian": Kernel(log_ndtr, _normal_log_pdf, _NormalQuantile.apply),
    "logistic": Kernel(logsigmoid, lambda x: logsigmoid(x) + logsigmoid(-x), lambda below, above: below - above),
}
