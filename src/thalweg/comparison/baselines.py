"""Baselines beside every model: real examples, uniform levels, and Gaussians fitted to the training data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.comparison.fitting import Fit
from thalweg.data import Dataset
from thalweg.randomness import fold

__all__ = ["Real", "Uniform", "baselines"]


def baselines(dataset: Dataset, seed: int = 0) -> dict[str, Any]:
    """Return the baselines of a comparison by name: "real", "uniform", "gaussian", "gaussian-mixture".

    `Real` gives held-out examples. Its distance to other held-out examples is the distance between two samples of the
    same distribution, which is the minimum that a model can be expected to reach. `Uniform` is for images with levels.
    The Gaussian has the mean and the covariance of the training examples plus those of the dequantization noise of
    levels and discrete columns: Cov(x) + I/12 for images. If there are few examples relative to the dimension, the
    covariance is shrunk; the amount maximizes the likelihood of the validation examples. If columns of vectors are
    linearly dependent, the smallest noise that makes the covariance positive definite is added. The number of
    components of the mixture maximizes the likelihood of the validation examples; a mixture of one component is
    omitted, since it is the Gaussian. For tokens there is only "real".

    Above 4,096 dimensions both are Gaussian in the 256 leading directions and have one variance in all others.

    Reference: Probabilistic principal component analysis, M. E. Tipping, C. M. Bishop, 1999. On GANs and GMMs, E.
    Richardson, Y. Weiss, 2018, arXiv:1805.12462.

    >>> from thalweg.config import DataConfig
    >>> from thalweg.data import load
    >>> list(baselines(load(DataConfig(source="moons", examples=300))))
    ['real', 'gaussian', 'gaussian-mixture']
    """
    real = Real(dataset.validation.x, seed)
    if dataset.spec.kind == "tokens":
        return {"real": real}
    spec, fit = dataset.spec, Fit(dataset, seed)
    models: dict[str, Any] = {"real": real} | ({"uniform": Uniform(spec.shape, spec.levels)} if spec.levels else {})
    models["gaussian"], mixture = fit.gaussian(), fit.mixture()
    return models | ({"gaussian-mixture": mixture} if len(mixture.means) > 1 else {})


class Uniform:
    """Independent uniform levels: P(x) = levels^(−D) for every image, log₂ levels bits/dim, as a code of fixed length
    has.

    >>> coin = Uniform((1, 2, 2), levels=2)
    >>> coin.log_prob(torch.zeros(1, 1, 2, 2)).exp().item(), coin.sample(3).shape
    (0.0625, torch.Size([3, 1, 2, 2]))
    """

    observation = "discrete"

    def __init__(self, shape: Sequence[int], levels: int) -> None:
        self.shape, self.levels = tuple(shape), levels

    def log_prob(self, x: Tensor) -> Tensor:
        """Return −D log levels of each image, nats (B,), float64."""
        value = -math.prod(self.shape) * math.log(self.levels)
        return torch.full((len(x),), value, dtype=torch.float64, device=x.device)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `n` images of independent levels, uint8, on the generator's device."""
        device = "cpu" if generator is None else generator.device
        return torch.randint(self.levels, (n, *self.shape), generator=generator, device=device, dtype=torch.uint8)


class Real:
    """Held-out examples as samples, each once, in a random order that depends on the seed.

    Each call continues where the last one stopped, so a sample drawn in several batches contains no example twice;
    after the last example it starts again with the first.

    >>> real = Real(np.arange(5), seed=0)
    >>> sorted([*real.sample(2).tolist(), *real.sample(3).tolist()])
    [0, 1, 2, 3, 4]
    """

    def __init__(self, x: Any, seed: int = 0) -> None:
        self.x, self.next = x, 0
        self.order = np.random.default_rng(fold(seed, "real")).permutation(len(x))

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Return `n` raw examples on the generator's device. Raises ValueError if there are fewer."""
        if n > len(self.x):
            raise ValueError(f"real: got {n} samples asked for, wanted at most the {len(self.x)} validation examples")
        rows = self.order[np.arange(self.next, self.next + n) % max(len(self.x), 1)]
        self.next = (self.next + n) % max(len(self.x), 1)
        return torch.from_numpy(np.array(self.x[rows])).to("cpu" if generator is None else generator.device)
