"""The sparse autoencoder."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from thalweg.checks import choice, positive
from thalweg.models.autoencoders.autoencoder import Autoencoder, preprocess_of

__all__ = ["sparse_autoencoder"]

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}


def sparse_autoencoder(
    shape: Sequence[int],
    latent_dim: int,
    *,
    activation: str = "relu",
    levels: int | None = None,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
) -> Autoencoder:
    """Return an autoencoder with one layer in the encoder and one in the decoder, for codes that are mostly 0.

    z = a(W₂y + b₂) and ŷ = W₁z + b₁, where a is a ReLU for an L1 penalty on z and a sigmoid for a penalty on the mean
    activation. W₁ is initialized with columns of unit length and W₂ = W₁ᵀ, which leaves fewer ReLU units inactive than
    independent initializations.

    `levels` is the number of quantization levels of images; vectors (None) need `mean` and `std`.

    Reference: *Efficient learning of sparse representations with an energy-based model*, M. Ranzato, C. Poultney, S.
    Chopra, Y. LeCun, 2007. *Sparse feature learning for deep belief networks*, M. Ranzato, Y. Boureau, Y. LeCun, 2008.

    >>> model = sparse_autoencoder((1, 8, 8), 100, levels=17)
    >>> bool((model.encode(torch.ones(5, 1, 8, 8)) >= 0).all())
    True
    """
    size, unit = math.prod(shape), ACTIVATIONS[choice("activation", activation, ACTIVATIONS)]
    down, up = nn.Linear(size, positive("latent_dim", latent_dim)), nn.Linear(latent_dim, size)
    with torch.no_grad():
        up.weight.copy_(nn.functional.normalize(torch.randn_like(up.weight), dim=0))
        down.weight.copy_(up.weight.T)
        down.bias.zero_()
        up.bias.zero_()
    return Autoencoder(
        nn.Sequential(nn.Flatten(), down, unit()),
        nn.Sequential(up, nn.Unflatten(1, tuple(shape))),
        preprocess_of(shape, levels, mean, std),
    )
