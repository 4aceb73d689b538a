"""The multilayer perceptron as a classifier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from thalweg.checks import choice
from thalweg.nn.initialize import initialize
from thalweg.nn.preprocess import Standardize

__all__ = ["ACTIVATIONS", "MLP"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "leaky-relu": nn.LeakyReLU,
}  # fmt: skip


class MLP(nn.Module):
    """Multilayer perceptron, z_l = A_l σ(z_{l−1}) + b_l: linear layers with an activation after all but the last.

    Images are flattened after standardization by channel, vectors are standardized by column; `shape` is that of one
    example, `mean` and `std` are those of its channels or columns. `hidden` are the widths of the hidden layers,
    `activation` is relu, tanh, sigmoid or leaky-relu, and `init` names the initialization (see `initialize`). Without
    hidden layers the model is linear.

    Raises ValueError for an unknown activation or initialization.

    Reference: *Learning representations by back-propagating errors*, David Rumelhart, Geoffrey Hinton, Ronald Williams,
    1986.

    >>> model = MLP((1, 28, 28), classes=10, hidden=(300,), mean=(33.3,), std=(78.6,))
    >>> sum(p.numel() for p in model.parameters())
    238510
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        *,
        hidden: Sequence[int] = (512, 512),
        activation: str = "relu",
        init: str = "he",
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
    ) -> None:
        super().__init__()
        kind = ACTIVATIONS[choice("activation", activation, ACTIVATIONS)]
        self.preprocess = Standardize(mean, std, shape)
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise((math.prod(shape), *hidden, classes)):
            layers += [nn.Linear(n_in, n_out), kind()]
        self.network = nn.Sequential(*layers[:-1])
        initialize(self.network, init)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, K) of raw `x`."""
        return self.network(self.preprocess(x).flatten(1))

    def logits(self, x: Tensor) -> Float[Tensor, "B K"]:
        """Return the scores whose softmax gives the class probabilities."""
        return self(x)
