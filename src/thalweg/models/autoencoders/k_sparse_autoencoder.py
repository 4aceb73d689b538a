"""The k-sparse autoencoder."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thalweg.checks import in_range
from thalweg.models.autoencoders.autoencoder import Autoencoder, TransposedDecoder, preprocess_of
from thalweg.nn.dense import mlp

__all__ = ["Largest", "k_sparse_autoencoder"]


class Largest(nn.Module):
    """Keep the k largest values of each row and set the others to 0; in evaluation mode keep `at_test` values.

    >>> Largest(2)(torch.tensor([[3.0, -4.0, 1.0, 2.0]])).tolist()
    [[3.0, 0.0, 0.0, 2.0]]
    """

    def __init__(self, k: int, at_test: int | None = None) -> None:
        super().__init__()
        self.k, self.at_test = k, at_test or k

    def forward(self, z: Float[Tensor, "B d"]) -> Float[Tensor, "B d"]:
        """Return the rows with all but their largest values set to 0."""
        kept = z.topk(self.k if self.training else self.at_test, dim=1).indices
        return torch.zeros_like(z).scatter(1, kept, z.gather(1, kept))

    def extra_repr(self) -> str:
        return f"k={self.k}, at_test={self.at_test}"


def k_sparse_autoencoder(
    shape: Sequence[int],
    latent_dim: int,
    k: int,
    *,
    alpha: float = 1.0,
    levels: int | None = None,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
) -> Autoencoder:
    """Return the autoencoder ŷ = Wz + b′, with z the k largest of the linear activations Wᵀy + b and 0 elsewhere.

    The weights are tied. In evaluation mode αk activations are kept, as for the paper's features. The selection is the
    only nonlinearity, and the gradient passes through the selected values.

    `levels` is the number of quantization levels of images; vectors (None) need `mean` and `std`. Raises ValueError
    unless 1 ≤ k, αk ≤ d.

    Reference: *k-Sparse Autoencoders*, Alireza Makhzani, Brendan Frey, 2013, arXiv:1312.5663.

    >>> model = k_sparse_autoencoder((1, 8, 8), 100, 7, alpha=2.0, levels=17)
    >>> x = torch.arange(64.0).reshape(1, 1, 8, 8)
    >>> int(model.encode(x).count_nonzero()), int(model.eval().encode(x).count_nonzero())
    (7, 14)
    """
    size, k = math.prod(shape), in_range("k", k, 1, latent_dim)
    at_test = round(k * in_range("alpha", alpha, 1 / k, latent_dim / k))
    encoder = mlp((size, latent_dim))
    return Autoencoder(
        nn.Sequential(nn.Flatten(), encoder, Largest(k, at_test)),
        nn.Sequential(TransposedDecoder(encoder), nn.Unflatten(1, tuple(shape))),
        preprocess_of(shape, levels, mean, std),
    )
