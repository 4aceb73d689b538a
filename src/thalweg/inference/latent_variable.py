"""p(x) = E p(x|Z) of a latent-variable model: exactly, by Monte Carlo, by importance sampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Categorical, Distribution

from thalweg.checks import positive
from thalweg.randomness import fold

__all__ = ["DiscreteLatentModel", "log_weights"]

ROWS = 10_000  # pairs (x, z) per chunk


class DiscreteLatentModel:
    """Z ~ Categorical, X|Z=k ~ `likelihood(k)`: log p(x) = log Σ_k π_k p(x|k), exactly, and p(k|x).

    `likelihood` maps indices (n,) to n distributions of one example each.

    >>> from torch.distributions import Independent, Normal
    >>> centers = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    >>> model = DiscreteLatentModel(Categorical(torch.ones(3)), lambda k: Independent(Normal(centers[k], 1.0), 1))
    >>> round(float(model.log_prob(torch.zeros(1, 2))), 6)
    -2.935819
    """

    def __init__(self, prior: Categorical, likelihood: Callable[[Tensor], Distribution]) -> None:
        self.prior, self.likelihood = prior, likelihood

    def log_likelihood(self, x: Tensor, z: Tensor) -> Float[Tensor, " B"]:
        """Return log p(x|z) of examples `x` `(B, *shape)` and indices `z` (B,)."""
        return self.likelihood(z).log_prob(x)

    def log_prob(self, x: Tensor) -> Float[Tensor, " B"]:
        """Return log p(x) by summing over all z."""
        return self._log_joint(x).logsumexp(1)

    def posterior(self, x: Tensor) -> Categorical:
        """Return p(z|x), with batch shape (B,)."""
        return Categorical(logits=self._log_joint(x))

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Return `n` examples: z from the prior, then x given z, drawn from torch's global generator."""
        z = torch.multinomial(self.prior.probs, n, replacement=True, generator=generator)
        return self.likelihood(z).sample()

    def _log_joint(self, x: Tensor) -> Float[Tensor, "B K"]:
        indices = self.prior.enumerate_support()
        columns = [self.log_likelihood(x, k.expand(len(x))) for k in indices]
        return torch.stack(columns, dim=1) + self.prior.log_prob(indices)


@torch.no_grad()
def log_weights(
    model: Any, x: Tensor, draws: int, *, proposal: Distribution | None = None, seed: int = 0
) -> Float[Tensor, "draws B"]:
    """Return log w = log p(x|z) p(z) / q(z) of `draws` samples z from q per example: E w = p(x) for every q.

    `proposal` q has the batch shape (B,), or an empty batch shape for one distribution for all examples. None is the
    prior, which gives the naive Monte Carlo estimate w = p(x|z); its variance is large if few z explain x. For the
    posterior, w = p(x) without variance; the encoder of a VAE approximates it.

    `model` has `prior` and `log_likelihood(x, z)`.

    >>> centers = torch.tensor([0.0, 8.0])
    >>> model = DiscreteLatentModel(Categorical(torch.ones(2)), lambda k: torch.distributions.Normal(centers[k], 1.0))
    >>> x = torch.tensor([8.0])
    >>> for q in (None, model.posterior(x)):
    ...     w = log_weights(model, x, 1000, proposal=q).exp()
    ...     print(f"{float(w.mean()):.1f} {float(w.std()):.1f}")
    0.2 0.2
    0.2 0.0
    """
    q, count = model.prior if proposal is None else proposal, positive("draws", draws)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold(seed, "weights"))
        shape = (count,) if q.batch_shape == (len(x),) else (count, len(x))
        log_weights = []
        for z in q.sample(shape).split(max(ROWS // len(x), 1)):
            repeated = x.repeat(len(z), *[1] * (x.ndim - 1))
            log_p = model.log_likelihood(repeated, z.flatten(0, 1)).view(z.shape[:2])
            log_weights.append(log_p if proposal is None else log_p + model.prior.log_prob(z) - q.log_prob(z))
    return torch.cat(log_weights)
