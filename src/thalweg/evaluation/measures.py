"""Every measure that a model's abilities allow, on a split of a data set."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from thalweg.checks import positive
from thalweg.evaluation.classification import classification
from thalweg.evaluation.estimate import Estimate
from thalweg.evaluation.examples import Examples, frozen
from thalweg.evaluation.likelihood import divergence, likelihood
from thalweg.evaluation.reconstruction import reconstruction
from thalweg.evaluation.samples import FEWEST, sample_measures
from thalweg.randomness import fold

__all__ = ["evaluate"]


def evaluate(
    model: nn.Module,
    dataset: Any,
    *,
    split: str = "test",
    batch_size: int = 500,
    device: torch.device | str | None = None,
    seed: int = 0,
    limit: int | None = None,
    draws: int = 1,
) -> list[Estimate]:
    """Return the estimates that the abilities of `model` allow on a split of `dataset`.

    `logits` gives accuracy and label loss; `log_prob` or `elbo` the log-likelihood in nats and bits/dim and, where the
    data's density is known, the KL divergence from it; `encode` with `decode` the squared error and PSNR; `sample`, of
    images or vectors, the Fréchet distance, MMD², sliced W₁, precision, recall, density and coverage of up to 2,000
    samples against as many examples, where there are 20 or more. The model is measured in eval mode and left as it
    was. Noise is a function of `seed` and the batch. `limit` keeps that many examples, drawn by `seed`; `draws` of a
    likelihood's noise are averaged.

    Raises ValueError for a model without any of these abilities, or one that does not fit the data.

    >>> from thalweg.data import Dataset, Spec, Split
    >>> class Fair(nn.Module):
    ...     observation = "discrete"
    ...     def log_prob(self, x):
    ...         return torch.full((len(x),), -x[0].numel() * np.log(16.0))
    >>> part = Split(np.zeros((20, 1, 2, 2), dtype=np.uint8))
    >>> dataset = Dataset(Spec(name="dark", kind="image", shape=(1, 2, 2), levels=16), part, part, part)
    >>> [str(e) for e in evaluate(Fair(), dataset)]
    ['-11.0904 nats', '4 bits/dim']
    """
    spec, part = dataset.spec, dataset.split(split)
    chosen = np.arange(len(part))
    if limit is not None and positive("limit", limit) < len(part):
        chosen = np.sort(np.random.default_rng(fold(seed, "limit")).permutation(len(part))[:limit])
    protocol = {"data": spec.name, "fingerprint": spec.fingerprint, "split": split, "examples": len(chosen)}
    if len(chosen) < len(part):
        protocol |= {"of": len(part), "chosen by seed": seed}
    whole = len(chosen) == len(part)
    x, y = (part.x, part.y) if whole else (part.x[chosen], None if part.y is None else part.y[chosen])
    with frozen(model, device) as place:
        examples = Examples(x, y, protocol, batch_size, seed, place)
        found = _measures(model, spec, examples, dataset.density, draws)
    if not found:
        raise ValueError(
            f"model: {type(model).__name__} has nothing to measure on {spec.name}, "
            f"wanted log_prob, elbo, encode and decode, sample and {FEWEST} examples, or logits with labels"
        )
    return found


def _measures(model: Any, spec: Any, examples: Examples, density: Any, draws: int) -> list[Estimate]:
    found: list[Estimate] = []
    if hasattr(model, "logits") and examples.y is not None:
        found += classification(model.logits, examples, spec.classes and len(spec.classes))
    exact = hasattr(model, "log_prob")
    if exact or hasattr(model, "elbo"):
        law = model.log_prob if exact else model.elbo
        observation = _observation(model, spec)
        # a density at whole-number levels can be as high as one likes: it says nothing of their bits
        bits = not (spec.levels and observation == "continuous")
        found += likelihood(law, examples, observation=observation, bound=not exact, draws=draws, bits=bits)
        if density is not None and observation == "continuous":
            found.append(divergence(density.log_prob, law, examples, bound=not exact, draws=draws))
    if hasattr(model, "encode") and hasattr(model, "decode"):
        peak = spec.levels - 1 if spec.kind == "image" else None
        found += reconstruction(lambda x: model.decode(model.encode(x)), examples, peak=peak)
    if hasattr(model, "sample") and spec.kind != "tokens" and len(examples.x) >= FEWEST:
        found += sample_measures(model, examples, spec)
    return found


def _observation(model: Any, spec: Any) -> str:
    told = getattr(model, "observation", None) or {"vector": "continuous", "tokens": "discrete"}.get(spec.kind)
    if told is None:
        raise ValueError(f"observation: {type(model).__name__} says nothing, wanted discrete, dequantized or binarized")
    return str(told)
