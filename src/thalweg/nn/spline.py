"""Monotone rational-quadratic splines of an interval onto itself."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad, softplus

from thalweg.nn.transform import MapOutput

__all__ = ["rational_quadratic"]

MIN_SIZE = 1e-3  # smallest size of a bin, as a share of the interval, and smallest slope at a knot
ZERO = math.log(math.expm1(1 - MIN_SIZE))  # where softplus is 1 − MIN_SIZE


def rational_quadratic(x: Tensor, raw: Tensor, bound: float, *, inverse: bool = False) -> MapOutput:
    """Map each value by a monotone rational-quadratic spline of [−bound, bound] onto itself; identity outside.

    Between the knots (x_k, y_k) and (x_{k+1}, y_{k+1}) with slopes d_k and d_{k+1}, with θ = (x − x_k)/w the position
    in a bin of width w and height h, and s = h/w,

        y = y_k + h (s θ² + d_k θ(1 − θ)) / (s + (d_k + d_{k+1} − 2s) θ(1 − θ)).

    Returns y, or x where `inverse`, and in both cases log dy/dx there. Slopes at the ends are 1; zeros for `raw` give
    the identity. Differentiable once. The inverse solves a quadratic equation with the root formula that avoids
    cancellation, and rounding errors never make it fail.

    Args:
        x: values, any shape (or y where `inverse`).
        raw: (3K − 1, ...) for K bins: K widths, K heights and K − 1 slopes, unconstrained; the remaining dimensions
            broadcast against `x`.

    Reference: *Neural Spline Flows*, Conor Durkan, Artur Bekasov, Iain Murray, George Papamakarios, 2019,
    arXiv:1906.04032.

    >>> x, raw = torch.linspace(-5, 5, 101), torch.linspace(-1, 1, 11)[:, None]
    >>> y = rational_quadratic(x, raw, 3.0).value
    >>> bool((y.diff() > 0).all()), bool((rational_quadratic(y, raw, 3.0, inverse=True).value - x).abs().max() < 1e-4)
    (True, True)
    """
    return MapOutput(*_Spline.apply(x, raw, bound, inverse))


class _Spline(torch.autograd.Function):
    """The spline with explicit derivatives: three times faster than autograd through about sixty operations."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, raw: Tensor, bound: float, inverse: bool) -> tuple[Tensor, Tensor]:
        bins = (len(raw) + 1) // 3
        scale = 2 * bound * (1 - MIN_SIZE * bins)
        shares = raw[: 2 * bins].unflatten(0, (2, bins)).softmax(1)
        sizes = (shares * scale).add_(2 * bound * MIN_SIZE)
        inner = sizes[:, :-1].cumsum(1).sub_(bound)  # the inner knots
        ones = (0, 0) * (raw.ndim - 1)
        knots = pad(inner, (*ones, 1, 0), value=-bound)
        slopes = pad(softplus(raw[2 * bins :] + ZERO).add_(MIN_SIZE), (*ones, 1, 1), value=1.0)

        within = x.clamp(-bound, bound)
        k = (within >= inner[int(inverse)]).sum(0, keepdim=True)  # the bin of each value
        both = k.expand(2, 1, *k.shape[1:])
        x_k, y_k = knots.expand(2, bins, *x.shape).gather(1, both)[:, 0]
        w, h = sizes.expand(2, bins, *x.shape).gather(1, both)[:, 0]
        d, d_next = slopes.expand(bins + 1, *x.shape).gather(0, torch.cat([k, k + 1]))
        s = h / w
        bend = d + d_next - 2 * s
        way = _root((within - y_k) / h, s, d, bend) if inverse else (within - x_k) / w
        way = way.clamp_(0, 1).maximum((x >= bound).to(x.dtype))  # the slope is 1 from the upper end on
        rest = 1 - way
        between = way * rest
        under = s + bend * between
        climb = way * (s * way + d * rest) / under
        over = d_next * way * way + 2 * s * between + d * rest * rest
        slope = (s / under).square() * over
        ctx.save_for_backward(raw, shares, k, x, w, h, s, d, d_next, bend, way, under, climb, over, slope)
        ctx.bins, ctx.bound, ctx.inverse, ctx.scale = bins, bound, inverse, scale
        moved = x_k + w * way if inverse else y_k + h * climb
        return torch.where(x.abs() < bound, moved, x), slope.log()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, g_log: Tensor) -> tuple[Tensor, Tensor, None, None]:
        raw, shares, k, x, w, h, s, d, d_next, bend, way, under, climb, over, slope = ctx.saved_tensors
        bins, rest = ctx.bins, 1 - way
        between = way * rest
        log_way = 2 * ((d_next * way + s * (rest - way) - d * rest) / over - bend * (rest - way) / under)
        outside = g
        if ctx.inverse:  # implicit function theorem: as the forward map at that x, for another gradient
            g = -(g + g_log * log_way / w) / slope
        g_way = g * w * slope + g_log * log_way
        inside = -g if ctx.inverse else g_way / w
        a, b, c = g * h / under, g_log / over, 2 * g_log / under
        inward = 1 - 2 * between
        g_s = a * (way * way - climb * inward) + 2 * (g_log / s + b * between) - c * inward
        g_d = (a * (1 - climb) - c) * between + b * rest * rest
        g_next = b * way * way - (a * climb + c) * between
        g_w, g_h = -(g_s * s + g_way * way) / w, g * climb + g_s / w

        # Bins j < k shift the left knot of bin k, which contains the value; each slope belongs to two bins.
        index = torch.arange(-1, bins, device=k.device, dtype=x.dtype).view(-1, *[1] * (k.ndim - 1))
        until = (k.to(x.dtype) - index).clamp_(0, 1)  # 1 where j ≤ k, from j = 0
        before, here = until[1:], until[:-1] - until[1:]
        g_sizes = torch.stack([here * g_w - before * (g_way / w), here * g_h + before * g]) * ctx.scale
        g_raw = shares * (g_sizes - (shares * g_sizes).sum(1, keepdim=True))
        g_slopes = (here[1:] * g_d + here[:-1] * g_next) * (raw[2 * bins :] + ZERO).sigmoid()
        g_raw = torch.cat([g_raw.flatten(0, 1), g_slopes]).sum_to_size(raw.shape)
        return torch.where(x.abs() <= ctx.bound, inside, outside), g_raw, None, None


def _root(share: Tensor, s: Tensor, d: Tensor, bend: Tensor) -> Tensor:
    """The position θ in the bin at which the spline has reached `share` of the bin's height: aθ² + bθ − s·share = 0."""
    b = d - share * bend
    a = s - b
    root = (b * b + 4 * a * s * share).clamp_(min=0).sqrt_()
    # the form of the root without cancellation
    return torch.where(b >= 0, 2 * s * share, root - b) / torch.where(b >= 0, b + root, 2 * a)
