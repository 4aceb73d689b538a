"""Kernel density estimation: a kernel around every training example."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from thalweg.checks import choice, positive
from thalweg.config import Discrete
from thalweg.models.mixtures.kernels import KERNELS, rule_of_thumb
from thalweg.models.mixtures.mixture import Fit, Mixture

__all__ = ["KDE"]

RULES = ("cv", "silverman", "scott")
POINTS = 1024  # per chunk
PAIRS = {"cpu": 1 << 18, "cuda": 1 << 24}  # float64 distances per chunk: 2 MiB fit in a cache
CHOOSING = 1000  # number of examples whose leave-one-out density selects the bandwidth
ROUNDS, CANDIDATES = 3, 15  # grids of bandwidths, each refining the previous one


class KDE(Mixture):
    """p̂(x) = n⁻¹ Σ_i h^{−d} K((x − X_i)/h) on columns of unit variance, computed in float64 by chunks.

    `bandwidth` h is in standard deviations: a number, "silverman" or "scott" (see `rule_of_thumb`), or "cv", the h that
    maximizes the mean leave-one-out log-density log p̂_{−i}(X_i). For images the X_i are the middles of the levels, and
    the left-out examples have dequantization noise.

    With a compact kernel the log-density outside of the support is −∞; "cv" then selects an h for which every left-out
    example has a neighbor within the support. Before `fit` the model is one kernel at the mean.

    For fixed h, the mean of p̂ is p_h(x) = ∫ h^{−d} K((x − u)/h) p(u) du.

    Reference: *Density Estimation for Statistics and Data Analysis*, Bernard Silverman, 1986. *An alternative method of
    cross-validation for the smoothing of density estimates*, Adrian Bowman, 1984.

    >>> kde = KDE((1,), mean=[0.0], std=[1.0], bandwidth=1.0)
    >>> fit = kde.fit(torch.tensor([[-1.0], [1.0]]), None, torch.zeros(2, 0))
    >>> round(float(kde.log_prob(torch.zeros(1, 1))), 6)  # both kernels: −½ − ½ log 2π
    -1.418939
    """

    points: Tensor
    bandwidth: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        *,
        mean: Sequence[float],
        std: Sequence[float],
        levels: int | None = None,
        discrete: Sequence[Discrete | None] = (),
        kernel: str = "gaussian",
        bandwidth: str | float = "cv",
    ) -> None:
        super().__init__(shape, mean=mean, std=std, levels=levels, discrete=discrete)
        self.name, self.kernel = kernel, KERNELS[choice("kernel", kernel, KERNELS)]
        self.rule = (
            choice("bandwidth", bandwidth, RULES) if isinstance(bandwidth, str) else positive("bandwidth", bandwidth)
        )
        self.register_buffer("points", self.data.mean.expand(1, *self.shape).clone())
        self.register_buffer("bandwidth", torch.ones((), dtype=torch.float64))
        self.register_load_state_dict_pre_hook(_take_size)

    @property
    def dtype(self) -> torch.dtype:
        """Float64, since squared distances are differences of large numbers."""
        return torch.float64

    def log_density(self, y: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
        """Return log p̂ of standardized examples."""
        h = self.bandwidth.double()[None]
        return torch.cat([self._log_mean(part, h)[0] for part in y.split(self._rows)])

    @torch.no_grad()
    def draw(self, n: int, generator: torch.Generator | None = None) -> Float[Tensor, "n D"]:
        """Draw a training example and add noise distributed like the kernel."""
        device = self.points.device
        where = device if generator is None else generator.device
        index = torch.randint(len(self.points), (n,), generator=generator, device=where).to(device)
        step = self.kernel.draw(n, self.size, generator, device)
        return self._standard(self.points[index]) + self.bandwidth.double() * step

    @torch.no_grad()
    def fit(self, x: Tensor, noise: Tensor | None, keys: Float[Tensor, "B K"]) -> Fit:
        """Store raw `x` and select the bandwidth.

        Returns leave-one-out log-densities of at most 1000 of the examples, with dequantization noise.
        """
        if len(x) < 2:
            raise ValueError(f"examples: got {len(x)}, wanted at least 2 for a density")
        self.points = x.clone()
        chosen = torch.arange(0, len(x), -(-len(x) // CHOOSING), device=x.device)
        y = self.preprocess(x[chosen], None if noise is None else noise[chosen], self.dtype)
        if isinstance(self.rule, str):
            h = rule_of_thumb("silverman" if self.rule == "cv" else self.rule, len(x), self.size, self.kernel)
            h = self._cross_validated(y, chosen, h) if self.rule == "cv" else h
        else:
            h = self.rule
        self.bandwidth.fill_(h)
        return Fit(self._left_out(y, chosen, self.bandwidth[None])[0] + self.log_scale(), last=True)

    def _cross_validated(self, y: Tensor, own: Int[Tensor, " B"], guess: float) -> float:
        """Return the h with the largest mean leave-one-out log-density, by successively finer grids."""
        low, high = math.log(guess / 1000), math.log(guess * 3)
        if self.kernel.power is not None:  # until every example has a neighbor
            high = max(high, math.log(1.001 * float(self._nearest(y, own).max())))
        for _ in range(ROUNDS):
            grid = torch.linspace(low, high, CANDIDATES, dtype=self.dtype, device=y.device)
            best = float(grid[int(self._left_out(y, own, grid.exp()).mean(1).argmax())])
            step = (high - low) / (CANDIDATES - 1)
            low, high = best - step, best + step
        return math.exp(best)

    def _left_out(self, y: Tensor, own: Int[Tensor, " B"], h: Float[Tensor, " G"]) -> Float[Tensor, "G B"]:
        pairs = zip(y.split(self._rows), own.split(self._rows), strict=True)
        return torch.cat([self._log_mean(part, h, mine) for part, mine in pairs], dim=1)

    def _log_mean(self, y: Tensor, h: Float[Tensor, " G"], own: Tensor | None = None) -> Float[Tensor, "G B"]:
        """Return log p̂(y) for each h, without the point of index `own` if it is given."""
        total: list[Tensor] = []
        for squared in self._squared(y, own):
            parts = [self.kernel.log_sum(squared / b**2) for b in h]
            total = [torch.logaddexp(t, p) for t, p in zip(total, parts, strict=True)] if total else parts
        count = len(self.points) - (own is not None)
        constant = self.kernel.log_constant(self.size) - math.log(count) - self.size * h.log()
        return torch.stack(total) + constant[:, None]

    def _nearest(self, y: Tensor, own: Tensor) -> Float[Tensor, " B"]:
        return torch.stack([squared.amin(1) for squared in self._squared(y, own)]).amin(0).sqrt()

    def _squared(self, y: Tensor, own: Tensor | None) -> Iterator[Float[Tensor, "B n"]]:
        """Yield ‖y − X_i‖² by chunks of points, infinite for the index `own`."""
        for start in range(0, len(self.points), POINTS):
            points = self._standard(self.points[start : start + POINTS])
            squared = y.square().sum(1, keepdim=True) + points.square().sum(1) - 2 * y @ points.T
            squared = squared.clamp(min=0)
            if own is not None:
                column = torch.arange(start, start + len(points), device=y.device)
                squared = squared.masked_fill(own[:, None] == column, math.inf)
            yield squared

    def _standard(self, points: Tensor) -> Tensor:
        return self.preprocess(points, 0.5, self.dtype)

    @property
    def _rows(self) -> int:
        return PAIRS.get(self.points.device.type, PAIRS["cpu"]) // min(len(self.points), POINTS)

    def extra_repr(self) -> str:
        return f"kernel={self.name}, bandwidth={self.rule}, points={len(self.points)}"


def _take_size(module: Any, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Resize the buffer to the number of points that are loaded."""
    incoming = state.get(f"{prefix}points")
    if incoming is not None and incoming.shape[1:] == module.points.shape[1:]:
        module.points = torch.empty(incoming.shape, dtype=incoming.dtype, device=module.points.device)
