"""The gated PixelCNN: exact probabilities of grids of integers, pixel by pixel and channel by channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor, nn
from torch.nn import functional as F

from thalweg.checks import positive
from thalweg.models.autoregressive.cached import cached_sample
from thalweg.nn.masked import MaskedConv2d

__all__ = ["GatedLayer", "PixelCNN", "as_grid"]

FIRST, INNER = 7, 3  # kernel sizes of the first and of the gated convolutions
CHUNK_SIZE = 100  # examples per chunk: 256 levels need much memory


class PixelCNN(nn.Module):
    """Gated PixelCNN, p(x) = Π p(x_i | x_1 … x_{i−1}) over rows, columns and channels; each factor is a softmax.

    Two stacks of convolutions: the vertical stack reads the rows above, the horizontal stack reads the pixels to the
    left and the features of the vertical stack. Together they read every pixel before i and none after it. `context`
    (B, D), or (B, D, H, W) where it differs between positions, is added to every gate.

    Args:
        shape: of an example, (C, H, W).
        levels: number of quantization levels, 0..levels−1.
        hidden: features of each stack, per channel.
        layers: number of gated layers.
        context: number D of context values; 0: none.
        embedding: size of a learned vector for each level, for grids of one channel; 0: levels are scaled to [−1, 1].
        binarized: model x > (levels − 1)/2 in place of x.

    Reference: *Conditional Image Generation with PixelCNN Decoders*, Aäron van den Oord, Nal Kalchbrenner, Oriol
    Vinyals, Lasse Espeholt, Alex Graves, Koray Kavukcuoglu, 2016, arXiv:1606.05328.

    >>> model = PixelCNN((3, 4, 4), levels=5, hidden=8, layers=2)
    >>> x = model.sample(2)
    >>> x.shape, x.dtype, model.log_prob(x).shape
    (torch.Size([2, 3, 4, 4]), torch.uint8, torch.Size([2]))
    """

    def __init__(
        self,
        shape: Sequence[int],
        levels: int,
        *,
        hidden: int = 32,
        layers: int = 6,
        context: int = 0,
        embedding: int = 0,
        binarized: bool = False,
    ) -> None:
        super().__init__()
        channels, self.height, self.width = shape
        if levels < 2:
            raise ValueError(f"levels: got {levels}, wanted at least 2")
        if embedding and channels > 1:
            raise ValueError(f"embedding: got {channels} channels, wanted one")
        features = positive("hidden", hidden) * channels
        self.shape, self.levels, self.context, self.binarized = tuple(shape), levels, context, binarized
        self.symbols = 2 if binarized else levels
        self.embed = nn.Embedding(self.symbols, embedding) if embedding else None
        entering = embedding or channels
        self.above = nn.Conv2d(entering, features, (FIRST // 2, FIRST))
        self.left = MaskedConv2d(entering, features, FIRST // 2 + 1, groups=channels, strict=True)
        self.layers = nn.ModuleList(GatedLayer(features, channels, context) for _ in range(positive("layers", layers)))
        self.head = nn.Sequential(
            nn.ReLU(),
            MaskedConv2d(features, features, groups=channels),
            nn.ReLU(),
            MaskedConv2d(features, channels * self.symbols, groups=channels),
        )

    @property
    def observation(self) -> Literal["discrete", "binarized"]:
        """What `log_prob` is about."""
        return "binarized" if self.binarized and self.levels > 2 else "discrete"

    def forward(self, symbols: Int[Tensor, "B C H W"], context: Tensor | None = None) -> Float[Tensor, "B L C H W"]:
        """Return the scores of every level for every value, which depend on the values before it only."""
        y, side = self.scaled(symbols), FIRST // 2
        v = self.above(F.pad(y, (side, side, side, -1)))
        h = self.left(F.pad(y, (side, 0)))
        for layer in self.layers:
            v, h = layer(v, h, context)
        return self.scores(h)

    def scaled(self, symbols: Tensor) -> Tensor:
        """Return the input of the first convolutions: levels scaled to [−1, 1], or their learned vectors."""
        if self.embed is None:
            return symbols.to(self.above.weight.dtype) * (2 / (self.symbols - 1)) - 1
        return self.embed(symbols[:, 0]).permute(0, 3, 1, 2)

    def scores(self, h: Tensor) -> Tensor:
        """Return the scores (B, levels, C, ...) from the last horizontal features."""
        return self.head(h).float().unflatten(1, (self.shape[0], self.symbols)).transpose(1, 2)

    def log_prob(
        self, x: Num[Tensor, "B ..."], noise: None = None, context: Tensor | None = None
    ) -> Float[Tensor, " B"]:
        """Return log p(x), nats, exactly; there is no noise."""
        symbols = self.symbols_of(x)
        size = len(x) if torch.is_grad_enabled() else CHUNK_SIZE
        parts = [None] * len(x) if context is None else context.split(size)
        return torch.cat([self._log_prob(s, part) for s, part in zip(symbols.split(size), parts, strict=False)])

    def _log_prob(self, symbols: Tensor, context: Tensor | None) -> Tensor:
        return -F.cross_entropy(self(symbols, context), symbols, reduction="none").flatten(1).sum(1)

    def symbols_of(self, x: Tensor) -> Int[Tensor, "B C H W"]:
        """Return raw data as integers in the model's shape: the levels, or 1 for values above half of the range."""
        x = x.reshape(len(x), *self.shape)
        return (x > (self.levels - 1) / 2).long() if self.binarized else x.long()

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None, *, context: Tensor | None = None) -> Tensor:
        """Draw `n` grids (n, C, H, W) of levels: uint8 up to 256 levels, else int64."""
        device = self.above.weight.device
        where = device if generator is None else generator.device
        noise = torch.rand(n, *self.shape, generator=generator, device=where).to(device)
        symbols = cached_sample(self, noise, context)
        if self.binarized:
            symbols = symbols * (self.levels - 1)
        return symbols.to(torch.uint8) if self.levels <= 256 else symbols

    def __repr__(self) -> str:
        size = f"features={self.above.out_channels}, layers={len(self.layers)}, context={self.context}"
        return f"PixelCNN(shape={self.shape}, levels={self.levels}, {size}, binarized={self.binarized})"


