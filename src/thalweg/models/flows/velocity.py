"""Velocity networks of continuous-time flows, which also compute products with their Jacobian."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from thalweg.checks import positive

__all__ = ["ConvVelocity", "Velocity"]

VALUES = 1 << 24  # number of values of all vectors that pass through a layer at once


class Velocity(nn.Module):
    """h(t, z) and Jacobian-vector products: a network with layers scaled and shifted by functions of t and context.

    A layer is x ↦ (Wx) ⊙ σ(g) + b, with g and b linear in (t, context). The activation is tanh(x/2) = 2σ(x) − 1, which
    is faster than tanh. The products J v are computed in forward mode, which costs one more product per layer and needs
    no second derivatives in training.

    Args:
        size: of z.
        hidden: width of the hidden layers.
        depth: number of hidden layers.
        context: number of context values that the layers read.

    >>> h = Velocity(2, hidden=8)
    >>> velocity, pushed = h(0.5, torch.zeros(5, 2), torch.eye(2)[:, None])
    >>> velocity.shape, pushed.shape
    (torch.Size([5, 2]), torch.Size([2, 5, 2]))
    """

    def __init__(self, size: int, *, hidden: int = 64, depth: int = 3, context: int = 0) -> None:
        super().__init__()
        sizes = [positive("size", size), *[positive("hidden", hidden)] * positive("depth", depth), size]
        self.layers = nn.ModuleList(nn.Linear(n_in, n_out, bias=False) for n_in, n_out in pairwise(sizes))
        nn.init.zeros_(self.layers[-1].weight)  # type: ignore[arg-type]
        self.widths = sizes[1:]
        self.of_time = nn.Linear(1 + context, 2 * sum(self.widths))

    def forward(
        self,
        t: float | Tensor,
        z: Float[Tensor, "B D"],
        vectors: Float[Tensor, "S _ D"] | None = None,
        context: Float[Tensor, "B K"] | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return h (B, D) and, of vectors (S, B or 1, D), J v (S, B, D)."""
        time = z.new_ones(1 if context is None else len(z), 1) * t
        gates, shifts = self.of_time(time if context is None else torch.cat([time, context], 1)).chunk(2, 1)
        parts = zip(self.layers, gates.sigmoid().split(self.widths, 1), shifts.split(self.widths, 1), strict=True)
        for i, (layer, gate, shift) in enumerate(parts):
            pushed = None if vectors is None else layer(vectors)
            z = torch.addcmul(shift, layer(z), gate)
            if i < len(self.widths) - 1:
                z = 2 * z.sigmoid() - 1
                gate = gate * (1 - z * z) / 2
            vectors = None if pushed is None else pushed * gate
        return z, vectors


class ConvVelocity(nn.Module):
    """h(t, z) of images and Jacobian-vector products: 3×3 convolutions with t and the context as additional channels.

    z has the size of the image throughout, and the activation is softplus. Products are computed as in `Velocity`, a
    chunk of vectors at a time.

    Args:
        shape: of z, (C, H, W).
        hidden: channels of the hidden layers.
        depth: number of hidden layers.
        context: number of context values that the layers read.

    Reference: *FFJORD: Free-form Continuous Dynamics for Scalable Reversible Generative Models*, Will Grathwohl et al.,
    2019, arXiv:1810.01367, section 4, and the layer "concat" of its code.

    >>> h = ConvVelocity((1, 4, 4), hidden=8)
    >>> velocity, pushed = h(0.5, torch.zeros(5, 16), torch.eye(16)[:, None])
    >>> velocity.shape, pushed.shape
    (torch.Size([5, 16]), torch.Size([16, 5, 16]))
    """

    def __init__(self, shape: Sequence[int], *, hidden: int = 64, depth: int = 3, context: int = 0) -> None:
        super().__init__()
        if len(shape) != 3:
            raise ValueError(f"architecture: got conv for examples of shape {tuple(shape)}, wanted images")
        channels = [shape[0], *[positive("hidden", hidden)] * positive("depth", depth), shape[0]]
        self.shape, self.hidden = tuple(shape), hidden
        self.layers = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1, bias=False) for i, o in pairwise(channels))
        self.of_time = nn.ModuleList(nn.Conv2d(1 + context, o, 3, padding=1) for o in channels[1:])
        for last in (self.layers[-1], self.of_time[-1]):
            nn.init.zeros_(last.weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.of_time[-1].bias)  # type: ignore[arg-type]

    def forward(
        self,
        t: float | Tensor,
        z: Float[Tensor, "B D"],
        vectors: Float[Tensor, "S _ D"] | None = None,
        context: Float[Tensor, "B K"] | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return h (B, D) and, of vectors (S, B or 1, D), J v (S, B, D)."""
        inputs = z.new_ones(1 if context is None else len(z), 1) * t
        inputs = inputs if context is None else torch.cat([inputs, context], 1)
        maps = inputs[:, :, None, None].expand(-1, -1, *self.shape[1:])  # zero padding, as for the image
        slopes: list[Tensor] = []
        x = z.reshape(-1, *self.shape)
        for i, (layer, of_time) in enumerate(zip(self.layers, self.of_time, strict=True)):
            if i:
                slopes.append(x.sigmoid())
                x = softplus(x)
            x = layer(x) + of_time(maps)
        if vectors is None:
            return x.flatten(1), None
        some = max(1, VALUES // (z.numel() // self.shape[0] * self.hidden))
        return x.flatten(1), torch.cat([self._push(part, slopes) for part in vectors.split(some)])

    def _push(self, vectors: Tensor, slopes: list[Tensor]) -> Tensor:
        count, batch = len(vectors), len(slopes[0])
        v = vectors.expand(count, batch, -1).reshape(-1, *self.shape)
        for i, layer in enumerate(self.layers):
            v = layer(v if i == 0 else (v.view(count, batch, *v.shape[1:]) * slopes[i - 1]).flatten(0, 1))
        return v.reshape(count, batch, -1)
