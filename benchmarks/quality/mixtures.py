"""Kernel density estimates and Gaussian mixtures beside scikit-learn: log-densities and likelihoods of the fits.

    python benchmarks/quality/mixtures.py

Prints and writes results/mixtures.json: the largest difference of the log-densities under the same parameters, in nats;
for each covariance the mean training log-likelihoods of the fits of both libraries from several seeds, with the same
tolerance and largest number of steps; and the seconds of each, measured in turn in one process.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from thalweg.config import DataConfig
from thalweg.data import load
from thalweg.models.mixtures.gmm import GMM
from thalweg.models.mixtures.kde import KDE
from thalweg.randomness import generator

RESULT = Path(__file__).parent / "results" / "mixtures.json"
SEEDS, STEPS, TOLERANCE, COMPONENTS = 5, 300, 1e-4, 10
COVARIANCES = {"spherical": "spherical", "diagonal": "diag", "full": "full"}
FLOOR = {"moons": 1e-6, "digits": 1e-2}  # some pixels of the digits are constant


def data(name: str) -> np.ndarray[Any, Any]:
    """Return examples (N, D) in float64, with the mean of each column 0 and one scale for all."""
    x = load(DataConfig(source=name)).train.x[:5000]
    x = x.reshape(len(x), -1).astype(np.float64)
    return (x - x.mean(0)) / x.std()


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return the result of a function, and its seconds."""
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def kernels(x: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Compare kernel density estimates from 4/5 of the examples at the other examples."""
    cut, d, result = 4 * len(x) // 5, x.shape[1], {}
    for kernel in ("gaussian", "epanechnikov", "tophat"):
        h = 0.5 if kernel == "gaussian" else 1.5 * np.sqrt(d)
        settings = {"kernel": kernel, "bandwidth": h, "rtol": 0, "atol": 0}
        tree, slow = timed(lambda s=settings: KernelDensity(**s).fit(x[:cut]).score_samples(x[cut:]))
        theirs = KernelDensity(**settings, leaf_size=cut + 1).fit(x[:cut]).score_samples(x[cut:])  # one leaf: all sums
        model = KDE((d,), mean=[0.0] * d, std=[1.0] * d, kernel=kernel, bandwidth=h)
        model.points, model.bandwidth = torch.from_numpy(x[:cut]), torch.tensor(h, dtype=torch.float64)
        ours, fast = timed(lambda model=model: model.log_prob(torch.from_numpy(x[cut:])).numpy())
        both = np.isfinite(ours) & np.isfinite(theirs)
        result[kernel] = {
            "largest difference": float(np.abs(ours - theirs)[both].max()),
            "scikit-learn's tree to its own sum": float(np.abs(tree - theirs)[both].max()),
            "−∞ in one alone": int((np.isfinite(ours) != np.isfinite(theirs)).sum()),
            "seconds": fast,
            "scikit-learn seconds": slow,
        }
    return result


def fit(model: GMM, x: torch.Tensor, seed: int) -> float:
    """Fit by expectation maximization and return the mean log-likelihood, nats."""
    keys = torch.rand(len(x), model.keys, generator=generator(seed, "keys"))
    for _ in range(STEPS):
        if model.fit(x, None, keys).last:
            break
    with torch.no_grad():
        return float(model.log_prob(x).mean())


def same_density(model: GMM, reference: GaussianMixture, x: np.ndarray[Any, Any]) -> float:
    """Return the largest difference of log-densities under the parameters of scikit-learn's model."""
    with torch.no_grad():
        model.log_weights.copy_(torch.from_numpy(reference.weights_).log())
        model.means.copy_(torch.from_numpy(reference.means_))
        spread = torch.from_numpy(reference.covariances_)
        if model.below is None:
            model.log_scales.copy_(spread.log().view(len(spread), -1) / 2)
        else:
            factors = torch.linalg.cholesky(spread)
            row, column = torch.tril_indices(model.size, model.size, offset=-1)
            model.log_scales.copy_(factors.diagonal(dim1=1, dim2=2).log())
            model.below.copy_(factors[:, row, column])
        return float(np.abs(model.log_prob(torch.from_numpy(x)).numpy() - reference.score_samples(x)).max())


def mixtures(x: np.ndarray[Any, Any], floor: float) -> dict[str, Any]:
    """Compare fits from several seeds, and log-densities under the same parameters."""
    d, result = x.shape[1], {}
    for ours, theirs in COVARIANCES.items():
        scores, seconds = [], []
        for seed in range(SEEDS):
            torch.manual_seed(seed)
            model = GMM((d,), mean=[0.0] * d, std=[1.0] * d, components=COMPONENTS, covariance=ours, floor=floor,
                        tolerance=TOLERANCE).double()  # fmt: skip
            reference = GaussianMixture(COMPONENTS, covariance_type=theirs, tol=TOLERANCE, max_iter=STEPS,
                                        reg_covar=floor, random_state=seed)  # fmt: skip
            mine, fast = timed(lambda model=model, seed=seed: fit(model, torch.from_numpy(x), seed))
            _, slow = timed(lambda reference=reference: reference.fit(x))
            scores.append((mine, float(reference.score(x))))
            seconds.append((fast, slow))
        result[ours] = {
            "largest difference": same_density(model, reference, x),
            "log-likelihood": [s[0] for s in scores],
            "scikit-learn log-likelihood": [s[1] for s in scores],
            "mean": float(np.mean([s[0] for s in scores])),
            "scikit-learn mean": float(np.mean([s[1] for s in scores])),
            "best": max(s[0] for s in scores),
            "scikit-learn best": max(s[1] for s in scores),
            "seconds": float(np.median([s[0] for s in seconds])),
            "scikit-learn seconds": float(np.median([s[1] for s in seconds])),
        }
    return result


def main() -> None:
    """Compare, print and store."""
    result = {}
    for name, floor in FLOOR.items():
        x = data(name)
        result[name] = {"examples": list(x.shape), "kde": kernels(x), "gmm": mixtures(x, floor)}
        print(json.dumps({name: result[name]}, indent=2, ensure_ascii=False), flush=True)
    RESULT.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
