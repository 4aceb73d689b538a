"""Who moves when. An update is one round of a game: it knows players by name and nothing else.

θ_i are player i's parameters, L_i its loss, α_i its rate; `differentiate` puts ∇_{θ_i} L_i into player i's gradients
and `apply` lets its optimizer make the move. Minimization is the game with one player.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch

from thalweg.checks import positive
from thalweg.training.player import Player

__all__ = ["Alternating", "Extragradient", "Game", "Optimistic", "Simultaneous", "Solved", "Update"]

LAST = "last gradient"


class Game(Protocol):
    """What an update may ask of the loop."""

    @property
    def players(self) -> Mapping[str, Player]:
        """Who plays, by name."""
        ...

    def differentiate(self, player: str, batch: int = 0) -> None:
        """Set the player's gradients to those of its loss on the round's mini-batch of that number."""

    def apply(self, player: str) -> None:
        """Let the player's optimizer move along its gradients; then project."""

    def solve(self, player: str, batch: int = 0) -> None:
        """Let the problem move the player by its own closed form, on the round's mini-batch of that number."""


class Update(Protocol):
    """One round. `batches` is how many mini-batches a round consumes."""

    @property
    def batches(self) -> int:
        """Mini-batches a round consumes."""
        ...

    def __call__(self, game: Game) -> None:
        """Play one round."""


@dataclass(frozen=True)
class Simultaneous:
    """All gradients at the same point, then all moves: θ_i ← θ_i − α_i ∇_i L_i(θ).

    With one player it is (stochastic) gradient descent. On the bilinear game L = θφ with rate α it diverges: the
    distance from the saddle grows by √(1+α²) a round.
    """

    batches: int = field(default=1, init=False)

    def __call__(self, game: Game) -> None:
        for name in game.players:
            game.differentiate(name)
        for name in game.players:
            game.apply(name)


@dataclass(frozen=True)
class Solved:
    """Every player takes the step that its problem knows in closed form, `problem.solve`: no gradient, no optimizer.

    For expectation maximization, whose M-step is the maximum of a bound, and for estimators that are computed and not
    searched for. The stage ends before its `steps` once the problem says that another step would change nothing.
    """

    batches: int = field(default=1, init=False)

    def __call__(self, game: Game) -> None:
        for name in game.players:
            game.solve(name)


@dataclass(frozen=True)
class Alternating:
    """Players move in turn, each seeing the moves before it; player i makes `moves[i]` in a row, each on a new batch.

    >>> Alternating({"critic": 5, "generator": 1}).batches
    5

    On the bilinear game with one move each the eigenvalues of a round have modulus 1: it circles the saddle.
    """

    moves: Mapping[str, int]

    def __post_init__(self) -> None:
        if not self.moves:
            raise ValueError("moves: got none, wanted a number for each player")
        for name, n in self.moves.items():
            positive(f"moves of {name}", n)

    @property
    def batches(self) -> int:
        """The most moves of any player: those who move less see the last batches of the round."""
        return max(self.moves.values())

    def __call__(self, game: Game) -> None:
        for name, n in self.moves.items():
            for batch in range(self.batches - n, self.batches):
                game.differentiate(name, batch)
                game.apply(name)


@dataclass(frozen=True)
class Extragradient:
    """Look ahead, then move from where one stood with the gradient met there, on the same batch:
    θ′_i = θ_i − α_i ∇_i L_i(θ),  θ_i ← θ_i − α_i ∇_i L_i(θ′).

    Converges on the bilinear game: a round shrinks the distance by √(1 − α² + α⁴). Optimizers with memory see both
    gradients, as in ExtraAdam.

    *Reference*: A Variational Inequality Perspective on GANs, Gidel et al., 2019, arXiv:1802.10551.
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
class Optimistic:
    """Move along the gradient that is expected next, from this one and the last: θ_i ← θ_i − α_i (2 g_i − g_i^last).

    One gradient a round where `Extragradient` takes two, and convergence on the bilinear game all the same. The last
    gradients are kept, and saved, with the optimizer's state; the first round has none and is `Simultaneous`. Adam and
    RMSprop are given 2 g − g^last as the gradient; the paper's Optimistic Adam instead doubles its move and takes the
    last one back.

    Reference: Training GANs with Optimism, Constantinos Daskalakis et al., 2018, arXiv 1711.00141.
    """

    batches: int = field(default=1, init=False)

    def __call__(self, game: Game) -> None:
        for name in game.players:
            game.differentiate(name)
        for name, player in game.players.items():
            optimizer = player.optimizer
            assert optimizer is not None
            moved = [p for p in player.parameters if p.grad is not None]
            now = [p.grad.clone() for p in moved if p.grad is not None]
            for p, gradient in zip(moved, now, strict=True):
                p.grad = 2 * gradient - optimizer.state[p].pop(LAST, gradient)
            game.apply(name)
            for p, gradient in zip(moved, now, strict=True):  # after the step, which takes an empty state for a new one
                optimizer.state[p][LAST] = gradient
