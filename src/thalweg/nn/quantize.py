"""Vector quantization with a codebook, its training, and restarts of unused codes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from thalweg.checks import positive

__all__ = ["Candidates", "Quantized", "Quantizer", "counts", "perplexity", "rows_of"]

DEAD = 0.05  # codes used less than this share of the mean use are dead


class Quantized(NamedTuple):
    """The result of quantizing `inputs` `(B, D, *grid)`.

    `codes` `(B, *grid)` int64; `vectors` of the shape of the inputs, with straight-through gradients; and the squared
    distances (B,) `codebook` ‖sg[z] − e‖² and `commitment` ‖z − sg[e]‖²."""

    inputs: Tensor
    codes: Tensor
    vectors: Tensor
    codebook: Tensor
    commitment: Tensor


class Candidates(NamedTuple):
    """Vectors (M, D) that may replace dead codes, and random keys (M,) that define their order."""

    keys: Tensor
    vectors: Tensor

    @classmethod
    def of(cls, keys: Tensor, vectors: Tensor, max_count: int) -> Candidates:
        """Return those with the `max_count` smallest keys, in order: a random subset that does not depend on
        micro-batches.

        >>> Candidates.of(torch.tensor([0.7, 0.1, 0.4]), torch.eye(3), max_count=2).keys
        tensor([0.1000, 0.4000])
        """
        smallest, order = keys.topk(min(max_count, len(keys)), largest=False, sorted=True)
        return cls(smallest, vectors[order])


class Quantizer(nn.Module):
    """K code vectors e_k in R^D; z is replaced by the nearest one, with the straight-through gradient ∂q(z)/∂z = I.

    With `moving`, the code vectors are buffers, running means of the inputs assigned to them (`update_codes`);
    otherwise they are parameters trained on the codebook loss. In both cases `uses` is the running mean of the number
    of vectors per batch that are assigned to each code.

    Args:
        codes: K.
        dim: D.
        moving: train the code vectors as running means.

    Reference: *Neural Discrete Representation Learning*, Aäron van den Oord, Oriol Vinyals, Koray Kavukcuoglu, 2017,
    arXiv:1711.00937, section 3 and appendix A.1.

    >>> book = Quantizer(512, 64)
    >>> z = torch.randn(2, 64, 7, 7, requires_grad=True)
    >>> book(z).vectors.sum().backward()
    >>> book(z).codes.shape, bool((z.grad == 1).all())
    (torch.Size([2, 7, 7]), True)
    """

    codes: Tensor
    uses: Tensor
    sums: Tensor

    def __init__(self, codes: int, dim: int, *, moving: bool = True) -> None:
        super().__init__()
        if codes < 2:
            raise ValueError(f"codes: got {codes}, wanted at least 2")
        self.count, self.dim, self.moving = codes, positive("dim", dim), moving
        start = torch.randn(codes, dim)
        if moving:
            self.register_buffer("codes", start)
            self.register_buffer("sums", torch.zeros(codes, dim))
        else:
            self.codes = nn.Parameter(start)
        self.register_buffer("uses", torch.zeros(codes))

    def nearest(self, z: Float[Tensor, "N D"]) -> Int[Tensor, " N"]:
        """Return the index of the nearest code, the first one of equals: argmin_k ‖e_k‖² − 2 z·e_k."""
        with torch.autocast(z.device.type, enabled=False):
            e = self.codes.detach()
            return torch.addmm(e.square().sum(1), z.detach().float(), e.t(), alpha=-2.0).argmin(1)

    def lookup(self, codes: Int[Tensor, "B ..."]) -> Float[Tensor, "B D ..."]:
        """Return the code vectors of those indices, with their coordinates in dimension 1."""
        return F.embedding(codes, self.codes).movedim(-1, 1)

    def forward(self, z: Float[Tensor, "B D ..."]) -> Quantized:
        """Return the nearest codes; squared distances are averaged over the positions of the grid, as in the paper."""
        z = z.float()
        codes = self.nearest(rows_of(z)).view(len(z), *z.shape[2:])
        e = self.lookup(codes)
        apart = (z.detach() - e, z - e.detach())
        codebook, commitment = (d.square().sum(1).flatten(1).mean(1) for d in apart)
        return Quantized(z.detach(), codes, z + (e - z).detach(), codebook, commitment)

    @torch.no_grad()
    def update_codes(self, uses: Float[Tensor, " K"], sums: Float[Tensor, "K D"], decay: float) -> None:
        """Update the running means with a batch in which `uses[k]` vectors of sum `sums[k]` were assigned to code k.

        N ← γN + (1−γ)uses, m ← γm + (1−γ)sums, e = m/N. Both start at 0, which cancels: e is the mean of all assigned
        vectors so far with weights γ^age. A code without assigned vectors does not change.
        """
        self.uses.lerp_(uses, 1 - decay)
        if self.moving:
            self.sums.lerp_(sums, 1 - decay)
            taken = (uses > 0)[:, None]
            self.codes.copy_(torch.where(taken, self.sums / self.uses[:, None].clamp(min=1e-12), self.codes))

    @torch.no_grad()
    def restart_dead_codes(self, candidates: Candidates) -> None:
        """Replace codes used less than `DEAD` times the mean use by candidates; their use is set to the mean."""
        mean = self.uses.mean()
        dead = self.uses < DEAD * mean
        turn = dead.cumsum(0) - 1
        revived = dead & (turn < len(candidates.keys))
        vectors = candidates.vectors[turn.clamp(0, len(candidates.keys) - 1)]
        self.codes.copy_(torch.where(revived[:, None], vectors, self.codes))
        self.uses.copy_(torch.where(revived, mean, self.uses))
        if self.moving:
            self.sums.copy_(torch.where(revived[:, None], vectors * mean, self.sums))

    def extra_repr(self) -> str:
        return f"{self.count} codes of {self.dim}, {'running means' if self.moving else 'by gradient'}"


def rows_of(z: Float[Tensor, "B D ..."]) -> Float[Tensor, "N D"]:
    """Return the vectors of all positions of all examples, one per row."""
    return z.movedim(1, -1).reshape(-1, z.shape[1])


def counts(codes: Int[Tensor, "B ..."], count: int) -> Float[Tensor, " K"]:
    """Return how often each of `count` codes occurs.

    >>> counts(torch.tensor([[2, 0, 2]]), 4)
    tensor([1., 0., 2., 0.])
    """
    flat = codes.flatten()
    ones = torch.ones(flat.shape, device=codes.device)
    return torch.zeros(count, device=codes.device).scatter_add_(0, flat, ones)


def perplexity(uses: Float[Tensor, " K"]) -> Float[Tensor, ""]:
    """Return e^H, H the entropy of the relative uses: K if all codes are used equally, 1 if only one is used.

    >>> perplexity(torch.tensor([3.0, 3.0, 0.0])).item()
    2.0
    """
    p = uses / uses.sum()
    return torch.special.entr(p).sum().exp()
