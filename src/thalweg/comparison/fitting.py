"""A Gaussian, or a mixture of Gaussians, fitted to the training examples of a data set."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from thalweg.comparison.gaussians import Gaussians
from thalweg.data import Dataset
from thalweg.evaluation.examples import seeded
from thalweg.randomness import fold

__all__ = ["Fit"]

Array = np.ndarray[Any, Any]
UNIFORM = 1 / 12  # variance of the dequantization noise, in steps²
SHRINKAGE = (0.0, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0)  # candidates for the weight of an isotropic covariance
MIN_NOISE = 1e-6  # relative to a column's variance, added if columns are linearly dependent
# dimensions: up to FEW, EM in all; up to MANY, full covariances; above, the number of principal components
FEW, MANY, RANK = 32, 4096, 256
WORK, HELD = 2.5e11, 3e7  # limits: multiplications for a covariance; entries of all covariances of a mixture
FITTED, JUDGED, CHUNK = 10_000, 500, 2_000  # examples for EM; for the choice of components; in a chunk
NUMBERS = (3, 10, 30)  # numbers of components
# prior weight, in examples, of the mean covariance beside a component's own, plus this many per dimension
SHARED = (0.3, 20.0)


class Fit:
    """The training examples as points: standardized columns, or pixels; discrete values have the moments of their
    noise.

    Dequantization adds step/2 to the mean and step²/12 to the variance of levels and discrete columns. If there are few
    examples relative to the dimension, the covariance Σ is shrunk to (1 − λ) Σ + λ tr(Σ)/d I.

    Above 4,096 dimensions the points are the coordinates along the 256 leading principal components, and all other
    directions have one common variance (probabilistic PCA).

    Reference: *Probabilistic principal component analysis*, M. E. Tipping, C. M. Bishop, 1999. *A well-conditioned
    estimator for large-dimensional covariance matrices*, O. Ledoit, M. Wolf, 2004.
    """

    def __init__(self, dataset: Dataset, seed: int) -> None:
        spec = dataset.spec
        self.x, self.held_out, self.seed, self.spec = dataset.train.x, dataset.validation.x, seed, spec
        steps = [column.step if column else 0.0 for column in spec.discrete]
        self.steps = np.ones(spec.size) if spec.levels else np.array(steps or [0.0] * spec.size)
        self.noise = 0.0 if spec.levels else MIN_NOISE
        self.scale, self.center = np.ones(spec.size), np.zeros(spec.size)
        self.basis: Array | None = None
        self.rest, self.size = 0.0, spec.size
        if spec.size > MANY:
            self._lead()
        elif not spec.levels:
            x = self._flat(_some(len(self.x), WORK / spec.size**2, seed))
            self.center = x.mean(axis=0) + self.steps / 2
            self.scale = np.sqrt(x.var(axis=0) + UNIFORM * self.steps**2)
        self.rows = _some(len(self.x), WORK / self.size**2, seed)
        self.mean, self.covariance = self._moments(self.rows)
        self.shrinkage = self._chosen()

    def _lead(self) -> None:
        """Compute the leading principal components of the training examples, and the common variance of all others."""
        from sklearn.decomposition import PCA

        x = self._flat(_some(len(self.x), FITTED // 2, self.seed))
        self.size = min(RANK, len(x) - 1)
        pca = PCA(self.size, svd_solver="randomized", random_state=self.seed % 2**31).fit(x)
        variances = x.var(axis=0, ddof=1)
        if not self.spec.levels:
            self.noise = MIN_NOISE * float(variances.mean())
        left = float(variances.sum() - pca.explained_variance_.sum()) / (x.shape[1] - self.size)
        self.center, self.basis = pca.mean_ + self.steps / 2, pca.components_.T
        self.rest = left + UNIFORM * float((self.steps**2).mean()) + self.noise

    def _chosen(self) -> float:
        """Return the shrinkage that maximizes the likelihood of held-out examples; 0 unless another is better by two
        standard errors.

        The held-out examples are the validation examples or, if there are none, a fifth of the training examples; the
        moments are then those of the rest.
        """
        moments, held_out = (self.mean, self.covariance), self._held_out()
        if not len(self.held_out):
            apart = np.arange(len(self.rows)) % 5 == 0
            moments, held_out = self._moments(self.rows[~apart]), np.array(self.x[self.rows[apart]])
        best, first, likeliest = 0.0, np.zeros(0), np.zeros(0)
        for shrinkage in SHRINKAGE:
            now = self._log_prob(self._single(*moments, shrinkage), held_out)
            if not len(first):
                first = likeliest = now
            elif now.mean() <= likeliest.mean():
                break
            else:
                best, likeliest = shrinkage, now
        gain = likeliest - first
        return best if gain.mean() > 2 * gain.std() / math.sqrt(max(len(gain), 1)) else 0.0

    def _shrunk(self, covariance: Array, shrinkage: float) -> Array:
        return (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / self.size * np.eye(self.size)

    def _single(self, mean: Array, covariance: Array, shrinkage: float) -> Gaussians:
        """Return one Gaussian, with the smallest noise that makes its covariance positive definite."""
        covariance = self._shrunk(covariance, shrinkage)
        if self.noise:
            least = float(np.linalg.eigvalsh(covariance)[0])
            covariance = covariance + max(self.noise - least, 0.0) * np.eye(self.size)
        return self._full_space(np.ones(1), mean[None], np.linalg.cholesky(covariance)[None])

    def gaussian(self) -> Gaussians:
        """Return the Gaussian with the points' mean and covariance, shrunk if examples are few."""
        return self._single(self.mean, self.covariance, self.shrinkage)

    def mixture(self) -> Gaussians:
        """Return the mixture of 1, 3, 10 or 30 components that maximizes the likelihood of the validation examples.

        In up to 32 dimensions it is fitted by EM. In more, EM along the 32 leading components assigns each example to a
        component; each component has its own mean and a covariance that is averaged with the mean covariance.
        """
        best = self.gaussian()
        most = self._validation_log_prob(best)
        for k in NUMBERS:
            if 20 * k > len(self.rows) or k * self.size**2 > HELD:
                break
            value, model = -math.inf, best
            for candidate in self._mixtures(k):
                now = self._validation_log_prob(candidate)
                if now <= value:
                    break
                value, model = now, candidate
            if value <= most:
                break
            best, most = model, value
        return best

    def _held_out(self) -> Array:
        """Return validation examples, or training examples where there are none."""
        x = self.held_out if len(self.held_out) else self.x
        return np.array(x[_some(len(x), JUDGED, self.seed)])

    def _log_prob(self, model: Gaussians, x: Array) -> Array:
        with seeded(self.seed, "noise"):
            return model.log_prob(torch.from_numpy(x)).numpy()

    def _validation_log_prob(self, model: Gaussians) -> float:
        return float(self._log_prob(model, self._held_out()).mean())

    def _mixtures(self, k: int) -> Iterator[Gaussians]:
        """Yield candidate mixtures of `k` components, the most regularized first."""
        from scipy.linalg import eigh

        random, few = np.random.default_rng(fold(self.seed, "mixture", k)), self.size <= FEW
        last = [self.size - min(FEW, self.size), self.size - 1]
        lead = np.eye(self.size) if few else eigh(self.covariance, subset_by_index=last)[1]
        points = np.concatenate([(part - self.mean) @ lead for part in self._points(self.rows)])
        if few and self.steps.any():
            around = (random.random((len(points), len(self.steps))) - 0.5) * self.steps / self.scale
            points += around if self.basis is None else around @ self.basis
        noise, tolerance = (MIN_NOISE, 1e-3) if few else (self.noise or UNIFORM, 1e-2)
        pca = _em(k, points[_some(len(points), FITTED, self.seed)], noise, tolerance, random)
        if few:
            yield self._full_space(pca.weights_, self.mean + pca.means_, np.linalg.cholesky(pca.covariances_))
            return
        labels = pca.predict(points)
        known, counts = np.unique(labels, return_counts=True)
        moments = [self._moments(self.rows[labels == label]) for label in known]
        weights, means, own = counts / counts.sum(), np.stack([m[0] for m in moments]), [m[1] for m in moments]
        mean = self._shrunk(sum((w * c for w, c in zip(weights, own, strict=True)), np.zeros(())), self.shrinkage)
        for shared in (*SHARED, self.size, 10 * self.size):
            mixed = [(n * c + shared * mean) / (n + shared) for n, c in zip(counts, own, strict=True)]
            factors = [np.linalg.cholesky(c + self.noise * np.eye(self.size)) for c in mixed]
            yield self._full_space(weights, means, np.stack(factors))

    def _full_space(self, weights: Array, means: Array, factors: Array) -> Gaussians:
        """Return Gaussians of raw data from Gaussians of points."""
        spec = self.spec
        shared: dict[str, Any] = {"shape": spec.shape, "levels": spec.levels, "discrete": spec.discrete}
        shared["center"] = self.center
        if self.basis is None:
            return Gaussians(weights, self.scale * means, self.scale[:, None] * factors, **shared)
        return Gaussians(weights, means, factors, basis=self.basis, rest=self.rest, **shared)

    def _flat(self, rows: Array) -> Array:
        return np.asarray(self.x[rows], dtype=np.float64).reshape(len(rows), -1)

    def _points(self, rows: Array) -> Iterator[Array]:
        """Yield the points (n, d) of the training examples in these rows, in chunks."""
        for start in range(0, len(rows), CHUNK):
            y = (self._flat(rows[start : start + CHUNK]) - (self.center - self.steps / 2)) / self.scale
            yield y if self.basis is None else y @ self.basis

    def _moments(self, rows: Array) -> tuple[Array, Array]:
        """Return the mean (d,) and the covariance (d, d) of the points in these rows, dequantization noise included."""
        mean: Any = sum(part.sum(axis=0) for part in self._points(rows))
        mean = mean / len(rows)
        scatter: Any = sum(part.T @ part for part in (part - mean for part in self._points(rows)))
        variances = UNIFORM * (self.steps / self.scale) ** 2
        noise = np.diag(variances) if self.basis is None else (self.basis.T * variances) @ self.basis
        return mean, scatter / len(rows) + noise


def _some(n: int, most: float, seed: int) -> Array:
    """Return at most `most` of n rows, chosen by the seed, in order."""
    return np.arange(n) if n <= most else np.sort(np.random.default_rng(fold(seed, "rows")).permutation(n)[: int(most)])


def _em(k: int, points: Array, noise: float, tolerance: float, random: np.random.Generator) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    model = GaussianMixture(k, reg_covar=noise, tol=tolerance, random_state=int(random.integers(2**31)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # EM that has nearly converged is good enough
        return model.fit(points)
