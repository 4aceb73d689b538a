"""Samples of a model and held-out examples: the moments of all, and the features of the first ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.abilities import Samples
from thalweg.data.dataset import Spec
from thalweg.evaluation.examples import Examples, frozen, seeded
from thalweg.evaluation.reference import Features, Reference
from thalweg.evaluation.statistics.moments import Moments
from thalweg.randomness import fold, generator

__all__ = [
    "BLOCKS",
    "MAX_FEATURES",
    "MAX_KEPT",
    "MAX_SAMPLES",
    "MIN_EXAMPLES",
    "Draws",
    "Stream",
    "drawn",
    "draws_of",
    "streamed",
]

MIN_EXAMPLES = 20  # with fewer, leaving out a tenth of them says little
MAX_SAMPLES = 10_000  # by default
MAX_KEPT = 5_000  # for measures that compare all pairs
MAX_FEATURES = 2_048  # features: with more, moments of twenty blocks take gigabytes, and their distances minutes
BLOCKS = 10
OF_LEVELS = ("discrete", "binarized", "dequantized")  # observations of which every sample consists of raw levels


@dataclass(frozen=True)
class Stream:
    """A summary of a stream of `count` raw examples.

    It has the `moments` of ten consecutive blocks and, of the first `MAX_KEPT` examples, the `raw` values and their
    `features` (k, d) in float64. `moments` is empty if there are fewer examples than features, or more than
    `MAX_FEATURES` features.
    """

    count: int
    raw: Tensor
    features: Tensor
    moments: tuple[Moments, ...]


@dataclass(frozen=True)
class Draws:
    """Samples of a model (`fake`) and test examples (`real`), each in random order."""

    real: Stream
    fake: Stream
    reference: Reference

    @property
    def seed(self) -> int:
        """The seed of all random draws."""
        return self.reference.seed

    def fields(self, n_real: int, n_fake: int, **protocol: Any) -> dict[str, Any]:
        """Return the fields of an estimate from so many examples and samples; `protocol` adds what must agree."""
        own = {"features": self.reference.features.name, "n_real": n_real, "n_fake": n_fake, "seed": self.seed}
        return {
            "varies": "samples",
            "n": n_fake,
            "protocol": {**self.reference.test.protocol, **own, **protocol},
        }

    def few(self, most: int) -> tuple[Tensor, Tensor]:
        """Return equally many features of real examples and samples, at most `most`."""
        n = min(most, len(self.real.features), len(self.fake.features))
        return self.real.features[:n], self.fake.features[:n]


def draws_of(model: Samples, reference: Reference) -> Draws:
    """Return samples of the model and test examples: `reference.samples` of them, or as many as the test split has.

    There are at most `MAX_SAMPLES` of either unless more are asked for. The result is a function of the seed and the
    batch size.

    Raises ValueError for fewer than `MIN_EXAMPLES`, for samples of a wrong shape and, of a model of raw levels, for
    samples outside 0..levels-1; FloatingPointError if samples are not finite.
    """
    test, seed = reference.test, reference.seed
    n_fake = min(len(test.x), MAX_SAMPLES) if reference.samples is None else reference.samples
    for name, count in (("test examples", len(test.x)), ("samples", n_fake)):
        if count < MIN_EXAMPLES:
            raise ValueError(f"{name}: got {count}, wanted at least {MIN_EXAMPLES}")
    n_real = min(len(test.x), max(n_fake, MAX_SAMPLES))
    order = np.random.default_rng(fold(seed, "real")).permutation(len(test.x))[:n_real]
    size, fewest = test.batch_size, min(n_real, n_fake)

    held_out = (torch.from_numpy(np.array(test.x[order[i : i + size]])) for i in range(0, n_real, size))
    samples = _batches(model, n_fake, reference.spec, test, seed)
    fake = streamed(samples, n_fake, reference.features, fewest=fewest, name="sample")
    real = streamed(held_out, n_real, reference.features, fewest=fewest, name="test")
    return Draws(real, fake, reference)


def drawn(model: Samples, n: int, spec: Spec, reference: Examples, seed: int) -> Tensor:
    """Return `n` raw samples `(n, *shape)` of the model on the CPU, a function of the seed and the batch size."""
    x = torch.cat(list(_batches(model, n, spec, reference, seed)))
    _refuse(_broken(x), n, "sample")
    return x


def streamed(
    batches: Iterable[Tensor], count: int, features: Features, *, fewest: int, name: str, kept: int = MAX_KEPT
) -> Stream:
    """Return the summary of raw `batches` with `count` examples in all; memory grows with the number kept, not with
    `count`.

    Moments are computed if `fewest` exceeds the number of features.

    Raises FloatingPointError, with the number of examples, if some are not finite.
    """
    kept = min(count, kept)
    moments: list[Moments | None] = [None] * BLOCKS
    raw, extracted = torch.empty(0), torch.empty(0)
    at = broken = 0
    for x in batches:
        broken, start, at = broken + _broken(x), at, at + len(x)
        if broken:
            continue
        extracted_part = features.of(x)
        if start == 0:
            raw, extracted = x.new_empty(kept, *x.shape[1:]), extracted_part.new_empty(kept, extracted_part.shape[1])
        if start < kept:  # copied, so that the batch can be freed
            raw[start:at], extracted[start:at] = x[: kept - start], extracted_part[: kept - start]
        if extracted_part.shape[1] < fewest and extracted_part.shape[1] <= MAX_FEATURES:
            for block in range(start * BLOCKS // count, (at - 1) * BLOCKS // count + 1):
                first, last = (-(-edge * count // BLOCKS) for edge in (block, block + 1))
                part = Moments.of(extracted_part[max(first - start, 0) : last - start])
                known = moments[block]
                moments[block] = part if known is None else known + part
    _refuse(broken, count, name)
    return Stream(count, raw, extracted, tuple(m for m in moments if m is not None))


def _broken(x: Tensor) -> int:
    return int((~torch.isfinite(x)).flatten(1).any(dim=1).sum())


def _refuse(broken: int, count: int, name: str) -> None:
    if broken:
        what = "samples" if name == "sample" else "examples"
        raise FloatingPointError(f"{name}: {broken} of {count} {what} are not finite")


def _batches(model: Samples, n: int, spec: Spec, reference: Examples, seed: int) -> Iterator[Tensor]:
    """Yield `n` raw samples in batches, on the CPU."""
    still: Callable[[Any], AbstractContextManager[Any]] = frozen if isinstance(model, nn.Module) else nullcontext
    for start in range(0, n, reference.batch_size):
        count = min(reference.batch_size, n - start)
        with still(model), seeded(seed, "samples", start, device=reference.device):
            x = model.sample(count, generator=generator(seed, "samples", start, device=reference.device))
        if x.shape != (count, *spec.shape):
            raise ValueError(f"sample: got shape {tuple(x.shape)}, wanted {(count, *spec.shape)}")
        x = x.detach().cpu()
        if spec.levels and getattr(model, "observation", None) in OF_LEVELS:
            _refuse_outside(x, spec.levels)
        yield x


def _refuse_outside(x: Tensor, levels: int) -> None:
    """Raise ValueError for finite values outside the levels; those that are not finite have an error of their own."""
    known = x[x.isfinite()]
    if len(known) and not (known.min() >= 0 and known.max() <= levels - 1):
        raise ValueError(f"sample: got values from {known.min():.4g} to {known.max():.4g}, wanted 0 to {levels - 1}")
