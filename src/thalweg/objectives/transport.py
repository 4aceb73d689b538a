"""Differentiable optimal transport between samples: exact, sliced, and the Sinkhorn divergence."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from thalweg.checks import choice, positive
from thalweg.objectives.pairwise import middle, squared_distances

__all__ = ["Coupling", "optimal_coupling", "sinkhorn_divergence", "sliced_wasserstein", "wasserstein", "wasserstein_1d"]

Array = np.ndarray[Any, Any]
CHUNK = 64  # rows of a cost matrix per chunk, which fit in a core's cache
STEPS = 10_000_000  # iteration limit of the network simplex; a few thousand points do not reach it
FINE = 0.1  # times blur^p: if the rounding of costs is larger, Sinkhorn uses differences in float64
FAR = 1e3  # times the median cost: initial threshold above which the optimal plan is assumed to be 0


def wasserstein_1d(
    x: Float[Tensor, "*b n"],
    y: Float[Tensor, "*b m"],
    a: Float[Tensor, "*b n"] | None = None,
    b: Float[Tensor, "*b m"] | None = None,
) -> Float[Tensor, " *b"]:
    """Return W₁ = ∫ |F(t) − G(t)| dt of points on the line along the last axis, with weights `a` and `b`.

    Weights are divided by their sums; by default they are equal.

    >>> points = torch.tensor([0.0, 1.0, 2.0])
    >>> wasserstein_1d(points, points, torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.2, 0.6]))
    tensor(0.7000)
    """
    if a is None and b is None:
        return _wasserstein_of_quantiles(_sorted(x), _sorted(y))
    first = torch.full_like(x, 1 / x.shape[-1]) if a is None else (a / a.sum(-1, keepdim=True)).expand_as(x)
    second = torch.full_like(y, 1 / y.shape[-1]) if b is None else (b / b.sum(-1, keepdim=True)).expand_as(y)
    points, order = torch.cat([x, y], -1).sort(-1)
    difference = torch.cat([first, -second], -1).gather(-1, order).cumsum(-1)[..., :-1]
    return (difference.abs() * points.diff(dim=-1)).sum(-1)


def _sorted(x: Tensor) -> Tensor:
    """Return `x` sorted along its last axis."""
    if x.requires_grad or x.device.type != "cpu":
        return x.sort(-1).values
    return torch.from_numpy(np.sort(x.numpy(), axis=-1))  # several times faster than torch's, which keeps the order


def _wasserstein_of_quantiles(x: Tensor, y: Tensor) -> Tensor:
    """Return ∫ |F⁻¹(t) − G⁻¹(t)| dt of sorted points of equal weight, the number of `x` and `y` being n and m."""
    n, m = x.shape[-1], y.shape[-1]
    if n == m:
        return (x - y).abs().mean(-1)
    # Between two neighboring multiples of 1/n or 1/m both quantile functions are constant.
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    widths = torch.from_numpy(np.diff(ends, prepend=0) / (n * m)).to(x)
    of_x, of_y = (torch.from_numpy((ends - 1) // other).to(x.device) for other in (m, n))
    return ((x[..., of_x] - y[..., of_y]).abs() * widths).sum(-1)


def wasserstein(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    a: Float[Tensor, " n"] | None = None,
    b: Float[Tensor, " m"] | None = None,
    *,
    power: int = 1,
) -> Float[Tensor, ""]:
    """Return min over plans γ of Σ γ_ij ‖x_i − y_j‖^power, exactly (POT's network simplex); W₁ for `power` 1.

    Weights are divided by their sums. Differentiable in `x` and `y` for the fixed optimal plan. O(n³): a few seconds
    for 5,000 points.

    >>> wasserstein(torch.zeros(1, 2), torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor(2.5000)
    """
    plan = torch.from_numpy(optimal_coupling(x, y, a, b, power=power).plan)
    pairs = plan.nonzero(as_tuple=True)  # at most n + m − 1 pairs, whose distances are differentiated
    i, j = (index.to(x.device) for index in pairs)
    distance = torch.linalg.vector_norm(x[i] - y[j], dim=1).pow(power)
    return (plan[pairs].to(distance) * distance).sum()


class Coupling(NamedTuple):
    """An optimal plan for the cost c (n, m), and dual potentials f (n,), g (m,).

    f_i + g_j ≤ c_ij, with equality where the plan is positive."""

    plan: Array
    of_x: Array
    of_y: Array


def optimal_coupling(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    a: Float[Tensor, " n"] | None = None,
    b: Float[Tensor, " m"] | None = None,
    *,
    power: int = 1,
) -> Coupling:
    """Return the plan γ that minimizes Σ γ_ij ‖x_i − y_j‖^power, and its dual potentials, in float64.

    POT's network simplex treats differences that are small relative to the largest cost as ties. Therefore the minima
    of rows and columns, which do not change the optimal plan, are subtracted, and large costs are clipped at a
    threshold: if the optimal plan uses no clipped cost, it is optimal for the original costs as well; otherwise the
    threshold is increased. Distances are divided by a power of two.

    Reference: *Displacement interpolation using Lagrangian mass transport*, N. Bonneel et al., 2011. *POT: Python
    Optimal Transport*, R. Flamary et al., 2021.

    >>> optimal_coupling(torch.tensor([[0.0], [5.0]]), torch.tensor([[6.0], [0.0]])).plan.tolist()
    [[0.0, 0.5], [0.5, 0.0]]
    """
    import ot

    positive("power", power)
    x, y = (z.detach().cpu().double() for z in (x, y))
    x, y = x - middle(y), y - middle(y)
    unit = 2.0 ** math.frexp(float(max(x.abs().max(), y.abs().max())))[1]
    costs = squared_distances(x / unit, y / unit).pow_(power / 2).numpy()
    of_x = costs.min(axis=1)
    costs -= of_x[:, None]
    of_y = costs.min(axis=0)
    costs -= of_y
    shares = (torch.ones(n) if w is None else w for n, w in zip(costs.shape, (a, b), strict=True))
    weights = [(w / w.sum()).numpy() for w in (w.detach().cpu().double() for w in shares)]
    most = costs.max()
    cut = FAR * np.median(costs) or most
    while True:
        cut = min(cut, most)
        plan, log = ot.emd(*weights, np.minimum(costs, cut) / (cut or 1.0), numItermax=STEPS, log=True)
        if cut >= most or not plan[costs > cut].any():
            scale = unit**power
            return Coupling(plan, (of_x + cut * log["u"]) * scale, (of_y + cut * log["v"]) * scale)
        cut *= FAR


def sliced_wasserstein(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], directions: Float[Tensor, "k d"]
) -> Float[Tensor, ""]:
    """Return the mean over `directions`, scaled to length one, of W₁ between the projections.

    Reference: *Wasserstein Barycenter and Its Application to Texture Mixing*, Julien Rabin et al., 2011.

    >>> sliced_wasserstein(torch.zeros(2, 2), torch.ones(2, 2), torch.eye(2))
    tensor(1.)
    """
    unit = torch.nn.functional.normalize(directions, dim=1, eps=torch.finfo(directions.dtype).tiny)
    center = middle(y)
    return wasserstein_1d(unit @ (x - center).T, unit @ (y - center).T).mean()


def sinkhorn_divergence(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    blur: float = 0.05,
    power: int = 2,
    scaling: float = 0.5,
) -> Float[Tensor, ""]:
    """Return S_ε(x, y) = OT_ε(x, y) − ½ OT_ε(x, x) − ½ OT_ε(y, y) ≥ 0, of points of equal weight.

    OT_ε is optimal transport with cost ‖x − y‖^p/p and the regularization ε KL(γ‖a⊗b), ε = blur^p; the last two terms
    remove its bias, so that S_ε(x, x) = 0. The limit for ε → 0 is ½ W₂² for p = 2 and W₁ for p = 1.

    The potentials are computed by symmetric Sinkhorn iterations, one for each blur, which decreases from the diameter
    of the data by the factor `scaling`. A value closer to 1 is slower and more accurate: for two samples of 300 points
    of N(0, I) in the plane whose means have distance 2 the result is 1 % too low with 0.5 and 0.04 % with 0.9; for
    distance 0.5 it is 12 % and 0.4 %. Differentiable once in `x` and `y`; memory grows with n + m.

    Reference: *Interpolating between Optimal Transport and MMD using Sinkhorn Divergences*, Jean Feydy et al., 2019,
    arXiv:1810.08278.

    >>> sinkhorn_divergence(torch.zeros(3, 1), torch.ones(5, 1), power=1)
    tensor(1.)
    """
    positive("blur", blur)
    choice("power", str(power), ("1", "2"))
    if not 0 < scaling < 1:
        raise ValueError(f"scaling: got {scaling}, wanted a number between 0 and 1")
    divergence: Tensor = _Sinkhorn.apply(x, y, blur, power, scaling)
    return divergence


class _Step(NamedTuple):
    """The result of a Sinkhorn step: the potential (n,), and its gradient in x (n, d)."""

    potential: Tensor
    slope: Tensor  # empty if not requested


class _Sinkhorn(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, blur: float, power: int, scaling: float) -> Tensor:
        dtype, points = x.dtype, torch.cat([x, y])
        diameter = max(float((points.amax(0) - points.amin(0)).norm()), blur)
        fine = diameter**power * torch.finfo(dtype).eps > FINE * blur**power
        if fine:
            x, y = x.double(), y.double()
        levels = math.ceil(math.log(diameter / blur) / -math.log(scaling))
        blurs = [diameter, *[diameter * scaling**k for k in range(levels)], blur]
        pairs = ((x, y), (y, x), (x, x), (y, y))
        # the potentials of the first sample of each pair; `_others` returns those of the second
        mine = [torch.zeros_like(a[:, 0]) for a, _ in pairs]
        for k, width in enumerate(blurs):
            new = [
                _step(*pair, other, width**power, power, fine).potential
                for pair, other in zip(pairs, _others(mine), strict=True)
            ]
            mine = new if k == 0 else [(a + b) / 2 for a, b in zip(mine, new, strict=True)]
        # a full step of all potentials at once, with the gradients
        xy, yx, xx, yy = (
            _step(*pair, other, blur**power, power, fine, slope=True)
            for pair, other in zip(pairs, _others(mine), strict=True)
        )
        slopes = (xy.slope - xx.slope) / len(x), (yx.slope - yy.slope) / len(y)
        ctx.save_for_backward(*(slope.to(dtype) for slope in slopes))
        return ((xy.potential - xx.potential).mean() + (yx.potential - yy.potential).mean()).to(dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        of_x, of_y = ctx.saved_tensors
        return slope * of_x, slope * of_y, None, None, None


def _others(mine: list[Tensor]) -> tuple[Tensor, ...]:
    return mine[1], mine[0], mine[2], mine[3]


def _step(x: Tensor, y: Tensor, g: Tensor, eps: float, power: int, fine: bool, slope: bool = False) -> _Step:
    """Return f_i = −ε log mean_j exp((g_j − c_ij)/ε), and its gradient in x_i, Σ_j P_ij ∂c_ij/∂x_i."""
    center = middle(y)
    x, y = x - center, y - center
    # −c_ij + g_j = x·y + (g_j − ½|y|²) − ½|x|² is one product, except for the last term, which is added after the sum.
    # Base 2: exp2 is several times faster than exp on CPUs.
    bit = eps * math.log(2)
    right = torch.cat([y, (g - y.square().sum(1) / 2)[:, None]], 1).T.contiguous() / bit
    potentials, slopes = [], []
    for part in x.split(CHUNK):
        if power == 2 and not fine:
            logits, outside = torch.cat([part, torch.ones_like(part[:, :1])], 1) @ right, part.square().sum(1) / 2
        else:
            distance = torch.cdist(part, y, compute_mode="donot_use_mm_for_euclid_dist")
            logits, outside = (g - (distance if power == 1 else distance.square() / 2)) / bit, 0.0
        top = logits.amax(1, keepdim=True)
        shares = logits.sub_(top).clamp_(min=-115).exp2_()  # smaller results would be denormal floats, which are slow
        total = shares.sum(1, keepdim=True)
        potentials.append(outside - bit * (top + (total / len(y)).log2()).squeeze(1))
        if slope:
            shares /= total
            if power == 1:
                shares = torch.where(distance > 0, shares / distance, 0.0)
            slopes.append(shares.sum(1, keepdim=True) * part - shares @ y)
    return _Step(torch.cat(potentials), torch.cat(slopes) if slope else x[:0])
