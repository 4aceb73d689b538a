"""A Gaussian observation model for decoders that have none, with σ fitted on validation examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.distributions import Distribution

from thalweg.abilities import Decodes, HasPrior
from thalweg.config import Discrete
from thalweg.evaluation.reference import Reference
from thalweg.evaluation.statistics.hamiltonian import anneal
from thalweg.evaluation.subset import subset

__all__ = ["DecoderWithPrior", "GaussianObservation", "fit_observation", "level_log_prob"]

MAX_EXAMPLES, CHAINS = 16, 4  # validation examples, and chains of each, for the choice of σ


@runtime_checkable
class DecoderWithPrior(Decodes, HasPrior, Protocol):
    """A decoder, and the prior of its codes."""


class GaussianObservation:
    """x|z ~ N(decode(z), (σ·scale)²) for a model with `decode` and `prior`.

    For images with `levels` it is the probability of each integer level: the Gaussian over [x − ½, x + ½], the lowest
    and highest level with the tails. So its `log_likelihood` refers to the raw data, as that of a VAE or a flow.

    `scale` is in raw units and broadcasts over an example: 1, or the standard deviation of each column. For `discrete`
    columns of vectors it is the probability of each value: the Gaussian over the cell of width step around it.
    """

    def __init__(
        self,
        model: DecoderWithPrior,
        sigma: float,
        *,
        scale: Tensor,
        levels: int | None,
        discrete: Sequence[Discrete | None] = (),
    ) -> None:
        self.model, self.sigma, self.scale, self.levels = model, sigma, scale, levels
        self.observation = "discrete" if levels or discrete else "continuous"
        steps = [column.step if column else 0.0 for column in discrete]
        self.steps = torch.tensor(steps, dtype=torch.float64, device=scale.device)

    @property
    def prior(self) -> Distribution:
        """The prior distribution of z."""
        return self.model.prior

    def log_likelihood(self, x: Tensor, z: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return log p(x|z) of raw `x`, nats (B,), float64; there is no noise of dequantization."""
        mean, width = self.model.decode(z).double(), self.sigma * self.scale
        if self.levels:
            return level_log_prob(x, mean, width, self.levels).flatten(1).sum(dim=1)
        normal: Distribution = torch.distributions.Normal(mean, width, validate_args=False)
        density = normal.log_prob(x)
        if len(self.steps):
            half = self.steps.clamp(min=1e-300) / 2  # not used for a continuous column
            cell = interval_log_prob((x - half - mean) / width, (x + half - mean) / width)
            density = torch.where(self.steps > 0, cell, density)
        return density.flatten(1).sum(dim=1)

    def observe(self, z: Tensor) -> Tensor:
        """Return a draw of x given z, raw, by torch's global generator."""
        mean = self.model.decode(z).double()
        x = mean + self.sigma * self.scale * torch.randn_like(mean)
        if self.levels:
            return x.round().clamp(0, self.levels - 1)
        if len(self.steps):  # a column of unequal steps is rounded to the grid of its cells
            x = torch.where(self.steps > 0, (x / self.steps.clamp(min=1e-300)).round() * self.steps, x)
        return x

    def __str__(self) -> str:
        unit = "levels" if self.levels else "of the columns' standard deviations"
        return f"Gaussian of σ = {self.sigma:.4g} {unit} around decode(z), fitted on validation examples"


def level_log_prob(x: Tensor, mean: Tensor, sigma: Tensor, levels: int) -> Tensor:
    """Return log P(x) of levels x in 0..levels−1 under N(mean, σ²) divided into bins, the outer bins with the tails.

    It is log(Φ(b) − Φ(a)) with a, b = (x ∓ ½ − mean)/σ.

    >>> x = torch.arange(5.0, dtype=torch.float64)
    >>> p = level_log_prob(x, torch.tensor(1.3).double(), torch.tensor(0.7).double(), 5).exp()
    >>> round(float(p.sum()), 12), round(float(p[0]), 6)  # Φ((0.5 − 1.3)/0.7)
    (1.0, 0.126549)
    """
    x = x.to(mean)
    a, b = (x - 0.5 - mean) / sigma, (x + 0.5 - mean) / sigma
    log_ndtr, lowest, highest = torch.special.log_ndtr, x < 0.5, x > levels - 1.5
    return torch.where(lowest, log_ndtr(b), torch.where(highest, log_ndtr(-a), interval_log_prob(a, b)))


