"""The order of the players' steps. An update is one step of a stage; it knows players by name and nothing else.

θ_i are player i's parameters, L_i its loss and α_i its learning rate. `differentiate` puts ∇_{θ_i} L_i into player i's
gradients and `apply` takes a step of its optimizer. Minimization is the game with one player.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import torch

from thalweg.checks import positive
from thalweg.training.player import Player

__all__ = ["Alternating", "ClosedForm", "Extragradient", "Game", "Optimistic", "Simultaneous", "Update"]

LAST = "last gradient"


class Game(Protocol):
    """What an update may ask of the stage."""

    @property
    def players(self) -> Mapping[str, Player]:
        """The players, by name."""
        ...

    def differentiate(self, player: str, batch: int = 0) -> None:
        """Set the player's gradients to those of its loss on the step's mini-batch of that number."""

    def apply(self, player: str) -> None:
        """Take a step of the player's optimizer along its gradients; then project its parameters."""

    def closed_form_step(self, player: str, batch: int = 0) -> None:
        """Let the problem set the player's parameters in closed form, on the step's mini-batch of that number."""


class Update(Protocol):
    """One step of a stage, and what it needs."""

    @property
    def batches(self) -> int:
        """Mini-batches that a step consumes."""
        ...

    @property
    def needs_gradients(self) -> bool:
        """Whether players are updated by optimizers; else by the problem's closed form."""
        ...

    @property
    def several_processes(self) -> bool:
        """Whether the batch of a step may be divided among processes."""
        ...

    def __call__(self, game: Game) -> None:
        """Take one step."""


class _OfGradients:
    """What all updates by gradients need."""

    needs_gradients: ClassVar[bool] = True
    several_processes: ClassVar[bool] = True


@dataclass(frozen=True)
class Simultaneous(_OfGradients):
    """All gradients at the same point, then all steps: θ_i ← θ_i − α_i ∇_i L_i(θ).

    With one player this is (stochastic) gradient descent. On the bilinear game L = θφ with rate α it diverges: each
    step multiplies the distance from the saddle point by √(1+α²).
    """

    batches: int = field(default=1, init=False)

    def __call__(self, game: Game) -> None:
        for name in game.players:
            game.differentiate(name)
        for name in game.players:
            game.apply(name)


@dataclass(frozen=True)
class ClosedForm:
    """The closed-form step of every player, `Problem.closed_form_step`, without gradients and optimizers.

    It serves expectation maximization, whose M-step is the maximum of a bound, and estimators that are computed
    directly. The stage ends before its `steps` when the problem reports that the fit has converged.
    """

    batches: int = field(default=1, init=False)
    needs_gradients: ClassVar[bool] = False
    several_processes: ClassVar[bool] = False

    def __call__(self, game: Game) -> None:
        for name in game.players:
            game.closed_form_step(name)


@dataclass(frozen=True)
class Alternating(_OfGradients):
    """Players step in turn, each after the steps of those before it; player i takes `moves[i]` steps, each on a new
    batch.

    On the bilinear game with one step each, the eigenvalues of the combined map have modulus 1: the players circle the
    saddle point.

    >>> Alternating({"critic": 5, "generator": 1}).batches
    5
    """

    moves: Mapping[str, int]

    def __post_init__(self) -> None:
        if not self.moves:
            raise ValueError("moves: got none, wanted a number for each player")
        for name, n in self.moves.items():
            positive(f"moves of {name}", n)

    @property
    def batches(self) -> int:
        """The largest number of moves of a player; those with fewer moves use the last batches of the step."""
        return max(self.moves.values())

    def __call__(self, game: Game) -> None:
        for name, n in self.moves.items():
            for batch in range(self.batches - n, self.batches):
                game.differentiate(name, batch)
                game.apply(name)


@dataclass(frozen=True)
class Extragradient(_OfGradients):
    """A step to a trial point, then a step from the old point along the gradient at the trial point, on the same batch:
    θ′_i = θ_i − α_i ∇_i L_i(θ),  θ_i ← θ_i − α_i ∇_i L_i(θ′).

    It converges on the bilinear game: each step multiplies the distance from the saddle point by √(1 − α² + α⁴).
    Optimizers with momentum use both gradients, as in ExtraAdam.

    Reference: *A Variational Inequality Perspective on Generative Adversarial Networks*, Gauthier Gidel, Hugo Berard,
    Gaëtan Vignoud, Pascal Vincent, Simon Lacoste-Julien, 2019, arXiv:1802.10551.
    """

    batches: int = field(default=1, init=False)

    def __call__(self, game: Game) -> None:
        before = {name: [p.detach().clone() for p in player.parameters] for name, player in game.players.items()}
        for name in game.players:
            game.differentiate(name)
        for name in game.players:
            game.apply(name)
        for name in game.players:
            game.differentiate(name)
        for name, player in game.players.items():
            with torch.no_grad():
                torch._foreach_copy_(player.parameters, before[name])
            game.apply(name)


@dataclass(frozen=True)
class Optimistic(_OfGradients):
    """A step along a prediction of the next gradient from the last two: θ_i ← θ_i − α_i (2 g_i − g_i^last).

    It needs one gradient per step where `Extragradient` needs two, and it also converges on the bilinear game. The last
    gradients are kept, and saved, with the optimizer's state; the first step has none and equals `Simultaneous`. Adam
    and RMSprop receive 2 g − g^last as the gradient; the paper's Optimistic Adam instead doubles its own step and
    subtracts the previous one.

    Reference: *Training GANs with Optimism*, Constantinos Daskalakis, Andrew Ilyas, Vasilis Syrgkanis, Haoyang Zeng,
    2018, arXiv:1711.00141.
    """

    batches: int = field(default=1, init=False)

    def __call__(self, game: Game) -> None:
        for name in game.players:
            game.differentiate(name)
        for name, player in game.players.items():
            optimizer = player.optimizer
            assert optimizer is not None
            parameters = [p for p in player.parameters if p.grad is not None]
            gradients = [p.grad.clone() for p in parameters if p.grad is not None]
            for p, gradient in zip(parameters, gradients, strict=True):
                p.grad = 2 * gradient - optimizer.state[p].pop(LAST, gradient)
            game.apply(name)
            for p, gradient in zip(parameters, gradients, strict=True):  # after the step, which creates the state
                optimizer.state[p][LAST] = gradient
