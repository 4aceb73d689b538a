"""Fully connected blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import nn

from thalweg.nn.initialize import fans

__all__ = ["he_initialize", "mlp"]


def he_initialize(network: nn.Module, last_gain: float = 1.0) -> None:
    """Initialize for ReLU: biases 0, weights N(0, 2/n_in), and N(0, last_gain²/n_in) in the last layer.

    The last layer of `network` is the last linear or (transposed) convolutional one in order of registration; it has
    no ReLU after it, hence no factor 2.

    Reference: *Delving deep into rectifiers*, He, Zhang, Ren, Sun, 2015, arXiv:1502.01852.

    >>> layer = nn.Linear(4, 3)
    >>> he_initialize(layer, last_gain=0.0)
    >>> float(layer.weight.detach().abs().sum())
    0.0
    """
    layers = [m for m in network.modules() if isinstance(m, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d))]
    for layer in layers:
        gain = last_gain if layer is layers[-1] else math.sqrt(2.0)
        nn.init.normal_(layer.weight, std=gain / math.sqrt(fans(layer)[0]))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def mlp(sizes: Sequence[int], activation: Callable[[], nn.Module] = nn.ReLU, last_gain: float = 1.0) -> nn.Sequential:
    """Multilayer perceptron: linear layers of the given sizes, an activation after all but the last.

    >>> [tuple(p.shape) for p in mlp((2, 8, 3)).parameters()]
    [(8, 2), (8,), (3, 8), (3,)]
    """
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), activation()]
    network = nn.Sequential(*layers[:-1])
    he_initialize(network, last_gain)
    return network