def interval_log_prob(a: Tensor, b: Tensor) -> Tensor:
    """Return log(Φ(b) − Φ(a)) for a < b, as log Φ(b) + log(1 − Φ(a)/Φ(b)) on the side where Φ is small.

    This loses no digits, however far a and b are from 0.

    >>> interval_log_prob(torch.tensor(40.0).double(), torch.tensor(41.0).double()).isfinite().item()
    True
    """
    right = a + b > 0
    near, far = torch.where(right, -a, b), torch.where(right, -b, a)  # Φ(b) − Φ(a) = Φ(−a) − Φ(−b)
    edge = torch.special.log_ndtr(near)
    value: Tensor = edge + torch.log(-torch.expm1(torch.special.log_ndtr(far) - edge))
    return value


def fit_observation(model: DecoderWithPrior, reference: Reference) -> GaussianObservation:
    """Return the Gaussian observation model with the σ that gives validation examples the highest bound on log p(x).

    For a Gaussian, annealing p(x|z)^β means annealing σ: one run of annealed importance sampling from σ = ∞ downwards
    gives a lower bound on log p(x) at every σ of its schedule, and the best σ is taken. Levels are dequantized by
    uniform noise. (Wu et al. also choose σ by annealing on validation examples, with one run per candidate.)

    The schedule is geometric in σ, from where the likelihood hardly distinguishes draws of the prior to 1/300 of the
    distance per value between examples and draws of the prior, and for levels at least 0.3. Step sizes are adapted
    during the run: the small bias only affects the choice of σ, and any σ is valid.

    Raises ValueError if there are no validation examples, or if decode changes the shape.

    Reference: *On the quantitative analysis of decoder-based generative models*, Y. Wu, Y. Burda, R. Salakhutdinov, R.
    Grosse, 2017, arXiv:1611.04273.
    """
    if reference.validation is None:
        raise ValueError("validation: got no examples, wanted some to fit the observation's σ on")
    assert reference.temperatures
    spec, examples = reference.spec, subset(reference.validation, MAX_EXAMPLES)
    levels = spec.levels if spec.kind == "image" else None
    discrete = spec.discrete if spec.kind == "vector" else ()
    x = torch.from_numpy(examples.x[:]).to(examples.device)
    scale = torch.ones((), dtype=torch.float64, device=x.device)
    if levels is None and spec.std:
        scale = torch.tensor(spec.std, dtype=torch.float64, device=x.device)

    with examples.noise("observation", slice(0, len(x))):
        y = x.repeat(CHAINS, *[1] * (x.ndim - 1)).double()
        steps = 1.0 if levels else torch.tensor([c.step if c else 0.0 for c in discrete] or 0.0, device=x.device)
        y = y + steps * (torch.rand_like(y) - 0.5)
        z = model.prior.sample((len(y),))

        def closeness(z: Tensor) -> Tensor:
            mean = model.decode(z)
            if mean.shape != y.shape:
                raise ValueError(f"decode: got shape {tuple(mean.shape)}, wanted {tuple(y.shape)}")
            return -0.5 * ((y - mean) / scale).square().flatten(1).sum(dim=1)

        apart = -closeness(z)
        rms = math.sqrt(2 * float(apart.mean()) / spec.size)
        widest = max(math.sqrt(float(apart.std())), rms)
        narrowest = max(rms / 300, 0.3) if levels else rms / 300
        sigmas = torch.logspace(math.log10(widest), math.log10(narrowest), reference.temperatures)
        betas = torch.cat([torch.zeros(1), sigmas.double() ** -2])[:, None]
        run = anneal(model.prior.log_prob, closeness, z, betas, chains=CHAINS)

    bounds = run.log_weights.view(len(sigmas), CHAINS, -1).logsumexp(dim=1).mean(dim=1).cpu()
    bounds = bounds - spec.size * sigmas.double().log()  # without terms that do not depend on σ
    if not bounds.isfinite().any():
        raise FloatingPointError("decode: no σ gives the validation examples a finite density")
    best = int(bounds.nan_to_num(nan=-math.inf).argmax())
    return GaussianObservation(model, float(sigmas[best]), scale=scale, levels=levels, discrete=discrete)
