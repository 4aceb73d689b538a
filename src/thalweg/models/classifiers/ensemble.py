"""An ensemble of classifiers: the mixture of their predictions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Ensemble"]


class Ensemble(nn.Module):
    """The mixture of classifiers, p(y|x) = Σ_k θ_k p_k(y|x), with weights θ_k ≥ 0 of sum 1.

    Each member has `logits(x)` (B, K), whose softmax is p_k(y|x). The logits of the ensemble are log p(y|x), computed
    as log Σ_k exp(log θ_k + log p_k(y|x)) without underflow. `weights` are not in the state of the module.

    Raises ValueError unless there is one weight for each of two or more members, and the weights are on the simplex.

    Reference: *Ensemble Methods in Machine Learning*, Thomas Dietterich, 2000.

    >>> class Constant(nn.Module):
    ...     def __init__(self, *p):
    ...         super().__init__()
    ...         self.p = torch.tensor([p])
    ...
    ...     def logits(self, x):
    ...         return self.p.log().expand(len(x), -1)
    >>> Ensemble([Constant(0.9, 0.1), Constant(0.5, 0.5)], [0.75, 0.25]).logits(torch.zeros(1, 2)).exp()
    tensor([[0.8000, 0.2000]])
    """

    log_weights: Tensor

    def __init__(self, members: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        if len(members) < 2 or len(weights) != len(members):
            raise ValueError(
                f"members: got {len(members)} with {len(weights)} weights, wanted two or more, with one weight each"
            )
        if min(weights) < 0 or abs(sum(weights) - 1) > 1e-6:
            raise ValueError(f"weights: got {tuple(weights)}, wanted numbers of at least 0 with sum 1")
        self.members = nn.ModuleList(members)
        self.register_buffer("log_weights", torch.tensor(weights).log(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return log p(y|x), (B, K), of raw `x`."""
        known = [member.logits(x).log_softmax(1) for member in self.members]  # type: ignore[operator]
        return (torch.stack(known) + self.log_weights[:, None, None]).logsumexp(0)

    def logits(self, x: Tensor) -> Float[Tensor, "B K"]:
        """Return the log-probabilities of the classes."""
        return self(x)
