"""The autoencoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from thalweg.checks import positive
from thalweg.nn.conv import conv_decoder, conv_encoder
from thalweg.nn.dense import mlp
from thalweg.nn.preprocess import ScaleImage, Standardize

__all__ = ["Autoencoder", "TransposedDecoder", "conv_autoencoder", "dense_autoencoder", "preprocess_of"]


class Autoencoder(nn.Module):
    """Autoencoder: an encoder E to a low-dimensional code and a decoder D, trained on ‖x − D(E(x))‖².

    `preprocess` maps raw data to the networks' units, and its `inverse` maps back: images are scaled to [0, 1], vectors
    are standardized. The squared error, in training and in `score`, is in those units, so that no column of a table
    outweighs the others.

    Reference: *Reducing the Dimensionality of Data with Neural Networks*, Geoffrey Hinton, Ruslan Salakhutdinov, 2006.

    >>> model = dense_autoencoder((1, 8, 8), latent_dim=3, hidden=(32,), levels=17)
    >>> x = torch.zeros(5, 1, 8, 8, dtype=torch.uint8)
    >>> model.encode(x).shape, model.reconstruct(x).shape, model.score(x).shape
    (torch.Size([5, 3]), torch.Size([5, 1, 8, 8]), torch.Size([5]))
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, preprocess: Any) -> None:
        super().__init__()
        self.encoder, self.decoder, self.preprocess = encoder, decoder, preprocess

    def forward(self, y: Tensor) -> Tensor:
        """Return D(E(y)) of preprocessed data, in the same units."""
        return self.decoder(self.encoder(y))

    def encode(self, x: Tensor) -> Float[Tensor, "B d"]:
        """Return the code of raw `x`."""
        return self.encoder(self.preprocess(x)).float()

    def decode(self, z: Float[Tensor, "B d"]) -> Tensor:
        """Return the decoded examples, `(B, *shape)`, float, in raw units."""
        return self.preprocess.inverse(self.decoder(z).float())

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return `decode(encode(x))`."""
        return self.decode(self.encode(x))

    def score(self, x: Tensor) -> Float[Tensor, " B"]:
        """Return ‖y − D(E(y))‖² of raw `x`, preprocessed to y: high for examples that differ from the training data."""
        y = self.preprocess(x)
        return (self(y).float() - y).square().flatten(1).sum(1)


class TransposedDecoder(nn.Module):
    """A decoder with tied weights: the encoder's linear layers, transposed and in reverse order.

    Each layer has a bias of its own, or none.

    `encoder` is an `mlp`; it is not registered here, so that its weights are counted once.

    >>> encoder = mlp((4, 3, 2))
    >>> decoder = TransposedDecoder(encoder)
    >>> decoder(torch.zeros(1, 2)).shape, [tuple(p.shape) for p in decoder.parameters()]
    (torch.Size([1, 4]), [(3,), (4,)])
    """

    def __init__(self, encoder: nn.Sequential, *, bias: bool = True) -> None:
        super().__init__()
        layers = [layer for layer in encoder if isinstance(layer, nn.Linear)][::-1]
        self._tied = (layers,)  # a module in a tuple is not registered
        self.biases = nn.ParameterList([torch.zeros(layer.in_features) for layer in layers if bias])

    def forward(self, z: Tensor) -> Tensor:
        """Return the decoded `z`; ReLU after all but the last layer."""
        layers = self._tied[0]
        for i, layer in enumerate(layers):
            z = F.linear(z, layer.weight.T, self.biases[i] if len(self.biases) else None)
            z = F.relu(z) if i < len(layers) - 1 else z
        return z


def preprocess_of(
    shape: Sequence[int], levels: int | None, mean: Sequence[float], std: Sequence[float]
) -> Standardize | ScaleImage:
    """Return the module that scales images of that many levels to [0, 1], or standardizes vectors (levels None)."""
    return Standardize(mean, std, shape) if levels is None else ScaleImage(levels)


def dense_autoencoder(
    shape: Sequence[int],
    latent_dim: int,
    hidden: Sequence[int],
    *,
    tied: bool = False,
    levels: int | None = None,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
) -> Autoencoder:
    """Return an autoencoder of fully connected layers: `hidden` units in the encoder, reversed in the decoder.

    With `tied`, the decoder's weights are the encoder's, transposed. `levels` is the number of quantization levels of
    images; vectors (None) need `mean` and `std`.
    """
    sizes = (math.prod(shape), *hidden, positive("latent_dim", latent_dim))
    encoder = mlp(sizes)
    decoder: nn.Module = TransposedDecoder(encoder) if tied else mlp(sizes[::-1])
    return Autoencoder(
        nn.Sequential(nn.Flatten(), encoder),
        nn.Sequential(decoder, nn.Unflatten(1, tuple(shape))),
        preprocess_of(shape, levels, mean, std),
    )


def conv_autoencoder(shape: Sequence[int], latent_dim: int, hidden: int, *, levels: int) -> Autoencoder:
    """Return an autoencoder of images of at least 8×8, with strided convolutions and `hidden` units before the code."""
    encoder = conv_encoder(shape, positive("latent_dim", latent_dim), hidden=hidden)
    return Autoencoder(encoder, conv_decoder(latent_dim, shape, hidden=hidden), ScaleImage(levels))
