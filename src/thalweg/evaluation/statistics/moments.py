"""Mean and covariance of a stream of examples, and the Fréchet distance between two of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Moments", "frechet", "frechet_of_few"]


@dataclass(frozen=True)
class Moments:
    """The `count`, `mean` (d,) and `scatter` Σ(x−μ)(x−μ)ᵀ (d, d) of examples, in float64; they can be merged.

    The sum of two is the moments of all their examples (Chan, Golub, LeVeque): with δ = μ₂ − μ₁ and n = n₁ + n₂, μ = μ₁
    + δ n₂/n and S = S₁ + S₂ + δδᵀ n₁n₂/n. Memory does not grow with the count.

    Reference: *Updating formulae and a pairwise algorithm for computing sample variances*, T. F. Chan, G. H. Golub, R.
    J. LeVeque, 1979.

    >>> x = torch.tensor([[0.0], [1.0], [5.0]])
    >>> both = Moments.of(x[:1]) + Moments.of(x[1:])
    >>> both.count, both.mean.tolist(), both.covariance.tolist()
    (3, [2.0], [[7.0]])
    """

    count: int
    mean: Tensor
    scatter: Tensor

    @classmethod
    def of(cls, x: Tensor) -> Moments:
        """Return the moments of features `x` (n, d)."""
        if x.ndim != 2 or len(x) == 0:
            raise ValueError(f"x: got shape {tuple(x.shape)}, wanted (n, d) with n ≥ 1")
        x = x.double()
        mean = x.mean(dim=0)
        centred = x - mean
        return cls(len(x), mean, centred.T @ centred)

    @classmethod
    def known(cls, mean: Tensor, covariance: Tensor, count: int = 2) -> Moments:
        """Return moments that are known: a `mean` (d,) and a `covariance` (d, d)."""
        return cls(count, mean.double(), covariance.double() * (count - 1))

    def __add__(self, other: Moments) -> Moments:
        count, apart = self.count + other.count, other.mean - self.mean
        scatter = torch.addr(self.scatter + other.scatter, apart, apart, alpha=self.count * other.count / count)
        return Moments(count, self.mean + apart * (other.count / count), scatter)

    def __sub__(self, other: Moments) -> Moments:
        """Return the moments of the remaining examples, where `other` are the moments of some of these examples."""
        count = self.count - other.count
        mean = self.mean + (self.mean - other.mean) * (other.count / count)
        apart = other.mean - mean
        scatter = torch.addr(self.scatter - other.scatter, apart, apart, alpha=-count * other.count / self.count)
        return Moments(count, mean, scatter)

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance (d, d): scatter / (count − 1)."""
        if self.count < 2:
            raise ValueError(f"covariance: got {self.count} example, wanted at least 2")
        return self.scatter / (self.count - 1)


def frechet(a: Moments, b: Moments) -> float:
    """Return the squared Fréchet (2-Wasserstein) distance between Gaussians with these moments, in squared units of x.

    ‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2(Σ_aΣ_b)^½). With Σ_a = LLᵀ (Cholesky), the trace of the root is the sum of the roots
    of the eigenvalues of the symmetric LᵀΣ_bL, which avoids the root of a nonsymmetric matrix. The root of an
    eigenvalue near 0 would lose half the digits; if that could change the ninth digit of tr(Σ_a + Σ_b), as with a
    singular covariance, the sum of the singular values of F_aᵀF_b is used instead, with Σ = FFᵀ from the eigenvalues.
    Finite samples bias the distance upwards.

    Reference: *The Fréchet distance between multivariate normal distributions*, D. C. Dowson, B. V. Landau, 1982. *GANs
    trained by a two time-scale update rule converge to a local Nash equilibrium*, M. Heusel et al., 2017,
    arXiv:1706.08500.

    >>> one = torch.eye(1)
    >>> frechet(Moments.known(torch.zeros(1), one), Moments.known(torch.ones(1), 4 * one))
    2.0
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"b: got {len(b.mean)} features, wanted {len(a.mean)} as in a")
    first, second = a.covariance, b.covariance
    total = float(first.trace() + second.trace())
    root = _trace_of_root(first, second, 1e-9 * total)
    if root is None:
        root = float(torch.linalg.svdvals(_factor(first).T @ _factor(second)).sum())
    return max(float((a.mean - b.mean).square().sum()) + total - 2 * root, 0.0)  # negative only by rounding


def frechet_of_few(x: Tensor, y: Tensor) -> float:
    """Return `frechet` of the moments of `x` (n, d) and `y` (m, d) for large d, without a (d, d) matrix.

    With the centered examples as factors, Σ = XᵀX/(n−1), the trace of the root is the sum of the singular values of the
    (n, m) matrix XYᵀ, divided by √((n−1)(m−1)).

    >>> frechet_of_few(torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([[1.0, 3.0], [3.0, 3.0]]))
    10.0
    """
    if x.ndim != 2 or x.shape[1:] != y.shape[1:] or min(len(x), len(y)) < 2:
        raise ValueError(f"x, y: got shapes {tuple(x.shape)} and {tuple(y.shape)}, wanted (n, d) and (m, d), n, m ≥ 2")
    centres = [z.double().mean(dim=0) for z in (x, y)]
    first, second = ((z.double() - c) / (len(z) - 1) ** 0.5 for z, c in zip((x, y), centres, strict=True))
    root = torch.linalg.svdvals(first @ second.T).sum()
    spread = first.square().sum() + second.square().sum() - 2 * root
    return max(float((centres[0] - centres[1]).square().sum() + spread), 0.0)  # negative only by rounding


def _trace_of_root(first: Tensor, second: Tensor, tolerance: float) -> float | None:
    """Return tr (Σ_aΣ_b)^½ by a Cholesky factor, or None if rounding could change it by more than the tolerance."""
    from scipy.linalg.lapack import dsygst

    factor, singular = torch.linalg.cholesky_ex(first.cpu())
    if singular:
        return None
    # LᵀΣ_bL with a quarter of the multiplications
    turned, _ = dsygst(second.cpu().numpy(), factor.numpy(), itype=2, lower=1)
    values = torch.linalg.eigvalsh(torch.from_numpy(turned), UPLO="L")
    # an eigenvalue λ has an error of at most ε‖Σ_a‖‖Σ_b‖, its root of that / 2√λ
    noise = torch.finfo(values.dtype).eps * float(first.norm() * second.norm())
    if values[0] > 0 and noise * float((0.5 / values.sqrt()).sum()) <= tolerance:
        return float(values.sqrt().sum())
    return None


def _factor(covariance: Tensor) -> Tensor:
    """Return F (d, r) with FFᵀ the covariance, where r is its rank."""
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
    factor: Tensor = vectors[:, kept] * values[kept].sqrt()
    return factor
