"""Likelihoods p(x|z) of raw data, with parameters from a decoder.

Each maps raw data to the units of the networks (`preprocess`), and returns log-probabilities of the raw data from the
preprocessed data and the decoder's output `parameters` (B, k·C, ...): `outputs` = k blocks along dimension 1.

"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from thalweg.checks import choice, positive
from thalweg.config import Discrete
from thalweg.nn.preprocess import Standardize
from thalweg.objectives.likelihood import bernoulli_log_prob, discretized_logistic_log_prob, gaussian_log_prob

__all__ = ["Bernoulli", "DiscretizedLogistic", "Gaussian", "observation_of"]

LEAST_LOG_SCALE = -7.0  # smallest learned scale, in standard deviations of the data, which keeps densities bounded


class Bernoulli(nn.Module):
    """Images binarized at half range, x > (levels−1)/2, with one probability per value; parameters are logits.

    For images with two levels it is the distribution of the raw levels.

    >>> likelihood = Bernoulli(levels=17)
    >>> likelihood.preprocess(torch.tensor([8, 9])).tolist(), float(likelihood.mean(torch.zeros(1)))
    ([0.0, 1.0], 8.0)
    """

    outputs = 1

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels
        self.observation = "discrete" if levels == 2 else "binarized"
        self.last_black = (levels - 1) // 2

    def preprocess(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return the binarized image, float32; no noise is used."""
        edge = (self.levels - 1) / 2 if x.is_floating_point() else self.last_black
        return torch.gt(x.detach(), edge, out=torch.empty(x.shape, device=x.device))  # comparison and cast in one pass

    def log_prob(self, y: Tensor, parameters: Tensor) -> Tensor:
        """Return log-probabilities of preprocessed data, (B,) nats."""
        return bernoulli_log_prob(y, parameters.float())

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the probability of white, times the raw value of white."""
        return torch.sigmoid(parameters.float()) * (self.levels - 1)

    def draw(self, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return a sample of x given z: raw black or white."""
        return torch.bernoulli(torch.sigmoid(parameters.float()), generator=generator) * (self.levels - 1)

    def extra_repr(self) -> str:
        return f"levels={self.levels}"


