"""What a model's samples are worth: distances to held-out data, and balls around neighbors."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.evaluation.distances import median_distance, mmd2, sliced_wasserstein
from thalweg.evaluation.estimate import Estimate, rate
from thalweg.evaluation.examples import Examples, frozen, seeded
from thalweg.evaluation.moments import Moments, frechet, frechet_of_few
from thalweg.evaluation.neighbors import Prdc, distances, prdc_of
from thalweg.randomness import fold, generator

__all__ = ["FEWEST", "MOST", "drawn", "features", "sample_measures"]

FEWEST, MOST = 20, 2000  # examples: below, a block of them is not worth leaving out; above, neighbors take long
BLOCKS, NEAREST, PERMUTATIONS, PROJECTIONS = 10, 5, 199, 128
T975 = 2.262157162798205  # the 97.5 % point of Student's law of BLOCKS − 1 degrees
HOW = f"delete-a-block jackknife, {BLOCKS} blocks of both samples"


def sample_measures(
    model: Any, reference: Examples, spec: Any, n: int | None = None, seed: int | None = None
) -> list[Estimate]:
    """Return the distances of `n` samples of `model` to as many examples of the reference, and precision to coverage.

    `model.sample(count, generator)` gives raw examples. They and the examples are compared by their features: columns
    standardized by the training split for vectors, pixels / (levels − 1) for images; tokens have none and give
    nothing. The squared Fréchet distance and sliced W₁ of finite samples are biased upwards, whatever their intervals;
    MMD² is unbiased and may be negative; its p-value, in `method`, is that of the hypothesis that the model is right.

    Intervals are value ± t √((B−1)/B Σ(θ_b − θ̄)²) over the values θ_b with block b of both samples left out. The
    bootstrap's repeated examples would shift a Fréchet distance, W₁ and neighbors; the jackknife has none. Those of
    shares are never narrower than Wilson's. By default n is the number of examples, up to 2,000, and seed is theirs.

    Raises ValueError for fewer than 20 examples or samples of a wrong shape, FloatingPointError if one is not finite.

    Reference: The jackknife, the bootstrap and other resampling plans, B. Efron, 1982.

    >>> from thalweg.data import Spec
    >>> class Normal:
    ...     def sample(self, n, generator=None):
    ...         return torch.randn(n, 2, generator=generator)
    >>> x = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    >>> spec = Spec(name="cloud", kind="vector", shape=(2,), mean=(0.0, 0.0), std=(1.0, 1.0))
    >>> [e.name for e in sample_measures(Normal(), Examples(x), spec)]
    ['Fréchet distance', 'MMD²', 'sliced W1', 'precision', 'recall', 'density', 'coverage']
    """
    if spec.kind == "tokens":
        return []
    n, seed = min(len(reference.x), MOST) if n is None else n, reference.seed if seed is None else seed
    if not FEWEST <= n <= len(reference.x):
        raise ValueError(f"n: got {n}, wanted from {FEWEST} to the {len(reference.x)} examples there are")
    rows = np.random.default_rng(fold(seed, "real")).permutation(len(reference.x))[:n]  # shuffled: blocks are random
    real, kind = features(torch.from_numpy(np.array(reference.x[rows])), spec)
    fake, _ = features(drawn(model, n, spec, reference, seed), spec)
    protocol = {**(reference.protocol or {}), "features": kind, "n_real": n, "n_fake": n, "seed": seed}
    shared: dict[str, Any] = {"varies": "samples", "n": n}
    return [
        *_distances(real, fake, seed, protocol, shared),
        *_neighbors(real, fake, {**protocol, "k": NEAREST}, shared),
    ]


def drawn(model: Any, n: int, spec: Any, reference: Examples, seed: int) -> Tensor:
    """Return `n` samples (n, *shape) of the model, raw, on the CPU: a function of the seed and the batch size."""
    parts, device = [], reference.device
    for start in range(0, n, reference.batch_size):
        count = min(reference.batch_size, n - start)
        with _still(model), seeded(seed, "samples", start, device=device):
            x = model.sample(count, generator=generator(seed, "samples", start, device=device))
        if x.shape != (count, *spec.shape):
            raise ValueError(f"sample: got shape {tuple(x.shape)}, wanted {(count, *spec.shape)}")
        parts.append(x.detach().cpu())
    x = torch.cat(parts)
    broken = int((~torch.isfinite(x.double())).flatten(1).any(dim=1).sum())
    if broken:
        raise FloatingPointError(f"sample: {broken} of {n} samples are not finite")
    return x


def _still(model: Any) -> AbstractContextManager[Any]:
    return frozen(model) if isinstance(model, nn.Module) else nullcontext()


def features(x: Tensor, spec: Any) -> tuple[Tensor, str]:
    """Return the features (n, d), float64, of raw examples (n, *shape), and what they are."""
    x = x.double().flatten(1)
    if spec.kind == "image":
        return (x / (spec.levels - 1) if spec.levels else x), "pixels"
    if not spec.mean:
        return x, "columns"
    return (x - torch.tensor(spec.mean).double()) / torch.tensor(spec.std).double(), "standardized columns"


def _distances(
    real: Tensor, fake: Tensor, seed: int, protocol: dict[str, Any], shared: dict[str, Any]
) -> list[Estimate]:
    turn = torch.arange(len(real)) % BLOCKS

    def sliced(out: int) -> float:
        kept, random = turn != out, generator(seed, "directions")
        return sliced_wasserstein(real[kept], fake[kept], projections=PROJECTIONS, generator=random)

    gaps = _gaps(real, fake)
    sigma = median_distance(real, generator=generator(seed, "bandwidth"))
    random = generator(seed, "permutations")
    found = mmd2(real, fake, bandwidth=sigma, permutations=PERMUTATIONS, blocks=BLOCKS, generator=random)
    tested = {
        "interval": HOW,
        "bandwidth": found.bandwidth,
        "p-value": found.p_value,
        "permutations": PERMUTATIONS,
        "unbiased": "may be negative",
    }
    biased = {"interval": HOW, "bias": "upwards, by finite samples"}
    kernel = {**protocol, "kernel": "Gaussian, of the median distance of the examples"}
    directions = {**protocol, "directions": PROJECTIONS}
    return [
        _jackknifed("Fréchet distance", gaps[0], gaps[1:], 0.0, protocol, biased, shared),
        _jackknifed("MMD²", found.value, list(found.left_out), -math.inf, kernel, tested, shared),
        _jackknifed("sliced W1", sliced(-1), [sliced(b) for b in range(BLOCKS)], 0.0, directions, biased, shared),
    ]


def _gaps(real: Tensor, fake: Tensor) -> list[float]:
    """Return the Fréchet distance of all, and that without each block."""
    turn = torch.arange(len(real)) % BLOCKS
    if real.shape[1] > len(real):
        return [frechet_of_few(real[turn != b], fake[turn != b]) for b in range(-1, BLOCKS)]
    blocks = [(Moments.of(real[turn == b]), Moments.of(fake[turn == b])) for b in range(BLOCKS)]
    found = []
    for out in range(-1, BLOCKS):
        kept = [pair for b, pair in enumerate(blocks) if b != out]
        a, b = kept[0]
        for more in kept[1:]:
            a, b = a + more[0], b + more[1]
        found.append(frechet(a, b))
    return found


def _jackknifed(
    name: str,
    value: float,
    left_out: list[float],
    least: float,
    protocol: dict[str, Any],
    method: dict[str, Any],
    shared: dict[str, Any],
    better: Any = "lower",
) -> Estimate:
    half = _half(left_out)
    fields = {**shared, "unit": "", "kind": "estimate", "better": better, "protocol": protocol, "method": method}
    return Estimate(name=name, value=value, low=max(value - half, least), high=value + half, **fields)


def _half(left_out: list[float]) -> float:
    return T975 * math.sqrt((BLOCKS - 1) * float(np.var(left_out)))


def _neighbors(real: Tensor, fake: Tensor, protocol: dict[str, Any], shared: dict[str, Any]) -> list[Estimate]:
    among, across, within = distances(real, fake)
    turn = torch.arange(len(real)) % BLOCKS
    whole = prdc_of(among, across, within, NEAREST)
    left_out: list[Prdc] = []
    for b in range(BLOCKS):
        kept = torch.nonzero(turn != b).flatten()
        rest = [d[kept][:, kept] for d in (among, across, within)]
        left_out.append(prdc_of(rest[0], rest[1], rest[2], NEAREST))
    found = []
    for name in Prdc._fields:
        value, others = getattr(whole, name), [getattr(other, name) for other in left_out]
        if name == "density":
            method = {"interval": HOW}
            found.append(_jackknifed(name, value, others, 0.0, protocol, method, shared, "higher"))
            continue
        half = 100 * _half(others)
        wilson = rate(name, round(value * len(real)), len(real))
        fields = {**shared, "unit": "%", "kind": "estimate", "better": "higher", "protocol": protocol}
        low, high = min(wilson.low, 100 * value - half), max(wilson.high, 100 * value + half)
        method = {"interval": f"{HOW}, never narrower than Wilson's"}
        ends = {"low": max(low, 0.0), "high": min(high, 100.0)}
        found.append(Estimate(name=name, value=wilson.value, **ends, **fields, method=method))
    return found
