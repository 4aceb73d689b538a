"""The linear autoencoder, whose optimum is PCA."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from thalweg.checks import in_range
from thalweg.models.autoencoders.autoencoder import Autoencoder, TransposedDecoder, preprocess_of
from thalweg.nn.preprocess import ScaleImage, Standardize

__all__ = ["Centered", "linear_autoencoder"]


class Centered(nn.Module):
    """Preprocessed data minus a learned center b: y = preprocess(x) − b, with b of the shape of an example.

    The squared error is minimal for b equal to the mean, up to a component within the subspace of the code, where b is
    arbitrary. So the autoencoder of the centered data has the errors and the subspace of PCA.

    >>> centered = Centered(ScaleImage(256), (2,))
    >>> centered(torch.tensor([[0, 255]])).tolist(), centered.inverse(torch.tensor([[0.0, 1.0]])).tolist()
    ([[0.0, 1.0]], [[0.0, 255.0]])
    """

    def __init__(self, preprocess: Standardize | ScaleImage, shape: Sequence[int]) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.center = nn.Parameter(torch.zeros(tuple(shape)))

    def forward(self, x: Tensor) -> Tensor:
        """Return y = preprocess(x) − b."""
        return self.preprocess(x) - self.center

    def inverse(self, y: Tensor) -> Tensor:
        """Return x = preprocess⁻¹(y + b)."""
        return self.preprocess.inverse(y + self.center)


def linear_autoencoder(
    shape: Sequence[int],
    latent_dim: int,
    *,
    tied: bool = False,
    levels: int | None = None,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
) -> Autoencoder:
    """Return the autoencoder x̂ = W₁W₂(x − b) + b, with W₁ (D, k) and W₂ (k, D): W₂ = W₁ᵀ if `tied`.

    b is learned as well; the mean of the training examples is optimal. The minimum of the mean of ‖x − x̂‖² is that of
    PCA, the sum of the D − k smallest eigenvalues of the covariance. At the minimum the columns of W₁ span the same
    subspace as the eigenvectors of the k largest eigenvalues. The subspace is unique if the k-th and the next
    eigenvalue differ; W₁ itself is determined only up to an invertible k×k matrix, or up to an orthogonal one if
    `tied`. Of centered data whose covariance has full rank and distinct eigenvalues, all other stationary points are
    saddle points.

    `levels` is the number of quantization levels of images; vectors (None) need `mean` and `std`. Raises ValueError
    unless 1 ≤ k ≤ D.

    Reference: *Auto-association by multilayer perceptrons and singular value decomposition*, H. Bourlard, Y. Kamp,
    1988. *Neural networks and principal component analysis: learning from examples without local minima*, P. Baldi, K.
    Hornik, 1989.

    >>> model = linear_autoencoder((1, 8, 8), 3, levels=17, tied=True)
    >>> [(name, tuple(p.shape)) for name, p in model.named_parameters()]
    [('encoder.1.0.weight', (3, 64)), ('preprocess.center', (1, 8, 8))]
    """
    size = math.prod(shape)
    in_range("latent_dim", latent_dim, 1, size)
    down = nn.Linear(size, latent_dim, bias=False)
    nn.init.orthogonal_(down.weight)
    encoder = nn.Sequential(down)
    decoder: nn.Module
    if tied:
        decoder = TransposedDecoder(encoder, bias=False)
    else:
        decoder = nn.Linear(latent_dim, size, bias=False)
        with torch.no_grad():
            decoder.weight.copy_(down.weight.T)
    return Autoencoder(
        nn.Sequential(nn.Flatten(), encoder),
        nn.Sequential(decoder, nn.Unflatten(1, tuple(shape))),
        Centered(preprocess_of(shape, levels, mean, std), shape),
    )
