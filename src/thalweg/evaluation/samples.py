"""What a model's samples are worth: distances to held-out data, and balls around neighbors."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.evaluation.distances import median_distance, mmd2, sliced_wasserstein
from thalweg.evaluation.estimate import Estimate
from thalweg.evaluation.examples import Examples, frozen, seeded
from thalweg.evaluation.findings import Findings
from thalweg.evaluation.intervals import rate
from thalweg.evaluation.moments import Moments, frechet, frechet_of_few
from thalweg.evaluation.neighbors import Prdc, distances, prdc_of
from thalweg.evaluation.reference import Reference
from thalweg.randomness import fold, generator

__all__ = ["FEWEST", "MOST", "drawn", "sample_measures"]

FEWEST, MOST = 20, 2000  # examples: below, a block of them is not worth leaving out; above, neighbors take long
BLOCKS, NEAREST, PERMUTATIONS, PROJECTIONS = 10, 5, 199, 128
T975 = 2.262157162798205  # the 97.5 % point of Student's law of BLOCKS − 1 degrees
HOW = f"delete-a-block jackknife, {BLOCKS} blocks of both samples"


def sample_measures(model: Any, reference: Reference) -> Findings:
    """Return the distances of samples of the model to as many test examples, and precision to coverage.

    Nothing for a model without `sample(count, generator)`, and for tokens.
    """
    found, test, spec = Findings(), reference.test, reference.spec
    if not hasattr(model, "sample") or spec.kind == "tokens" or len(test.x) < FEWEST:
        return found
    n, seed = reference.samples or min(len(test.x), MOST), reference.seed
    if not FEWEST <= n <= len(test.x):
        raise ValueError(f"n: got {n}, wanted from {FEWEST} to the {len(test.x)} examples there are")
    rows = np.random.default_rng(fold(seed, "real")).permutation(len(test.x))[:n]  # shuffled: blocks are random
    real = reference.features.of(torch.from_numpy(np.array(test.x[rows])))
    fake = reference.features.of(drawn(model, n, spec, test, seed))
    protocol = {**(test.protocol or {}), "features": reference.features.name, "n_real": n, "n_fake": n, "seed": seed}
    shared: dict[str, Any] = {"varies": "samples", "n": n}
    found.attempt("distances", lambda: _distances(real, fake, seed, protocol, shared))
    found.attempt("neighbors", lambda: _neighbors(real, fake, {**protocol, "k": NEAREST}, shared))
    return found


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
