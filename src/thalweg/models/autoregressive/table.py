"""Exact probabilities of a few codes without spatial structure, by tables."""

from __future__ import annotations

from itertools import combinations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from thalweg.checks import positive

__all__ = ["CodeTable"]


class CodeTable(nn.Module):
    """p(c_1 … c_n) = Π softmax(b_i + Σ_{j<i} W_ij[c_j] + U_i h)[c_i], c_i in 0..K−1, with context h.

    For one or two codes every distribution can be represented.

    Args:
        places: n.
        codes: K.
        context: number of values of h; 0: none.

    >>> distribution = CodeTable(2, 3)
    >>> distribution.log_prob(torch.tensor([[0, 2]])).exp()  # uniform at first
    tensor([0.1111], grad_fn=<ExpBackward0>)
    """

    observation = "discrete"

    def __init__(self, places: int, codes: int, *, context: int = 0) -> None:
        super().__init__()
        self.places, self.codes, self.context = positive("places", places), positive("codes", codes), context
        self.base = nn.Parameter(torch.zeros(places, codes))
        pairs = combinations(range(places), 2)
        self.pairs = nn.ParameterDict({f"{j}-{i}": torch.zeros(codes, codes) for j, i in pairs})
        self.from_context = nn.Linear(context, places * codes, bias=False) if context else None

    def log_prob(self, x: Int[Tensor, "B n"], noise: None = None, context: Tensor | None = None) -> Float[Tensor, " B"]:
        """Return log p(c), nats."""
        terms = [self._scores(x, i, context).log_softmax(1).gather(1, x[:, i : i + 1]) for i in range(self.places)]
        return torch.cat(terms, 1).sum(1)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None, *, context: Tensor | None = None) -> Tensor:
        """Draw the codes of `n` examples, int64 (n, places)."""
        device = self.base.device
        where = device if generator is None else generator.device
        x = torch.zeros(n, self.places, dtype=torch.int64, device=device)
        for i in range(self.places):
            p = self._scores(x, i, context).softmax(1).to(where)
            x[:, i] = torch.multinomial(p, 1, generator=generator)[:, 0].to(device)
        return x

    def _scores(self, x: Tensor, i: int, context: Tensor | None) -> Tensor:
        scores = self.base[i].expand(len(x), -1)
        if self.from_context is not None and context is not None:
            scores = scores + self.from_context(context.flatten(1)).view(len(x), self.places, self.codes)[:, i]
        for j in range(i):
            scores = scores + self.pairs[f"{j}-{i}"][x[:, j]]
        return scores

    def extra_repr(self) -> str:
        return f"{self.places} of {self.codes} codes"
