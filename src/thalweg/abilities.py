"""What a model can be asked, as protocols: evaluation, the command line and the tests ask for these, never for a class.

An ability is one method or property. Each has a line in `ABILITIES`, under the name that the model gives it; tables of
the documentation, `thalweg models`, error messages and the contract tests are derived from there. All methods take
and give raw data: `x` is `(B, *shape)` as a data set has it, a batch of latent codes `z` is (B, d).

>>> from torch import nn
>>> class Uniform(nn.Module):
...     def log_prob(self, x):
...         return x.new_zeros(len(x))
>>> abilities_of(Uniform())
('log_prob',)
>>> isinstance(Uniform(), HasLogProb), isinstance(Uniform(), Samples)
(True, False)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.distributions import Distribution

__all__ = [
    "ABILITIES",
    "Classifies",
    "Decodes",
    "Encodes",
    "HasElbo",
    "HasLogLikelihood",
    "HasLogProb",
    "HasPosterior",
    "HasPrior",
    "Observes",
    "Samples",
    "Scores",
    "abilities_of",
    "has_ability",
    "names_of",
]


@runtime_checkable
class Classifies(Protocol):
    """Logits of the classes, (B, K)."""

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits (B, K) of raw examples."""


@runtime_checkable
class HasLogProb(Protocol):
    """The log-likelihood of raw examples, nats (B,)."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x), nats (B,)."""


@runtime_checkable
class HasElbo(Protocol):
    """A lower bound on the log-likelihood of raw examples, nats (B,)."""

    def elbo(self, x: Tensor) -> Tensor:
        """Return a lower bound on log p(x), nats (B,)."""


@runtime_checkable
class Samples(Protocol):
    """Raw examples drawn from the model, `(n, *shape)`."""

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `n` raw examples."""


@runtime_checkable
class Encodes(Protocol):
    """The latent codes of raw examples, (B, d)."""

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes of raw examples."""


@runtime_checkable
class Decodes(Protocol):
    """The raw examples that latent codes stand for, `(B, *shape)`, as floats."""

    def decode(self, z: Tensor) -> Tensor:
        """Return the raw examples of codes."""


@runtime_checkable
class Scores(Protocol):
    """An anomaly score of raw examples, (B,): higher is more anomalous."""

    def score(self, x: Tensor) -> Tensor:
        """Return the anomaly scores of raw examples, (B,)."""


@runtime_checkable
class HasPrior(Protocol):
    """The prior distribution p(z) of the latent codes; with a decoder, annealing gives GANs a log-likelihood, too."""

    @property
    def prior(self) -> Distribution:
        """The distribution p(z) of one code."""


@runtime_checkable
class HasPosterior(Protocol):
    """The approximate posterior distribution q(z|x) of each example."""

    def posterior(self, x: Tensor) -> Distribution:
        """Return the distributions q(z|x) of a batch."""


@runtime_checkable
class HasLogLikelihood(Protocol):
    """The observation model log p(x|z), nats (B,)."""

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """Return log p(x|z) of raw examples and as many codes, nats (B,)."""


@runtime_checkable
class Observes(Protocol):
    """Raw examples drawn from the observation model p(x|z), one for each code."""

    def observe(self, z: Tensor) -> Tensor:
        """Draw x given z, `(B, *shape)`."""


ABILITIES: dict[str, type] = {
    "logits": Classifies,
    "log_prob": HasLogProb,
    "elbo": HasElbo,
    "sample": Samples,
    "encode": Encodes,
    "decode": Decodes,
    "score": Scores,
    "prior": HasPrior,
    "posterior": HasPosterior,
    "log_likelihood": HasLogLikelihood,
    "observe": Observes,
}


def abilities_of(model: object) -> tuple[str, ...]:
    """Return the names of the abilities that a model has, in the order of `ABILITIES`."""
    return tuple(name for name, ability in ABILITIES.items() if has_ability(model, ability))


def has_ability(model: object, ability: type) -> bool:
    """Return whether a model has an ability of the table.

    It is `isinstance(model, ability)`, with two exceptions. A property is not evaluated: one that raises is the model's
    ability all the same, and its error is reported by the measure that needs it. An attribute that cannot be called is
    not a method.

    >>> class Named:
    ...     score = "high"
    >>> has_ability(Named(), Scores)
    False
    """
    name = next(name for name, known in ABILITIES.items() if known is ability)
    if isinstance(getattr(type(model), name, None), property):
        return True
    is_method = not isinstance(getattr(ability, name), property)
    return isinstance(model, ability) and (callable(getattr(model, name)) or not is_method)


def names_of(abilities: Iterable[type]) -> tuple[str, ...]:
    """Return the names under which a model has these abilities.

    >>> names_of([Encodes, Decodes])
    ('encode', 'decode')
    """
    wanted = list(abilities)
    return tuple(name for ability in wanted for name, known in ABILITIES.items() if known is ability)
