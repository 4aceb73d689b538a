"""Nearest images in the space of a layer's activations, beside the nearest in pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from thalweg.checks import positive
from thalweg.interpretability.layers import activations_of
from thalweg.interpretability.state import frozen

if TYPE_CHECKING:
    from thalweg.interpretability.network import Network, Progress
    from thalweg.interpretability.result import Explanation

__all__ = ["features", "nearest", "neighbors"]

CHUNK = 2**24  # entries of a matrix of distances


def neighbors(
    probe: Network, x: Tensor, images: Tensor, layer: str, *, k: int = 6, progress: Progress | None = None
) -> Explanation:
    """Return the numbers of the k images that are nearest to each `x` by the activations of a layer, (B, k).

    Distances are Euclidean. In `extra` are "distance" (B, k), and "pixels" and "pixel distance", the same between the
    pixels. The picture has two rows for each `x`: it and its neighbors by activations, and it and those by pixels.
    """
    x, images = probe.images(x), probe.images(images)
    k = min(positive("k", k), len(images))
    ours, theirs = features(probe, x, layer), features(probe, images, layer, progress=progress)
    index, distance = nearest(ours, theirs, k)
    pixels, pixel_distance = nearest(x.flatten(1), images.flatten(1), k)
    rows = [
        torch.cat([x[i : i + 1], images[row[i].to(images.device)]]) for i in range(len(x)) for row in (index, pixels)
    ]
    extra = {"distance": distance, "pixels": pixels, "pixel distance": pixel_distance}
    return probe.result("neighbors", index, x, settings={"layer": layer, "k": k}, extra=extra,
                        tiles=torch.stack(rows).cpu())  # fmt: skip


def features(probe: Network, x: Tensor, layer: str, *, progress: Progress | None = None) -> Tensor:
    """Return the activations of a layer, or of the selected channel of it, as one vector for each image, (B, d)."""
    x, selector = probe.images(x), probe.selector(layer)
    parts = []
    with frozen(probe.model), torch.no_grad(), activations_of(probe.model, [selector.layer]) as kept:
        for _, part in probe.chunks(x, progress):
            probe.scores(part)
            parts.append(selector.of(kept[selector.layer]).reshape(len(part), -1))
    return torch.cat(parts)


def nearest(x: Tensor, known: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the numbers (B, k) of the nearest vectors, nearest first, and their distances (B, k), both on the CPU.

    Candidates are found by ‖x‖² + ‖y‖² − 2xᵀy of centered vectors, in chunks; the distances of more candidates than
    wanted are then computed from differences, so that large norms cost no precision. Of equal distances the first
    counts.

    >>> nearest(torch.tensor([[0.0]]), torch.tensor([[3.0], [1.0], [-1.0]]), 2)
    (tensor([[1, 2]]), tensor([[1., 1.]]))
    """
    indices, distances = [], []
    center = known.mean(0)
    x, known = x - center, known - center
    squares = known.square().sum(1)
    n = min(2 * k + 8, len(known))
    for part in x.split(max(1, CHUNK // len(known))):
        rough = part.square().sum(1, keepdim=True) + squares - 2 * part @ known.T
        candidates = rough.topk(n, dim=1, largest=False).indices.sort(dim=1).values
        exact = torch.stack(
            [(known[c] - one).double().square().sum(1) for one, c in zip(part, candidates, strict=True)]
        )
        order = exact.argsort(dim=1, stable=True)[:, :k]
        indices.append(candidates.gather(1, order).cpu())
        distances.append(exact.gather(1, order).sqrt().to(x.dtype).cpu())
    return torch.cat(indices), torch.cat(distances)
