"""The VQ-VAE: an autoencoder with a grid of discrete codes, and a prior of the codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from thalweg.nn.quantize import Quantized, Quantizer

__all__ = ["VQVAE", "QuantizedAutoencoder", "Terms"]


class Terms(NamedTuple):
    """The terms of the training loss: log p(x|z_q(x)), nats (B,), and the results of the quantizers by name."""

    log_likelihood: Tensor
    quantized: Mapping[str, Quantized]


class QuantizedAutoencoder(nn.Module):
    """x → encoder → z_e → nearest codes z_q → decoder → the likelihood of x.

    `encoder` maps preprocessed data to `(B, D, *grid)`, and `decoder` maps that to the parameters of `likelihood`,
    which preprocesses raw data (see `observations`).
    """

    def __init__(
        self, encoder: nn.Module, quantizer: Quantizer, decoder: nn.Module, likelihood: Any, grid: Sequence[int]
    ) -> None:
        super().__init__()
        self.encoder, self.quantizer, self.decoder, self.likelihood = encoder, quantizer, decoder, likelihood
        self.grid = tuple(grid)

    @property
    def quantizers(self) -> dict[str, Quantizer]:
        """The quantizers by name."""
        return {"codes": self.quantizer}

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Terms:
        """Return the terms of the loss for raw `x` and dequantization `noise`, which the encoder does not see."""
        quantized = self.quantizer(self.encoder(self.likelihood.preprocess(x)))
        y = self.likelihood.preprocess(x, noise)
        return Terms(self.likelihood.log_prob(y, self.decoder(quantized.vectors)), {"codes": quantized})

    def codes(self, x: Tensor) -> Int[Tensor, "B ..."]:
        """Return the codes of raw `x`, `(B, *grid)`."""
        quantized: Quantized = self.quantizer(self.encoder(self.likelihood.preprocess(x)))
        return quantized.codes

    def vectors(self, codes: Int[Tensor, "B ..."]) -> Float[Tensor, "B d"]:
        """Return the code vectors of `codes`, flattened."""
        return self.quantizer.lookup(codes.reshape(len(codes), *self.grid)).flatten(1)

    def decode(self, z: Float[Tensor, "B d"]) -> Tensor:
        """Return the parameters of the likelihood of x, given flattened vectors."""
        parameters: Tensor = self.decoder(z.reshape(len(z), -1, *self.grid))
        return parameters


class VQVAE(nn.Module):
    """Vector-quantized variational autoencoder: codes c ~ `code_prior`, x|c ~ the autoencoder's decoder.

    Each example has one code c(x). As p(x) is the sum of p(c) p(x|c) over all codes, log p(x) ≥ log p(c(x)) + log
    p(x|c(x)). The bound is in nats and refers to the raw data, see `observation`.

    Args:
        autoencoder: has codes(x), vectors(codes), decode(z), quantizers and likelihood.
        code_prior: distribution of the codes; has log_prob(codes) and sample(n, generator).

    Reference: *Neural Discrete Representation Learning*, Aäron van den Oord, Oriol Vinyals, Koray Kavukcuoglu, 2017,
    arXiv:1711.00937.

    >>> from thalweg.models.autoregressive.table import CodeTable
    >>> from thalweg.models.vaes.observations import Gaussian
    >>> likelihood = Gaussian([0.0], [1.0], (1,), sigma=1.0, learn_sigma=False)
    >>> networks = nn.Unflatten(1, (1, 1)), Quantizer(4, 1), nn.Flatten(), likelihood
    >>> model = VQVAE(QuantizedAutoencoder(*networks, grid=(1,)), CodeTable(1, 4))
    >>> model.elbo(torch.zeros(5, 1)).shape, model.sample(3).shape
    (torch.Size([5]), torch.Size([3, 1]))
    """

    def __init__(self, autoencoder: Any, code_prior: Any) -> None:
        super().__init__()
        self.autoencoder, self.code_prior = autoencoder, code_prior

    @property
    def observation(self) -> str:
        """The kind of data that `elbo` refers to."""
        return str(self.autoencoder.likelihood.observation)

    @property
    def classes(self) -> int:
        """Number of classes that the prior of the codes is conditioned on; 0: none."""
        return int(getattr(self.code_prior, "classes", 0))

    def codes(self, x: Tensor) -> Int[Tensor, "B ..."]:
        """Return the codes of raw `x`, integers."""
        codes: Tensor = self.autoencoder.codes(x)
        return codes

    def elbo(self, x: Tensor, noise: Tensor | None = None) -> Float[Tensor, " B"]:
        """Return the bound log p(c(x)) + log p(x|c(x)), nats; dequantization noise is drawn if not given."""
        codes, likelihood = self.codes(x), self.autoencoder.likelihood
        if noise is None and self.observation == "dequantized":
            noise = torch.rand(x.shape, device=x.device)
        parameters = self.autoencoder.decode(self.autoencoder.vectors(codes))
        bound: Tensor = self.code_prior.log_prob(codes) + likelihood.log_prob(
            likelihood.preprocess(x, noise), parameters
        )
        return bound

    def encode(self, x: Tensor) -> Float[Tensor, "B d"]:
        """Return the vectors of the codes, flattened."""
        z: Tensor = self.autoencoder.vectors(self.codes(x))
        return z

    def decode(self, z: Float[Tensor, "B d"]) -> Tensor:
        """Return the mean of x given flattened vectors, `(B, *shape)`, float, in raw units."""
        mean: Tensor = self.autoencoder.likelihood.mean(self.autoencoder.decode(z))
        return mean

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return `decode(encode(x))`."""
        return self.decode(self.encode(x))

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None, *, y: Int[Tensor, " n"] | None = None) -> Tensor:
        """Return `n` raw samples, of the classes `y` if the prior of the codes is conditional.

        Vectors are drawn from p(x|c); images are the mean of p(x|c), rounded to levels.
        """
        codes = self.code_prior.sample(n, generator, **({} if y is None else {"y": y}))
        z, likelihood = self.autoencoder.vectors(codes.long()), self.autoencoder.likelihood
        if likelihood.levels is None:
            x: Tensor = likelihood.quantize(likelihood.draw(self.autoencoder.decode(z), generator))
            return x
        return self.decode(z).round().clamp(0, likelihood.levels - 1).to(torch.uint8)
