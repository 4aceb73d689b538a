"""Base distributions of flows, with independent coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from thalweg.checks import choice

__all__ = ["Base", "BaseDistribution", "base_distribution"]

Base = Literal["normal", "logistic", "uniform", "beta"]


class BaseDistribution(NamedTuple):
    """A scalar distribution: elementwise log-density, function that draws a tensor, center and support."""

    log_prob: Callable[[Tensor], Tensor]
    make: Callable[[Sequence[int], Tensor, torch.Generator | None], Tensor]
    center: float
    unit: bool  # support (0, 1); otherwise R

    def draw(self, shape: Sequence[int], *, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw a tensor of that shape, with the device and dtype of `like`."""
        return self.make(shape, like, generator)


def base_distribution(name: Base) -> BaseDistribution:
    """Return the distribution of that name: "normal", "logistic", "uniform" on (0, 1) or "beta", Beta(5, 5).

    >>> distribution = base_distribution("beta")
    >>> round(distribution.log_prob(torch.tensor(0.5)).exp().item(), 4)  # 630/256
    2.4609
    """
    return DISTRIBUTIONS[choice("base", name, DISTRIBUTIONS)]


def _normal(shape: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
    where = like.device if generator is None else generator.device
    return torch.randn(*shape, generator=generator, device=where, dtype=like.dtype).to(like.device)


def _uniform(shape: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
    where = like.device if generator is None else generator.device
    return torch.rand(*shape, generator=generator, device=where, dtype=like.dtype).to(like.device)


def _logistic(shape: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
    return _uniform(shape, like, generator).logit(eps=torch.finfo(like.dtype).eps)


def _beta(shape: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
    # The median of nine uniform variables has the distribution Beta(5, 5)
    nine = _uniform((*shape, 9), like, generator)
    return nine.kthvalue(5, dim=-1).values


def _inside(z: Tensor, value: Tensor) -> Tensor:
    return torch.where((z >= 0) & (z <= 1), value, -math.inf)


BETA = math.lgamma(10) - 2 * math.lgamma(5)
DISTRIBUTIONS = {
    "normal": BaseDistribution(lambda z: -0.5 * z.square() - 0.5 * math.log(2 * math.pi), _normal, 0.0, False),
    "logistic": BaseDistribution(lambda z: -softplus(z) - softplus(-z), _logistic, 0.0, False),
    "uniform": BaseDistribution(lambda z: _inside(z, torch.zeros_like(z)), _uniform, 0.5, True),
    "beta": BaseDistribution(lambda z: _inside(z, BETA + 4 * (z.log() + (-z).log1p())), _beta, 0.5, True),
}
