"""Any flow, given the class: a density of data and label together, and so a classifier too."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import one_hot

from thalweg.checks import positive
from thalweg.models.flows.flow import Flow

__all__ = ["ClassConditional"]


class ClassConditional(nn.Module):
    """p(x, y) = p(y) p(x|y): a flow whose context is the class, one-hot, and learned frequencies of the classes.

    `log_prob` is of the data alone, log Σ_y p(y) p(x|y); `logits` are log p(x, y), so that Bayes' rule classifies.

    Args:
        flow: with a context of as many numbers as there are classes.

    >>> from thalweg.models.flows.real_nvp import RealNVP
    >>> model = ClassConditional(RealNVP((2,), mean=[0.0] * 2, std=[1.0] * 2, hidden=8, context=3))
    >>> model.logits(torch.zeros(5, 2)).shape, model.sample(4, y=torch.tensor([0, 1, 2, 0])).shape
    (torch.Size([5, 3]), torch.Size([4, 2]))
    """

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow, self.classes = flow, positive("context", flow.context)
        self.frequencies = nn.Parameter(torch.zeros(self.classes))  # log p(y), up to a constant

    @property
    def observation(self) -> Literal["dequantized", "continuous"]:
        """What the density speaks of."""
        return self.flow.observation  # type: ignore[return-value]

    @property
    def probed(self) -> bool:
        """Whether training estimates the log-determinant by random probes."""
        return self.flow.probed

    def log_joint(
        self, x: Tensor, y: Int[Tensor, " B"], noise: Tensor | None = None, probe: Tensor | None = None
    ) -> Float[Tensor, " B"]:
        """Return log p(x, y), nats, of raw data and labels; an estimate where there is a `probe`, see `Flow`."""
        given = self.flow.log_prob(x, noise, self._context(y), probe)
        return given + self.frequencies.log_softmax(0)[y]

    def logits(self, x: Tensor, noise: Tensor | None = None) -> Float[Tensor, "B K"]:
        """Return log p(x, y) for every class y. Noise of images is ½ where none is given."""
        if self.observation == "dequantized" and noise is None:
            noise = torch.full(x.shape, 0.5, device=x.device)
        return self._all(x, noise)

    def log_prob(self, x: Tensor, noise: Tensor | None = None) -> Float[Tensor, " B"]:
        """Return log p(x), nats; noise of images is drawn where none is given, one for all classes."""
        if self.observation == "dequantized" and noise is None:
            noise = torch.rand(x.shape, device=x.device)
        return self._all(x, noise).logsumexp(1)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        generator: torch.Generator | None = None,
        *,
        temperature: float = 1.0,
        y: Int[Tensor, " n"] | None = None,
    ) -> Tensor:
        """Draw `n` raw examples, of the classes `y` or of classes drawn by their frequencies."""
        if y is None:
            where = self.frequencies.device if generator is None else generator.device
            shares = self.frequencies.softmax(0).to(where)
            y = torch.multinomial(shares, n, replacement=True, generator=generator).to(self.frequencies.device)
        return self.flow.sample(n, generator, temperature=temperature, context=self._context(y))

    def _all(self, x: Tensor, noise: Tensor | None) -> Tensor:
        labels = torch.arange(self.classes, device=x.device)[:, None].expand(-1, len(x))
        return torch.stack([self.log_joint(x, y, noise) for y in labels], 1)

    def _context(self, y: Tensor) -> Tensor:
        return one_hot(y.long(), self.classes).to(self.frequencies.dtype)
