"""The stacked denoising autoencoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from thalweg.models.autoencoders.autoencoder import preprocess_of

__all__ = ["DenoisingLayer", "StackedDenoisingAutoencoder"]


class DenoisingLayer(nn.Module):
    """One layer: a code σ(Wy + b) in (0, 1), and its reconstruction W′z + b′, as logits if y is itself a code.

    >>> import torch
    >>> layer = DenoisingLayer(4, 2)
    >>> layer.back(layer.code(torch.zeros(3, 4))).shape
    torch.Size([3, 4])
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(inputs, outputs), nn.Linear(outputs, inputs)
        for linear in (self.encoder, self.decoder):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def code(self, y: Float[Tensor, "B n"]) -> Float[Tensor, "B m"]:
        """Return σ(Wy + b)."""
        return self.encoder(y).sigmoid()

    def back(self, z: Float[Tensor, "B m"]) -> Float[Tensor, "B n"]:
        """Return W′z + b′."""
        return self.decoder(z)


class StackedDenoisingAutoencoder(nn.Module):
    """Layers that are each trained to denoise codes of the layer below, then unrolled and trained as a whole.

    The encoder is the composition of all layers; the decoder applies their reconstructions in reverse order, with σ in
    between and a linear output. `sizes` are the code sizes of the layers. `levels` is the number of quantization levels
    of images; vectors (None) need `mean` and `std`. As for an `Autoencoder`, squared errors are in preprocessed units.

    Reference: *Stacked Denoising Autoencoders: Learning Useful Representations in a Deep Network with a Local Denoising
    Criterion*, Pascal Vincent, Hugo Larochelle, Isabelle Lajoie, Yoshua Bengio, Pierre-Antoine Manzagol, 2010.

    >>> import torch
    >>> model = StackedDenoisingAutoencoder((1, 8, 8), (32, 5), levels=17)
    >>> x = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    >>> model.encode(x).shape, model.reconstruct(x).shape, model.score(x).shape
    (torch.Size([3, 5]), torch.Size([3, 1, 8, 8]), torch.Size([3]))
    """

    def __init__(
        self,
        shape: Sequence[int],
        sizes: Sequence[int],
        *,
        levels: int | None = None,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.preprocess = preprocess_of(shape, levels, mean, std)
        self.layers = nn.ModuleList(DenoisingLayer(n, m) for n, m in pairwise((math.prod(shape), *sizes)))

    def codes(self, y: Tensor, count: int) -> Float[Tensor, "B d"]:
        """Return the code of preprocessed data after the first `count` layers; flattened y for `count` 0."""
        y = y.flatten(1)
        for layer in self.layers[:count]:
            y = layer.code(y)  # type: ignore[operator]
        return y

    def unroll(self, z: Float[Tensor, "B d"]) -> Float[Tensor, "B ..."]:
        """Return the decoded top code, in preprocessed units."""
        for i in reversed(range(len(self.layers))):
            z = self.layers[i].back(z)  # type: ignore[operator]
            z = z.sigmoid() if i else z
        return z.unflatten(1, self.shape)

    def forward(self, y: Tensor) -> Tensor:
        """Return D(E(y)) of preprocessed data, in the same units."""
        return self.unroll(self.codes(y, len(self.layers)))

    def encode(self, x: Tensor) -> Float[Tensor, "B d"]:
        """Return the top layer's code of raw `x`."""
        return self.codes(self.preprocess(x), len(self.layers)).float()

    def decode(self, z: Float[Tensor, "B d"]) -> Tensor:
        """Return the decoded examples, `(B, *shape)`, float, in raw units."""
        return self.preprocess.inverse(self.unroll(z).float())

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return `decode(encode(x))`, which denoises corrupted data."""
        return self.decode(self.encode(x))

    def score(self, x: Tensor) -> Float[Tensor, " B"]:
        """Return ‖y − D(E(y))‖² of raw `x`, preprocessed to y: high for examples that differ from the training data."""
        y = self.preprocess(x)
        return (self(y).float() - y).square().flatten(1).sum(1)
