"""Bilinear and quadratic games, on which the effect of each update is known in closed form."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from thalweg.checks import choice, positive
from thalweg.training.problem import Batch, Loss, Problem

__all__ = ["QuadraticGame"]


class QuadraticGame(Problem):
    """L(θ, φ) = ½ μ ‖θ‖² + b ⟨θ, φ⟩ − ½ μ ‖φ‖²: player "theta" minimizes it, "phi" maximizes it; the saddle point is 0.

    The examples of a batch are the couplings b (B,), for instance all ones. `curvature` μ = 0 gives the bilinear game.
    `noise` s adds s ε, ε ~ N(0, 1), to each player's gradient, independent for each sample, coordinate, player and
    mini-batch; two steps on one mini-batch have the same noise. All coordinates of θ and φ (`size` of each, float64)
    are independent games, which start at θ = 1, φ = 0.

    >>> from thalweg.training import Batch
    >>> game = QuadraticGame(curvature=0.5)
    >>> game.loss("theta", Batch(torch.tensor([1.0, 3.0]))).values.tolist(), game.distance
    ([0.25, 0.25], 1.0)
    """

    def __init__(self, size: int = 1, *, curvature: float = 0.0, noise: float = 0.0) -> None:
        for name, value in (("curvature", curvature), ("noise", noise)):
            if not value >= 0:
                raise ValueError(f"{name}: got {value}, wanted a number of at least 0")
        self.curvature, self.noise = curvature, noise
        start = torch.ones(positive("size", size), dtype=torch.float64)
        self.theta, self.phi = nn.Parameter(start), nn.Parameter(torch.zeros_like(start))
        self.model = nn.ModuleDict({"phi": nn.ParameterList([self.phi]), "theta": nn.ParameterList([self.theta])})
        self.players: Mapping[str, nn.Module] = dict(self.model.items())

    def loss(self, player: str, batch: Batch) -> Loss:
        """Return L of "theta" or −L of "phi", (B,)."""
        theta, phi = self.theta, self.phi
        value = self.curvature / 2 * (theta.square().sum() - phi.square().sum()) + batch.x * (theta @ phi)
        own, value = (theta, value) if choice("player", player, self.players) == "theta" else (phi, -value)
        if self.noise:
            value = value + self.noise * (batch.normal("gradient", len(own)).double() @ own)
        return Loss(value)

    @property
    def place(self) -> Tensor:
        """The current θ and φ, (2, size)."""
        return torch.stack([self.theta.detach(), self.phi.detach()])

    @property
    def distance(self) -> float:
        """The distance of a coordinate from the saddle point: the root of the mean of θ² + φ²."""
        return float(self.place.square().sum(0).mean().sqrt())
