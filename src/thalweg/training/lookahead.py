"""Lookahead: k steps of SGD with momentum, then one step back to a slow average of the weights."""

from __future__ import annotations

from collections.abc import Callable

import torch

__all__ = ["Lookahead"]


class Lookahead(torch.optim.SGD):
    """SGD with momentum whose weights θ return after every k = 5 steps to slow weights: φ ← φ + α(θ − φ), θ ← φ.

    α = .5, and φ begins as the first θ. The momentum is kept. Between these steps the model has the fast weights.

    Reference: *Lookahead Optimizer: k steps forward, 1 step back*, Michael Zhang, James Lucas, Geoffrey Hinton, Jimmy
    Ba, 2019, arXiv:1907.08610.
    """

    EVERY, SHARE = 5, 0.5

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; after every k-th step, also the slow weights."""
        assert closure is None
        for group in self.param_groups:
            for p in group["params"]:
                if "slow" not in self.state[p]:
                    self.state[p]["slow"] = p.detach().clone()
        super().step()
        for group in self.param_groups:
            group["steps"] = group.get("steps", 0) + 1
            if group["steps"] % self.EVERY == 0:
                slow = [self.state[p]["slow"] for p in group["params"]]
                torch._foreach_lerp_(slow, group["params"], self.SHARE)
                torch._foreach_copy_(group["params"], slow)
