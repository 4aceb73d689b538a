"""t-SNE from its formulas, with all pairs of points, for a few hundred points; `Probe.embed` uses scikit-learn's."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from thalweg.checks import positive

__all__ = ["conditional", "divergence", "gradient", "joint", "similarities", "tsne"]

EXAGGERATION, EXAGGERATED, BISECTIONS = 12.0, 250, 64  # factor of p, the steps with it, halvings of an interval


def squared_distances(x: Tensor) -> Tensor:
    """Return ‖x_i − x_j‖² of all pairs, (n, n)."""
    return (x[:, None] - x[None]).square().sum(-1)


def conditional(x: Tensor, perplexity: float) -> tuple[Tensor, Tensor]:
    """Return p_{j|i} = exp(−‖x_i − x_j‖²/2σ_i²) / Σ_{k≠i} exp(−‖x_i − x_k‖²/2σ_i²), (n, n), and σ, (n,).

    p_{i|i} = 0. Each σ_i is found by bisection such that the perplexity 2^H of row i, with the entropy H in bits, is
    the given one; it is the number of neighbors that count.

    Raises ValueError for a perplexity outside (1, n − 1).

    >>> p, sigma = conditional(torch.tensor([[0.0], [1.0], [2.0], [4.0]]).double(), perplexity=2.0)
    >>> torch.exp2(-torch.xlogy(p, p).sum(1) / math.log(2))
    tensor([2.0000, 2.0000, 2.0000, 2.0000], dtype=torch.float64)
    """
    n = len(x)
    if not 1 < perplexity < n - 1:
        raise ValueError(f"perplexity: got {perplexity:g} for {n} points, wanted more than 1 and less than {n - 1}")
    d = squared_distances(x)
    scale = d.sum(1, keepdim=True) / (n - 1)
    d = (d / scale.clamp(min=torch.finfo(d.dtype).tiny)).fill_diagonal_(math.inf)
    low, high = d.new_full((n, 1), -30.0), d.new_full((n, 1), 30.0)  # bounds of log β with β = scale/2σ²
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        p = (-d * middle.exp()).softmax(1)
        too_wide = -torch.xlogy(p, p).sum(1, keepdim=True) > math.log(perplexity)
        low, high = torch.where(too_wide, middle, low), torch.where(too_wide, high, middle)
    return p, (scale / (2 * middle.exp())).sqrt()[:, 0]


def joint(x: Tensor, perplexity: float) -> Tensor:
    """Return p_ij = (p_{j|i} + p_{i|j}) / 2n, symmetric with sum 1."""
    p, _ = conditional(x, perplexity)
    return (p + p.T) / (2 * len(x))


def similarities(y: Tensor) -> Tensor:
    """Return q_ij = (1 + ‖y_i − y_j‖²)⁻¹ / Σ_{k≠l} (1 + ‖y_k − y_l‖²)⁻¹, (n, n), of Student's t-distribution; q_ii = 0.

    >>> similarities(torch.tensor([[0.0], [1.0], [3.0]]))
    tensor([[0.0000, 0.3125, 0.0625],
            [0.3125, 0.0000, 0.1250],
            [0.0625, 0.1250, 0.0000]])
    """
    weights = _weights(y)
    return weights / weights.sum()


def _weights(y: Tensor) -> Tensor:
    """Return (1 + ‖y_i − y_j‖²)⁻¹, with 0 for i = j."""
    inverse = 1 / (1 + squared_distances(y))
    return inverse * (1 - torch.eye(len(y), dtype=y.dtype, device=y.device))


def divergence(p: Tensor, y: Tensor) -> Tensor:
    """Return KL(p ‖ q) = Σ_{i≠j} p_ij log(p_ij / q_ij), in nats."""
    off = ~torch.eye(len(y), dtype=torch.bool, device=y.device)
    p, q = p[off], similarities(y)[off]
    return (torch.xlogy(p, p) - p * q.log()).sum()


def gradient(p: Tensor, y: Tensor) -> Tensor:
    """Return ∂KL/∂y_i = 4 Σ_j (p_ij − q_ij)(y_i − y_j)/(1 + ‖y_i − y_j‖²), (n, d)."""
    weights = _weights(y)
    pull = (p - weights / weights.sum()) * weights
    return 4 * (pull.sum(1, keepdim=True) * y - pull @ y)


def tsne(x: Tensor, *, perplexity: float = 30.0, steps: int = 750, d: int = 2) -> Tensor:
    """Return points y (n, d), float64, that minimize KL(p ‖ q), where p are similarities of x and q those of y.

    Gradient descent with momentum 1/2, then 4/5, and step n/12, from the first principal components, scaled to a
    standard deviation of 10⁻⁴. For the first 250 steps p is multiplied by 12 ("early exaggeration"), so that groups
    form before they are separated. There is no randomness.

    Raises ValueError for a perplexity outside (1, n − 1), and for fewer than d dimensions.

    Reference: *Visualizing Data using t-SNE*, Laurens van der Maaten, Geoffrey Hinton, 2008.
    """
    positive("steps", steps)
    if x.ndim != 2 or x.shape[1] < d:
        raise ValueError(f"x: got shape {tuple(x.shape)}, wanted points (n, m) with at least {d} dimensions")
    x = x.detach().double()
    p = joint(x, perplexity)
    centered = x - x.mean(0)
    y = centered @ torch.linalg.svd(centered, full_matrices=False).Vh[:d].T
    y = 1e-4 * y / y[:, 0].std().clamp(min=1e-300)
    velocity, rate = torch.zeros_like(y), max(len(x) / EXAGGERATION, 1.0)
    for step in range(steps):
        early = step < EXAGGERATED
        velocity = (0.5 if early else 0.8) * velocity - rate * gradient(EXAGGERATION * p if early else p, y)
        y = y + velocity
    return y - y.mean(0)
