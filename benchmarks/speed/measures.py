"""Measures of samples beside torchmetrics, POT and direct PyTorch, and the seconds of each measure of an evaluation.

    python benchmarks/speed/measures.py [--quick]

Tests elsewhere check that the values agree. The last part evaluates 10,000 samples of 28 × 28 pixels with as many
held-out and 60,000 training examples, by the pixels (784 features) and by 64 features of a network.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import ot
import torch
from harness import alternate, quick, report
from torchmetrics.image.fid import _compute_fid

from thalweg.data import Dataset, Spec, Split
from thalweg.evaluation import Features, Moments, frechet, mmd2, sliced_wasserstein
from thalweg.evaluation.draws import draws_of
from thalweg.evaluation.groups import reference_of
from thalweg.evaluation.measures.samples import asked

N, PROJECTIONS = 5_000, 200


def rate(measure: Callable[[], object]) -> Callable[[], float]:
    """Return a contender: measures per second."""

    def go() -> float:
        began = time.perf_counter()
        measure()
        return 1 / (time.perf_counter() - began)

    return go


def direct_mmd2(x: torch.Tensor, y: torch.Tensor) -> float:
    """Return the unbiased MMD² with bandwidth 1 by its definition, with all three kernel matrices in memory."""

    def k(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.exp(-torch.cdist(a, b).square() / 2)

    n, kx, ky = len(x), k(x, x), k(y, y)
    return float((kx.sum() - kx.trace() + ky.sum() - ky.trace()) / (n * (n - 1)) - 2 * k(x, y).mean())


def peers(rounds: int) -> None:
    """Compare the Fréchet distance from moments, MMD² and the sliced W₁."""
    torch.manual_seed(0)
    d = 256 if quick() else 2048
    scales = torch.linspace(0, -2, d, dtype=torch.float64).exp()
    a, b = (Moments.of(torch.randn(5 * d, d, dtype=torch.float64) * scales + shift) for shift in (0.0, 0.01))
    pairs = [(m.mean, m.covariance) for m in (a, b)]
    contenders = {"thalweg": lambda: frechet(a, b), "torchmetrics": lambda: _compute_fid(*pairs[0], *pairs[1])}
    rates = alternate({name: rate(run) for name, run in contenders.items()}, rounds)
    report("measures-frechet", "distances/s", rates, {"thalweg / torchmetrics": ("thalweg", "torchmetrics", 4.0)})

    x, y = torch.randn(N, 2, dtype=torch.float64), torch.randn(N, 2, dtype=torch.float64) + 0.1
    contenders = {
        "thalweg": lambda: mmd2(x, y, bandwidth=1.0, permutations=0),
        "direct torch": lambda: direct_mmd2(x, y),
    }
    rates = alternate({name: rate(run) for name, run in contenders.items()}, rounds)
    report("measures-mmd", "distances/s", rates, {"thalweg / direct torch": ("thalweg", "direct torch", 6.0)})

    arrays = x.numpy(), y.numpy()
    contenders = {
        "thalweg": lambda: sliced_wasserstein(x, y, projections=PROJECTIONS),
        "POT": lambda: ot.sliced_wasserstein_distance(*arrays, n_projections=PROJECTIONS, p=1),
    }
    rates = alternate({name: rate(run) for name, run in contenders.items()}, rounds)
    report("measures-sliced-w1", "distances/s", rates, {"thalweg / POT": ("thalweg", "POT", 20.0)})


def seconds(samples: int, training: int) -> None:
    """Print the seconds of every measure of samples."""
    maps = np.random.default_rng(0).standard_normal((30, 784)) / 5

    def images(n: int, seed: int) -> np.ndarray:
        random = np.random.default_rng(seed)
        x = random.standard_normal((n, 30)) @ maps + 0.3 * random.standard_normal((n, 784))
        return (60 * x + 20).clip(0, 255).astype(np.uint8).reshape(n, 1, 28, 28)

    spec = Spec(name="images", kind="image", shape=(1, 28, 28), levels=256)
    dataset = Dataset(spec, *(Split(images(n, seed)) for seed, n in enumerate((training, 20, samples))))
    model = SimpleNamespace(sample=lambda n, generator: torch.from_numpy(images(n, generator.initial_seed())))
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Linear(256, 64))
    learned = Features("a network's", lambda x: network(x.flatten(1).float() / 255))
    for name, features in (("784 pixels", None), ("64 features of a network", learned)):
        reference = reference_of(dataset, features=features)
        began = time.perf_counter()
        draws = draws_of(model, reference)
        spent = {"samples and moments": time.perf_counter() - began}
        for names, measure in asked(reference):
            began = time.perf_counter()
            measure(draws)
            spent[", ".join(names)] = time.perf_counter() - began
        print(f"\n{samples:,} samples, {training:,} training examples, {name} (s)")
        for label, each in (*spent.items(), ("all", sum(spent.values()))):
            print(f"  {label:<44} {each:>12.2f}")


if __name__ == "__main__":
    peers(rounds=3 if quick() else 7)
    seconds(*((1_000, 2_000) if quick() else (10_000, 60_000)))
