"""A mixture of Gaussians, fitted by expectation maximization or by gradients."""

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
NUMBERS = 1 << 22  # examples × components × columns at once


class GMM(Mixture):
    """p(x) = Σ_k π_k N(x; μ_k, Σ_k) on standardized data: a distribution of a hidden component and of x given it.

    All parameters are free: π = softmax(`log_weights`), and Σ_k = L_k L_kᵀ, L_k lower triangular with the diagonal
    e^{`log_scales`}: one number of a spherical covariance, a number a column of a diagonal and of a full one, which has
    `below` the diagonal what else there is. So gradients may fit it; or `fit`, a step of expectation maximization,
    which never lowers the likelihood:

        r_ik = p(k|x_i),  n_k = Σ_i r_ik,  π_k = n_k/n,  μ_k = Σ_i r_ik x_i/n_k,
        Σ_k = Σ_i r_ik (x_i − μ_k)(x_i − μ_k)ᵀ/n_k,

    with no direction of a Σ_k below `floor`: then this is the best step among such mixtures. Without a floor the
    likelihood has no maximum: a component on one example may be as narrow as it likes. It begins with k-means, and has
    local maxima. The lecture's text copy ends within the exponents.

    `encode` gives the probabilities of the components, which sum to 1; the largest one is the cluster.

    Args:
        shape: of one raw example.
        components: K.
        covariance: of each component.
        floor: the least variance of a component in any direction, the data having variance 1.
        tolerance: `fit` says that it is the last when the mean log-likelihood grew by less, on data without noise.
        mean, std, levels: how raw data are standardized, see `Mixture`.

    Reference: Maximum likelihood from incomplete data via the EM algorithm, Arthur Dempster, Nan Laird, Donald Rubin,
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
        self.register_buffer("reached", torch.tensor(-math.inf, dtype=torch.float64))  # by `fit`, before its last step

    @property
    def dtype(self) -> torch.dtype:
        """That of the parameters."""
        return self.means.dtype

    @property
    def keys(self) -> int:
        """Uniform numbers an example that draw the first centers."""
        return self.components

    def forward(self) -> MixtureSameFamily:
        """Return the distribution of raw data: of images with their noise, flattened."""
        scale, shift = (v.expand(self.shape).flatten() for v in (self.data.std, self.data.mean))
        factors = scale[:, None] * self.factors(self.dtype)
        parts = MultivariateNormal(self.means * scale + shift, scale_tril=factors, validate_args=False)
        return MixtureSameFamily(Categorical(logits=self.log_weights), parts, validate_args=False)

    def factors(self, dtype: torch.dtype) -> Float[Tensor, "K D D"]:
        """Return L_k of standardized data."""
        diagonal = torch.diag_embed(self.log_scales.to(dtype).exp().expand(-1, self.size))
        if self.below is None:
            return diagonal
        row, column = torch.tril_indices(self.size, self.size, offset=-1, device=diagonal.device)
        return diagonal.index_put((torch.arange(self.components, device=diagonal.device)[:, None], row, column),
                                  self.below.to(dtype))  # fmt: skip

    def parts(self, y: Float[Tensor, "B D"]) -> Float[Tensor, "B K"]:
        """Return log π_k N(y; μ_k, Σ_k) of standardized examples, as precisely as they are given."""
        log_scales = self.log_scales.to(y.dtype).expand(-1, self.size)
        weights = self.log_weights.to(y.dtype).log_softmax(0)
        return weights - log_scales.sum(1) - 0.5 * self.size * math.log(2 * math.pi) - 0.5 * self._squared(y)

    def _squared(self, y: Float[Tensor, "B D"]) -> Float[Tensor, "B K"]:
        """Return |L_k⁻¹(y − μ_k)|²."""
        if self.below is None:  # as products of matrices; in float64, for these are differences of large numbers
            x, means = y.double(), self.means.double()
            inverse = (-2 * self.log_scales.double()).exp().expand(-1, self.size)
            squared = x.square() @ inverse.T - 2 * x @ (means * inverse).T + (means.square() * inverse).sum(1)
            return squared.clamp(min=0).to(y.dtype)
        means, factors, distances = self.means.to(y.dtype), self.factors(y.dtype), []
        for part in y.split(max(1, NUMBERS // means.numel())):
            away = part.T - means[:, :, None]  # (K, D, B): the examples lie side by side
            distances.append(torch.linalg.solve_triangular(factors, away, upper=False).square().sum(1).T)
        return torch.cat(distances)

    def log_density(self, y: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
        """Return log Σ_k π_k N(y; μ_k, Σ_k)."""
        return self.parts(y).logsumexp(1)

    def encode(self, x: Tensor) -> Float[Tensor, "B K"]:
        """Return p(k|x); of images and discrete columns, at the middle of each cell."""
        return self.parts(self.preprocess(x, 0.5, self.dtype)).softmax(1)

    @torch.no_grad()
    def draw(self, n: int, generator: torch.Generator | None = None) -> Float[Tensor, "n D"]:
        """Draw a component, then its center and noise."""
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
        """Take a step of expectation maximization, in float64; the first begins with k-means, started by `keys`."""
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
        """Move to the parameters of largest likelihood where example i belongs to component k by `weights` r_ik.

        A component without examples keeps its place, and loses its weight.
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
            chunks = zip(y.split(NUMBERS // d + 1), share.split(NUMBERS // d + 1), strict=True)
            scatter = mean.new_zeros(d, d)
            for part, s in chunks:
                scatter += (part - mean).T @ ((part - mean) * s[:, None])
            factor = self._factor(scatter)
            self.log_scales[k] = factor.diagonal().log().to(self.dtype)
            self.below[k] = factor[row, column].to(self.dtype)

    def _factor(self, scatter: Float[Tensor, "D D"]) -> Float[Tensor, "D D"]:
        """Return the Cholesky factor of the covariance, with eigenvalues lifted to the floor."""
        values, vectors = torch.linalg.eigh(scatter)
        if values[0] < self.floor:
            scatter = vectors * values.clamp(min=self.floor) @ vectors.T
        return torch.linalg.cholesky(scatter)

    def extra_repr(self) -> str:
        return f"components={self.components}, covariance={self.covariance}"