class GatedLayer(nn.Module):
    """One layer of both stacks, each through tanh(a) ⊙ sigmoid(b); the horizontal stack is residual.

    Features are grouped by channel. The methods are separate because sampling processes one row or one pixel at a time.
    """

    def __init__(self, features: int, groups: int, context: int) -> None:
        super().__init__()
        self.reach = INNER // 2
        self.vertical = nn.Conv2d(features, 2 * features, (self.reach + 1, INNER))
        self.across = nn.Conv2d(2 * features, 2 * features, 1)
        self.horizontal = MaskedConv2d(features, 2 * features, self.reach + 1, groups=groups, repeats=2)
        self.out = MaskedConv2d(features, features, groups=groups)
        self.context = nn.Conv2d(context, 4 * features, 1, bias=False) if context else None

    def forward(self, v: Tensor, h: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the features of both stacks for whole grids."""
        v, gate_terms = self.rows(F.pad(v, (self.reach, self.reach, self.reach, 0)), self.context_terms(context))
        return v, self.pixels(F.pad(h, (self.reach, 0)), gate_terms)

    def context_terms(self, context: Tensor | None) -> tuple[Tensor, Tensor] | None:
        """Return the terms that the context adds to the gates of each stack."""
        if self.context is None or context is None:
            return None
        a, b = self.context(as_grid(context)).chunk(2, dim=1)
        return a, b

    def rows(self, v: Tensor, context_terms: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        """Return vertical features of `v`, padded, and the terms that they add to the horizontal gates."""
        raw = self.vertical(v)
        gate_terms = self.across(raw)
        if context_terms is not None:
            raw, gate_terms = raw + context_terms[0], gate_terms + context_terms[1]
        return gate(raw), gate_terms

    def pixels(self, h: Tensor, gate_terms: Tensor) -> Tensor:
        """Return horizontal features of `h`, padded on the left."""
        return h[..., self.reach :] + self.out(gate(self.horizontal(h) + gate_terms))

    def __repr__(self) -> str:
        return f"GatedLayer({self.out.in_channels})"


def as_grid(context: Tensor) -> Tensor:
    """Return the context (B, D, H, W), or (B, D, 1, 1) of a context (B, D) that is the same at all positions."""
    return context[:, :, None, None] if context.ndim == 2 else context


def gate(raw: Tensor) -> Tensor:
    """Return tanh(a) ⊙ sigmoid(b) of the halves of the channels."""
    a, b = raw.chunk(2, dim=1)
    return torch.tanh(a) * torch.sigmoid(b)
