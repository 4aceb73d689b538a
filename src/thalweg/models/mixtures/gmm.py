"""Gaussian mixtures, fitted by expectation maximization or by gradient descent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from thalweg.checks import choice, positive
from thalweg.config import Discrete
from thalweg.models.mixtures.mixture import Fit, Mixture
from thalweg.models.mixtures.start import k_means

__all__ = ["GMM", "Covariance"]

Covariance = Literal["spherical", "diagonal", "full"]
MAX_VALUES = 1 << 22  # examples × components × columns per chunk


class GMM(Mixture):
    """The Gaussian mixture p(x) = Σ_k π_k N(x; μ_k, Σ_k) on standardized data.

    All parameters are unconstrained: π = softmax(`log_weights`), and Σ_k = L_k L_kᵀ with L_k lower triangular. The
    diagonal of L_k is e^{`log_scales`}, with one value for a spherical covariance and one per column otherwise; a full
    covariance has the other entries `below` the diagonal. So the mixture can be trained by gradients, or by `fit`, a
    step of expectation maximization, which never lowers the likelihood:

        r_ik = p(k|x_i),  n_k = Σ_i r_ik,  π_k = n_k/n,  μ_k = Σ_i r_ik x_i/n_k,
        Σ_k = Σ_i r_ik (x_i − μ_k)(x_i − μ_k)ᵀ/n_k,

    where no eigenvalue of Σ_k is below `floor`; among such mixtures this step is optimal. Without a floor the
    likelihood is unbounded, as a component on one example may become arbitrarily narrow. The initialization is k-means;
    expectation maximization converges to a local maximum.

    `encode` returns the probabilities of the components, which sum to 1; the most probable component is the cluster.

    Args:
        shape: of one raw example.
        components: K.
        covariance: of each component.
        floor: smallest variance of a component in any direction, for data of variance 1.
        tolerance: `fit` reports convergence when the mean log-likelihood, of data without noise, grew by less.
        mean, std, levels: how raw data are standardized, see `Mixture`.

    Reference: *Maximum likelihood from incomplete data via the EM algorithm*, Arthur Dempster, Nan Laird, Donald Rubin,
    1977.

    >>> gmm = GMM((2,), components=3, covariance="spherical", mean=[0.0] * 2, std=[1.0] * 2)
    >>> gmm.means.data = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    >>> gmm.log_scales.data.zero_(), round(gmm.log_prob(torch.zeros(1, 2)).item(), 6)
    (tensor([[0.],
            [0.],
            [0.]]), -2.935819)
    """

    # Other Gaussian mixtures of the library stay apart on purpose: the toy densities of `data` are constants that no
    # model may define; the reference method of `comparison` is fitted by scikit-learn and keeps one factor at a time,
    # in float64, since the factors of many components of images would not fit in memory.

    reached: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        *,
        mean: Sequence[float],
        std: Sequence[float],
        levels: int | None = None,
        discrete: Sequence[Discrete | None] = (),
        components: int = 10,
        covariance: Covariance = "full",
        floor: float = 1e-6,
        tolerance: float = 1e-5,
    ) -> None:
        super().__init__(shape, mean=mean, std=std, levels=levels, discrete=discrete)
        count, d = positive("components", components), self.size
        self.components, self.floor, self.tolerance = count, positive("floor", floor), tolerance
        self.covariance = choice("covariance", covariance, ("spherical", "diagonal", "full"))
        self.log_weights = nn.Parameter(torch.zeros(count))
        self.means = nn.Parameter(torch.randn(count, d))
        self.log_scales = nn.Parameter(torch.zeros(count, 1 if covariance == "spherical" else d))
        full = covariance == "full" and d > 1
        self.below = nn.Parameter(torch.zeros(count, d * (d - 1) // 2)) if full else None
        # Mean log-likelihood before the last step of `fit`
        self.register_buffer("reached", torch.tensor(-math.inf, dtype=torch.float64))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the parameters."""
        return self.means.dtype

    @property
    def keys(self) -> int:
        """Number of uniform random values per example that select the initial centers."""
        return self.components

    def forward(self) -> MixtureSameFamily:
        """Return the distribution of flattened raw data; for images, of dequantized levels."""
        scale, shift = (v.expand(self.shape).flatten() for v in (self.data.std, self.data.mean))
        factors = scale[:, None] * self.factors(self.dtype)
        parts = MultivariateNormal(self.means * scale + shift, scale_tril=factors, validate_args=False)
        return MixtureSameFamily(Categorical(logits=self.log_weights), parts, validate_args=False)

    def factors(self, dtype: torch.dtype) -> Float[Tensor, "K D D"]:
        """Return L_k, for standardized data."""
        diagonal = torch.diag_embed(self.log_scales.to(dtype).exp().expand(-1, self.size))
        if self.below is None:
            return diagonal
        row, column = torch.tril_indices(self.size, self.size, offset=-1, device=diagonal.device)
        return diagonal.index_put((torch.arange(self.components, device=diagonal.device)[:, None], row, column),
                                  self.below.to(dtype))  # fmt: skip

    def parts(self, y: Float[Tensor, "B D"]) -> Float[Tensor, "B K"]:
        """Return log π_k N(y; μ_k, Σ_k) of standardized examples, in their dtype."""
        log_scales = self.log_scales.to(y.dtype).expand(-1, self.size)
        weights = self.log_weights.to(y.dtype).log_softmax(0)
        return weights - log_scales.sum(1) - 0.5 * self.size * math.log(2 * math.pi) - 0.5 * self._squared(y)

    def _squared(self, y: Float[Tensor, "B D"]) -> Float[Tensor, "B K"]:
        """Return |L_k⁻¹(y − μ_k)|²."""
        if self.below is None:  # by matrix products, in float64, since these are differences of large numbers
            x, means = y.double(), self.means.double()
            inverse = (-2 * self.log_scales.double()).exp().expand(-1, self.size)
            squared = x.square() @ inverse.T - 2 * x @ (means * inverse).T + (means.square() * inverse).sum(1)
            return squared.clamp(min=0).to(y.dtype)
        means, factors, distances = self.means.to(y.dtype), self.factors(y.dtype), []
        for part in y.split(max(1, MAX_VALUES // means.numel())):
            away = part.T - means[:, :, None]  # (K, D, B): examples are contiguous
            distances.append(torch.linalg.solve_triangular(factors, away, upper=False).square().sum(1).T)
        return torch.cat(distances)

    def log_density(self, y: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
        """Return log Σ_k π_k N(y; μ_k, Σ_k)."""
        return self.parts(y).logsumexp(1)

    def encode(self, x: Tensor) -> Float[Tensor, "B K"]:
        """Return p(k|x), for images and discrete columns with noise ½, the middle of each cell."""
        return self.parts(self.preprocess(x, 0.5, self.dtype)).softmax(1)

    @torch.no_grad()
    def draw(self, n: int, generator: torch.Generator | None = None) -> Float[Tensor, "n D"]:
        """Draw a component for each example, then the example from that component."""
        device = self.means.device
        where = device if generator is None else generator.device
        own = torch.multinomial(self.log_weights.softmax(0).to(where), n, replacement=True, generator=generator).to(
            device
        )
        noise = torch.randn(n, self.size, generator=generator, device=where).to(device, self.dtype)
        samples, factors = torch.empty_like(noise), self.factors(self.dtype)
        for k in range(self.components):
            rows = own == k
            samples[rows] = self.means[k] + noise[rows] @ factors[k].T
        return samples

    @torch.no_grad()
    def fit(self, x: Tensor, noise: Tensor | None, keys: Float[Tensor, "B K"]) -> Fit:
        """Take a step of expectation maximization, in float64; the first starts from k-means, seeded by `keys`."""
        y = self.preprocess(x, noise, torch.float64)
        if not self.reached.isfinite():
            own = k_means(y, self.components, keys)
            self.maximize(y, nn.functional.one_hot(own, self.components).double())
        joint = self.parts(y)
        log_density = joint.logsumexp(1)
        self.maximize(y, (joint - log_density[:, None]).exp())
        mean = log_density.mean()
        last = self.observation == "continuous" and float(mean - self.reached) < self.tolerance
        self.reached.copy_(mean)
        return Fit(log_density + self.log_scale(), last)

    def maximize(self, y: Float[Tensor, "B D"], weights: Float[Tensor, "B K"]) -> None:
        """Set the parameters that maximize the likelihood when example i belongs to component k with weight r_ik.

        A component without examples keeps its mean and covariance, and its weight becomes 0.
        """
        counts, d = weights.sum(0), self.size
        self.log_weights.copy_((counts.clamp(min=1e-10) / counts.sum()).log())
        used = counts > 1e-8
        r = weights[:, used] / counts[used]
        means = r.T @ y
        self.means[used] = means.to(self.dtype)
        if self.below is None:
            variances = r.T @ y.square() - means.square()
            variances = variances.mean(1, keepdim=True) if self.covariance == "spherical" else variances
            self.log_scales[used] = (0.5 * variances.clamp(min=self.floor).log()).to(self.dtype)
            return
        row, column = torch.tril_indices(d, d, offset=-1, device=y.device)
        for k, mean, share in zip(used.nonzero()[:, 0].tolist(), means, r.T, strict=True):
            chunks = zip(y.split(MAX_VALUES // d + 1), share.split(MAX_VALUES // d + 1), strict=True)
            scatter = mean.new_zeros(d, d)
            for part, s in chunks:
                scatter += (part - mean).T @ ((part - mean) * s[:, None])
            factor = self._factor(scatter)
            self.log_scales[k] = factor.diagonal().log().to(self.dtype)
            self.below[k] = factor[row, column].to(self.dtype)

    def _factor(self, scatter: Float[Tensor, "D D"]) -> Float[Tensor, "D D"]:
        """Return the Cholesky factor of the covariance, with eigenvalues of at least the floor."""
        values, vectors = torch.linalg.eigh(scatter)
        if values[0] < self.floor:
            scatter = vectors * values.clamp(min=self.floor) @ vectors.T
        return torch.linalg.cholesky(scatter)

    def extra_repr(self) -> str:
        return f"components={self.components}, covariance={self.covariance}"
