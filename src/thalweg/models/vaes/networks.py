"""Encoders, from preprocessed data to μ and log σ of q(z|x), and decoders, from z to the parameters of p(x|z)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import nn

from thalweg.nn.conv import conv_decoder, conv_encoder
from thalweg.nn.dense import mlp

__all__ = ["conv_networks", "dense_networks"]

HEAD_GAIN = 0.1  # initial scale of the last layers' weights: q starts near the prior, p near the mean of the data


def dense_networks(
    shape: Sequence[int],
    outputs: int,
    latent_dim: int,
    hidden: int = 400,
    depth: int = 1,
    activation: Callable[[], nn.Module] = nn.ReLU,
) -> tuple[nn.Module, nn.Module]:
    """Return encoder n–hidden–…–2·latent_dim and decoder latent_dim–hidden–…–outputs·n, `depth` hidden layers each.

    With depth 0 both are affine; with a Gaussian likelihood of fixed σ the model is probabilistic PCA.

    >>> [tuple(p.shape) for p in dense_networks((3,), 1, 2, depth=0)[0].parameters()]
    [(4, 3), (4,)]
    """
    size, layers = math.prod(shape), [hidden] * depth
    encoder = nn.Sequential(nn.Flatten(), *mlp((size, *layers, 2 * latent_dim), activation, HEAD_GAIN))
    decoder = mlp((latent_dim, *layers, outputs * size), activation, HEAD_GAIN)
    if len(shape) > 1:
        decoder.append(nn.Unflatten(1, (outputs * shape[0], *shape[1:])))
    return encoder, decoder


def conv_networks(
    shape: Sequence[int], outputs: int, latent_dim: int, hidden: int = 256
) -> tuple[nn.Module, nn.Module]:
    """Return a convolutional encoder and decoder for images; `hidden` units between the convolutions and z."""
    encoder = conv_encoder(shape, 2 * latent_dim, hidden=hidden, last_gain=HEAD_GAIN)
    return encoder, conv_decoder(latent_dim, (outputs * shape[0], *shape[1:]), hidden=hidden, last_gain=HEAD_GAIN)
