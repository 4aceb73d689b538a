"""What every model stands beside: real examples, a Gaussian and a mixture of Gaussians fitted to the training data."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.comparison.fitting import Fit
from thalweg.data import Dataset
from thalweg.randomness import fold

__all__ = ["Real", "yardsticks"]


def yardsticks(dataset: Dataset, seed: int = 0) -> dict[str, Any]:
    """Return the models that every table has beside its own, by name: "real", "gaussian", "gaussian-mixture".

    `Real` gives held-out examples: how far apart two samples of one law are, the floor of every distance. The Gaussian
    has the mean and the covariance of the training examples: of images plus uniform noise Cov(x) + I/12, exactly; of
    vectors the least noise is added under which no column is made of the others. The mixture has as many components
    as make the validation examples likeliest. Of tokens there is only "real".

    Above 4,096 dimensions both are Gaussian in the 256 leading directions and have one variance in all others.

    Reference: Probabilistic principal component analysis, M. E. Tipping, C. M. Bishop, 1999. On GANs and GMMs, E.
    Richardson, Y. Weiss, 2018, arXiv:1805.12462.

    >>> from thalweg.config import DataConfig
    >>> from thalweg.data import load
    >>> list(yardsticks(load(DataConfig(source="moons", examples=300))))
    ['real', 'gaussian', 'gaussian-mixture']
    """
    real = Real(dataset.validation.x, seed)
    if dataset.spec.kind == "tokens":
        return {"real": real}
    fit = Fit(dataset, seed)
    return {"real": real, "gaussian": fit.gaussian(), "gaussian-mixture": fit.mixture()}


class Real:
    """Held-out examples as samples, each once, in an order drawn from the seed.

    A call goes on where the last one stopped, so a draw in several batches repeats nothing; after the last example it
    begins again with the first.

    >>> real = Real(np.arange(5), seed=0)
    >>> sorted([*real.sample(2).tolist(), *real.sample(3).tolist()])
    [0, 1, 2, 3, 4]
    """

    def __init__(self, x: Any, seed: int = 0) -> None:
        self.x, self.next = x, 0
        self.order = np.random.default_rng(fold(seed, "real")).permutation(len(x))

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Return `n` examples, raw, on the generator's device. Raises ValueError for more than there are."""
        if n > len(self.x):
            raise ValueError(f"real: got {n} samples asked for, wanted at most the {len(self.x)} validation examples")
        rows = self.order[np.arange(self.next, self.next + n) % max(len(self.x), 1)]
        self.next = (self.next + n) % max(len(self.x), 1)
        return torch.from_numpy(np.array(self.x[rows])).to("cpu" if generator is None else generator.device)