class _LocationScale(nn.Module):
    """A likelihood with a location and a fixed or learned scale, in standard deviations of the data."""

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        shape: Sequence[int],
        sigma: float,
        learn_sigma: bool,
        discrete: Sequence[Discrete | None] = (),
    ) -> None:
        super().__init__()
        self.scale = Standardize(mean, std, shape, discrete)
        self.outputs = 2 if learn_sigma else 1
        self.sigma = sigma
        self.register_buffer("log_sigma", torch.tensor(math.log(sigma)))

    log_sigma: Tensor

    def split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Return location and log-scale, in standard deviations of the data."""
        parameters = parameters.float()
        if self.outputs == 1:
            return parameters, self.log_sigma
        location, log_scale = parameters.chunk(2, dim=1)
        return location, (log_scale + self.log_sigma).clamp(min=LEAST_LOG_SCALE)

    def extra_repr(self) -> str:
        return f"sigma={self.sigma:g}, {'learned' if self.outputs == 2 else 'fixed'}"


class Gaussian(_LocationScale):
    """Independent Gaussians N(f(z), σ²) of standardized data; log-densities are those of the raw data.

    σ is fixed, or a second output of the decoder. Images (with `levels`) and `discrete` columns are dequantized first,
    x + step · u with u uniform on [0, 1).

    >>> likelihood = Gaussian((3.0,), (2.0,), (1,), sigma=1.0, learn_sigma=False)
    >>> y = likelihood.preprocess(torch.tensor([[3.0]]))
    >>> round(float(likelihood.log_prob(y, torch.zeros(1, 1))), 6)  # log N(3; 3, 2²)
    -1.612086
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        shape: Sequence[int],
        *,
        sigma: float,
        learn_sigma: bool,
        levels: int | None = None,
        discrete: Sequence[Discrete | None] = (),
    ) -> None:
        super().__init__(mean, std, shape, sigma, learn_sigma, discrete)
        self.levels = levels
        self.observation = "dequantized" if levels or self.scale.is_discrete else "continuous"

    def preprocess(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return standardized data, dequantized with `noise` `(B, *shape)` in [0, 1), by default ½."""
        within = 0.5 if noise is None else noise
        return self.scale(self.scale.dequantize(x, within) if self.levels is None else x + within)

    def log_prob(self, y: Tensor, parameters: Tensor) -> Tensor:
        """Return log-densities of the raw (dequantized) data that correspond to `y`, (B,) nats."""
        location, log_sigma = self.split(parameters)
        return gaussian_log_prob(y, location, log_sigma) + self.scale.log_det() + self.scale.log_steps

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the mean of the raw data."""
        mean = self.scale.inverse(self.split(parameters)[0])
        return self.scale.dequantize(mean, -0.5) if self.levels is None else mean - 0.5

    def draw(self, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return a sample of x given z, raw vectors; discrete columns have dequantization noise, see `quantize`."""
        location, log_sigma = self.split(parameters)
        device = location.device if generator is None else generator.device
        eps = torch.randn(location.shape, generator=generator, device=device).to(location.device)
        return self.scale.inverse(location + log_sigma.exp() * eps)

    def quantize(self, x: Tensor) -> Tensor:
        """Return sampled vectors with each discrete column rounded to its values."""
        return self.scale.quantize(self.scale.dequantize(x, -0.5))


class DiscretizedLogistic(_LocationScale):
    """Exact probabilities of an image's levels: a logistic distribution around f(z), integrated over bins.

    The first and the last bin include the tails.

    Reference: *PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood and Other
    Modifications*, Tim Salimans, Andrej Karpathy, Xi Chen, Diederik P. Kingma, 2017, arXiv:1701.05517.
    """

    observation = "discrete"

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        shape: Sequence[int],
        *,
        sigma: float,
        learn_sigma: bool,
        levels: int,
    ) -> None:
        super().__init__(mean, std, shape, sigma, learn_sigma)
        self.levels = levels

    def preprocess(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return standardized data; no noise is used."""
        return self.scale(x)

    def log_prob(self, y: Tensor, parameters: Tensor) -> Tensor:
        """Return log-probabilities of the levels that correspond to `y`, (B,) nats."""
        location, log_scale = self.split(parameters)
        mean, std = self.scale.mean, self.scale.std
        edges = {"lowest": -mean / std, "highest": (self.levels - 1 - mean) / std}
        return discretized_logistic_log_prob(y, location, log_scale, half_bin=0.5 / std, **edges)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the location within the range of levels: the mean except for the effect of the tails."""
        return self.scale.inverse(self.split(parameters)[0]).clamp(0, self.levels - 1)

    def draw(self, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return a sample of x given z: integer levels."""
        location, log_scale = self.split(parameters)
        noise = torch.rand(location.shape, generator=generator, device=location.device).logit(eps=1e-7)
        return self.scale.inverse(location + log_scale.exp() * noise).round().clamp(0, self.levels - 1)


def observation_of(
    likelihood: Literal["bernoulli", "gaussian", "discretized-logistic"],
    shape: Sequence[int],
    levels: int | None,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    discrete: Sequence[Discrete | None] = (),
    sigma: float = 1.0,
    learn_sigma: bool = True,
) -> nn.Module:
    """Return the likelihood by name, for data of that shape, number of levels, mean and std.

    Raises ValueError for an unknown name, and for the likelihoods of images where `levels` is None.

    >>> observation_of("bernoulli", (1, 8, 8), 17, (4.9,), (6.0,))
    Bernoulli(levels=17)
    """
    choice("likelihood", likelihood, ("bernoulli", "gaussian", "discretized-logistic"))
    positive("sigma", sigma)
    if likelihood == "gaussian":
        return Gaussian(mean, std, shape, sigma=sigma, learn_sigma=learn_sigma, levels=levels, discrete=discrete)
    if levels is None:
        raise ValueError(f"likelihood: got '{likelihood}' for vectors, wanted gaussian")
    if likelihood == "bernoulli":
        return Bernoulli(levels)
    return DiscretizedLogistic(mean, std, shape, sigma=sigma, learn_sigma=learn_sigma, levels=levels)
