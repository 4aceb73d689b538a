"""An autoregressive law, given the class: of example and label together, and so a classifier too."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import one_hot

from thalweg.checks import positive

__all__ = ["ClassConditional"]


class ClassConditional(nn.Module):
    """p(x, y) = p(y) p(x|y): a law whose context is the class, one-hot, and learned frequencies of the classes.

    `log_prob` is of the example alone, log Σ_y p(y) p(x|y); `logits` are log p(x, y), so that Bayes' rule classifies.

    Args:
        law: has log_prob(x, noise, context), sample(n, generator, context=), and `context`, the number of classes K; it
            is given (B, K, 1, 1).

    >>> from thalweg.models.autoregressive.pixelcnn import PixelCNN
    >>> model = ClassConditional(PixelCNN((1, 4, 4), levels=2, hidden=4, layers=1, context=3))
    >>> model.logits(torch.zeros(5, 1, 4, 4)).shape, model.sample(2, y=torch.tensor([0, 2])).shape
    (torch.Size([5, 3]), torch.Size([2, 1, 4, 4]))
    """

    def __init__(self, law: Any) -> None:
        super().__init__()
        self.law, self.classes = law, positive("context", law.context)
        self.frequencies = nn.Parameter(torch.zeros(self.classes))  # log p(y), up to a constant

    @property
    def observation(self) -> str:
        """What the law is about."""
        return str(self.law.observation)

    def log_joint(self, x: Tensor, y: Int[Tensor, " B"], noise: None = None) -> Float[Tensor, " B"]:
        """Return log p(x, y), nats, of raw examples and labels."""
        given: Tensor = self.law.log_prob(x, noise, self._context(y))
        return given + self.frequencies.log_softmax(0)[y]

    def logits(self, x: Tensor) -> Float[Tensor, "B K"]:
        """Return log p(x, y) for every class y."""
        labels = torch.arange(self.classes, device=x.device)[:, None].expand(-1, len(x))
        return torch.stack([self.log_joint(x, y) for y in labels], 1)

    def log_prob(self, x: Tensor, noise: None = None) -> Float[Tensor, " B"]:
        """Return log p(x), nats."""
        return self.logits(x).logsumexp(1)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None, *, y: Int[Tensor, " n"] | None = None) -> Tensor:
        """Draw `n` examples, of the classes `y` or of classes drawn by their frequencies."""
        if y is None:
            where = self.frequencies.device if generator is None else generator.device
            shares = self.frequencies.softmax(0).to(where)
            y = torch.multinomial(shares, n, replacement=True, generator=generator).to(self.frequencies.device)
        drawn: Tensor = self.law.sample(n, generator, context=self._context(y))
        return drawn

    def _context(self, y: Tensor) -> Tensor:
        return one_hot(y.long(), self.classes).to(self.frequencies.dtype)[:, :, None, None]
