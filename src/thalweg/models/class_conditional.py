"""A density with a context, conditioned on the class: a density of examples and labels, and a classifier."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import one_hot

from thalweg.checks import positive

__all__ = ["ClassConditional"]


class ClassConditional(nn.Module):
    """The joint density p(x, y) = p(y) p(x|y): p(x|y) has the one-hot class as context, and p(y) is learned.

    `log_prob` is that of the example alone, log Σ_y p(y) p(x|y). `logits` are log p(x, y), so Bayes' rule classifies.

    Args:
        density: a flow or an autoregressive model with log_prob(x, noise, context), sample(n, generator, context=),
            `observation`, and `context`, the number of classes K.

    >>> from thalweg.models.flows.real_nvp import RealNVP
    >>> model = ClassConditional(RealNVP((2,), mean=[0.0] * 2, std=[1.0] * 2, hidden=8, context=3))
    >>> model.logits(torch.zeros(5, 2)).shape, model.sample(4, y=torch.tensor([0, 1, 2, 0])).shape
    (torch.Size([5, 3]), torch.Size([4, 2]))
    """

    def __init__(self, density: Any) -> None:
        super().__init__()
        self.density, self.classes = density, positive("context", density.context)
        self.frequencies = nn.Parameter(torch.zeros(self.classes))  # log p(y), up to a constant

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one raw example."""
        return tuple(self.density.shape)

    @property
    def observation(self) -> str:
        """What the density is about: see the density's own `observation`."""
        return str(self.density.observation)

    @property
    def probed(self) -> bool:
        """Whether training estimates the log-determinant with random probes."""
        return bool(getattr(self.density, "probed", False))

    def log_joint(
        self, x: Tensor, y: Int[Tensor, " B"], noise: Tensor | None = None, probe: Tensor | None = None
    ) -> Float[Tensor, " B"]:
        """Return log p(x, y), nats, of raw data and labels; an unbiased estimate where a `probe` is given (FFJORD)."""
        options = {} if probe is None else {"probe": probe}
        log_prob: Tensor = self.density.log_prob(x, noise, self._context(y), **options)
        return log_prob + self.frequencies.log_softmax(0)[y]

    def logits(self, x: Tensor, noise: Tensor | None = None) -> Float[Tensor, "B K"]:
        """Return log p(x, y) for every class y. Dequantization noise defaults to ½."""
        if self.observation == "dequantized" and noise is None:
            noise = torch.full(x.shape, 0.5, device=x.device)
        return self._all_classes(x, noise)

    def log_prob(self, x: Tensor, noise: Tensor | None = None) -> Float[Tensor, " B"]:
        """Return log p(x), nats. Dequantization noise is drawn where none is given, the same for all classes."""
        if self.observation == "dequantized" and noise is None:
            noise = torch.rand(x.shape, device=x.device)
        return self._all_classes(x, noise).logsumexp(1)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        generator: torch.Generator | None = None,
        *,
        temperature: float = 1.0,
        y: Int[Tensor, " n"] | None = None,
    ) -> Tensor:
        """Draw `n` raw examples of the classes `y`, or of classes drawn from p(y).

        Raises ValueError for a temperature other than 1 where the density has none.
        """
        options = {"temperature": temperature} if temperature != 1.0 else {}
        if options and "temperature" not in inspect.signature(self.density.sample).parameters:
            raise ValueError(f"temperature: got {temperature}, wanted 1: {type(self.density).__name__} has none")
        if y is None:
            device = self.frequencies.device if generator is None else generator.device
            p = self.frequencies.softmax(0).to(device)
            y = torch.multinomial(p, n, replacement=True, generator=generator).to(self.frequencies.device)
        x: Tensor = self.density.sample(n, generator, context=self._context(y), **options)
        return x

    def _all_classes(self, x: Tensor, noise: Tensor | None) -> Tensor:
        labels = torch.arange(self.classes, device=x.device)[:, None].expand(-1, len(x))
        return torch.stack([self.log_joint(x, y, noise) for y in labels], 1)

    def _context(self, y: Tensor) -> Tensor:
        return one_hot(y.long(), self.classes).to(self.frequencies.dtype)
