"""The VQ-VAE-2: a coarse grid of codes for the global structure, and a fine grid for the details."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from thalweg.models.autoregressive.pixelcnn import PixelCNN, as_grid
from thalweg.models.vaes.vq_networks import Residual, downward, grid_sizes, upward
from thalweg.models.vaes.vq_vae import Terms
from thalweg.nn.quantize import Quantized, Quantizer

__all__ = ["HierarchicalAutoencoder", "HierarchicalPrior"]


class HierarchicalAutoencoder(nn.Module):
    """An autoencoder with two grids of codes.

    Image → bottom features → top features → top codes; bottom features and decoded top codes → bottom codes; both codes
    → likelihood of the image.

    The bottom grid is the image halved `halvings` times, the top grid half of that. Codes are flattened, (B, n): the
    top codes, then the bottom codes.

    Args:
        shape: of an image, (C, H, W).
        likelihood: of raw images (see `observations`).
        codes: number of vectors in each codebook.
        dim: dimensions of a code vector.
        hidden: channels of the convolutions.
        halvings: number of halvings from the image to the bottom grid.
        moving: train the codebooks as running means.

    Reference: *Generating Diverse High-Fidelity Images with VQ-VAE-2*, Ali Razavi, Aäron van den Oord, Oriol Vinyals,
    2019, arXiv:1906.00446.
    """

    def __init__(
        self,
        shape: Sequence[int],
        likelihood: Any,
        *,
        codes: int,
        dim: int,
        hidden: int,
        halvings: int,
        moving: bool = True,
    ) -> None:
        super().__init__()
        sizes = grid_sizes(shape, halvings + 1)
        self.bottom_grid, self.top_grid = sizes[-2:]
        self.likelihood, self.dim = likelihood, dim
        self.top, self.bottom = Quantizer(codes, dim, moving=moving), Quantizer(codes, dim, moving=moving)
        self.encode_bottom = downward(shape[0], hidden, hidden, sizes[:-1])
        self.encode_top = downward(hidden, dim, hidden, sizes[-2:])
        self.decode_top = upward(dim, dim, hidden, sizes[-2:], last_gain=1.0)
        self.join = nn.Conv2d(hidden + dim, dim, 1)
        self.raise_top = nn.ConvTranspose2d(dim, dim, _doubling(self.bottom_grid), stride=2, padding=1)
        self.decoder = upward(2 * dim, likelihood.outputs * shape[0], hidden, sizes[:-1])

    @property
    def quantizers(self) -> dict[str, Quantizer]:
        """The quantizers by name."""
        return {"top": self.top, "bottom": self.bottom}

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Terms:
        """Return the terms of the loss for raw `x` and dequantization `noise`, which the encoders do not see."""
        quantized = self._quantized(x)
        parameters = self._decoded(quantized["top"].vectors, quantized["bottom"].vectors)
        return Terms(self.likelihood.log_prob(self.likelihood.preprocess(x, noise), parameters), quantized)

    def codes(self, x: Tensor) -> Int[Tensor, "B n"]:
        """Return the codes of raw `x`."""
        return torch.cat([quantized.codes.flatten(1) for quantized in self._quantized(x).values()], 1)

    def vectors(self, codes: Int[Tensor, "B n"]) -> Float[Tensor, "B d"]:
        """Return the code vectors of `codes`, flattened."""
        top, bottom = codes.split([math.prod(self.top_grid), math.prod(self.bottom_grid)], 1)
        return torch.cat([self.top.lookup(top).flatten(1), self.bottom.lookup(bottom).flatten(1)], 1)

    def decode(self, z: Float[Tensor, "B d"]) -> Tensor:
        """Return the parameters of the likelihood of x, given flattened vectors."""
        sizes = [self.dim * math.prod(grid) for grid in (self.top_grid, self.bottom_grid)]
        top, bottom = z.split(sizes, 1)
        return self._decoded(
            top.reshape(len(z), self.dim, *self.top_grid), bottom.reshape(len(z), self.dim, *self.bottom_grid)
        )

    def _quantized(self, x: Tensor) -> dict[str, Quantized]:
        features = self.encode_bottom(self.likelihood.preprocess(x))
        top = self.top(self.encode_top(features))
        joint = torch.cat([features, self.decode_top(top.vectors)], 1)
        return {"top": top, "bottom": self.bottom(self.join(joint))}

    def _decoded(self, top: Tensor, bottom: Tensor) -> Tensor:
        parameters: Tensor = self.decoder(torch.cat([self.raise_top(top), bottom], 1))
        return parameters


def _doubling(size: tuple[int, int]) -> tuple[int, int]:
    return 4 - size[0] % 2, 4 - size[1] % 2


class HierarchicalPrior(nn.Module):
    """The prior p(top) p(bottom | top), two gated PixelCNNs; the second reads features of the top codes.

    Those of the paper have attention and many more layers; the factorization is the same.

    Args:
        top_grid: (h, w) of the top codes.
        bottom_grid: (H, W) of the bottom codes, twice that.
        codes: number of vectors in each codebook.
        hidden: features of the PixelCNNs.
        layers: gated layers of each PixelCNN.
        context: number of context values that both are conditioned on; 0: none.

    >>> prior = HierarchicalPrior((2, 2), (4, 3), 5, hidden=4, layers=1)
    >>> prior.log_prob(prior.sample(6)).shape
    torch.Size([6])
    """

    observation = "discrete"

    def __init__(
        self,
        top_grid: Sequence[int],
        bottom_grid: Sequence[int],
        codes: int,
        *,
        hidden: int,
        layers: int,
        context: int = 0,
    ) -> None:
        super().__init__()
        self.context = context
        settings: dict[str, Any] = {"hidden": hidden, "layers": layers, "embedding": hidden}
        self.top = PixelCNN((1, *top_grid), codes, context=context, **settings)
        self.bottom = PixelCNN((1, *bottom_grid), codes, context=context + hidden, **settings)
        self.read = nn.Embedding(codes, hidden)
        self.top_features = nn.Sequential(nn.Conv2d(hidden, hidden, 3, padding=1), Residual(hidden), Residual(hidden))

    def log_prob(self, x: Int[Tensor, "B n"], noise: None = None, context: Tensor | None = None) -> Float[Tensor, " B"]:
        """Return log p(top, bottom), nats."""
        top, bottom = x.split([math.prod(self.top.shape), math.prod(self.bottom.shape)], 1)
        return self.top.log_prob(top, None, context) + self.bottom.log_prob(bottom, None, self.above(top, context))

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None, *, context: Tensor | None = None) -> Tensor:
        """Draw the codes of `n` examples, int64 (n, ...)."""
        top = self.top.sample(n, generator, context=context).long().flatten(1)
        bottom = self.bottom.sample(n, generator, context=self.above(top, context))
        return torch.cat([top, bottom.long().flatten(1)], 1)

    def above(self, top: Tensor, context: Tensor | None) -> Tensor:
        """Return the context of the bottom codes, (B, D, H, W)."""
        size = self.bottom.shape[1:]
        vectors = self.read(top.reshape(len(top), *self.top.shape[1:])).permute(0, 3, 1, 2)
        features = F.interpolate(self.top_features(vectors), size=size)
        return features if context is None else torch.cat([features, as_grid(context).expand(-1, -1, *size)], 1)
