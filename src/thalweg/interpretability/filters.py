"""Filters of convolutions and activation maps of layers as images, and patches that activate a channel most."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.checks import positive
from thalweg.interpretability.layers import activations_of
from thalweg.interpretability.result import normalized
from thalweg.interpretability.state import frozen
from thalweg.nn.receptive_field import Field, receptive_fields
from thalweg.randomness import fold

if TYPE_CHECKING:
    from thalweg.interpretability.network import Network, Progress
    from thalweg.interpretability.result import Explanation

__all__ = ["activations", "dictionary", "filters", "top_patches"]

MAX_TILES = 64


def filters(probe: Network, layer: str) -> Explanation:
    """Return the filters of a convolution, (K, C, h, w).

    With one or three input channels the picture has one tile for each filter, gray or in color, each scaled by itself.
    Deeper filters have a row for each of the first filters, with a gray tile for each of the first input channels.

    Raises ValueError for a layer that is no two-dimensional convolution.
    """
    selector = probe.selector(layer)
    module = dict(probe.model.named_modules())[selector.layer]
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim != 4:
        raise ValueError(f"layer: got '{selector.layer}', a {type(module).__name__}, wanted a convolution of images")
    weight = weight.detach().cpu().float()
    weight = weight.transpose(0, 1) if isinstance(module, nn.ConvTranspose2d) else weight
    chosen = weight if selector.channel is None else selector.of(weight[None])
    if weight.shape[1] in (1, 3):
        tiles = _grid(torch.from_numpy(normalized(chosen.numpy())))
    else:
        some = chosen[:8, :8].flatten(0, 1)[:, None]
        rows = min(8, len(chosen))
        tiles = torch.from_numpy(normalized(some.numpy())).reshape(rows, -1, 1, *weight.shape[2:])
    return probe.result("filters", chosen, torch.zeros(0, *chosen.shape[1:]), settings={"layer": layer}, tiles=tiles)


def dictionary(images: Tensor, *, size: int = 8, atoms: int = 64, patches: int = 20_000, seed: int = 0) -> Tensor:
    """Return the atoms (K, C, h, w) of a sparse code of image patches, for comparison with first-layer filters.

    Patches of `size` pixels at random places, without their mean, are approximated by few atoms: the dictionary
    minimizes ½‖x − Σ_k a_k d_k‖² + α‖a‖₁ with ‖d_k‖ = 1, by scikit-learn's `MiniBatchDictionaryLearning`.

    Reference: *Emergence of simple-cell receptive field properties by learning a sparse code for natural images*, Bruno
    Olshausen, David Field, 1996.
    """
    from sklearn.decomposition import MiniBatchDictionaryLearning

    x = images.detach().cpu().float().numpy()
    if x.ndim != 4 or size > min(x.shape[2:]):
        raise ValueError(f"images: got shape {x.shape}, wanted images (B, C, H, W) of at least {size}×{size}")
    draw = np.random.default_rng(fold(seed, "patches"))
    which, tops, lefts = (draw.integers(0, n, patches) for n in (len(x), x.shape[2] - size + 1, x.shape[3] - size + 1))
    rows = np.stack([x[i, :, a : a + size, b : b + size] for i, a, b in zip(which, tops, lefts, strict=True)])
    rows = rows.reshape(patches, -1)
    rows = rows - rows.mean(1, keepdims=True)
    rows /= max(float(rows.std()), 1e-12)
    fitted = MiniBatchDictionaryLearning(atoms, alpha=1.0, batch_size=256, max_iter=30, random_state=seed).fit(rows)
    return torch.from_numpy(fitted.components_.reshape(atoms, x.shape[1], size, size)).float()


def activations(probe: Network, x: Tensor, layer: str, *, progress: Progress | None = None) -> Explanation:
    """Return the activation maps of a layer, (B, K, h, w), or (B, h, w) of one channel; (B, K) of a linear layer.

    The picture shows the first maps of the first image, each scaled by itself.
    """
    x = probe.images(x)
    selector = probe.selector(layer)
    parts = []
    with frozen(probe.model), torch.no_grad(), activations_of(probe.model, [selector.layer]) as kept:
        for _, part in probe.chunks(x, progress):
            probe.scores(part)
            parts.append(selector.of(kept[selector.layer]).cpu())
    values = torch.cat(parts)
    maps = values[0] if values.ndim == 4 else values[:MAX_TILES]
    maps = maps if maps.ndim == 3 else maps.reshape(1, 1, -1)
    tiles = _grid(torch.from_numpy(normalized(maps[:MAX_TILES, None].numpy())))
    return probe.result("activations", values, x, settings={"layer": layer}, tiles=tiles)


def top_patches(
    probe: Network, images: Tensor, layer: str, *, k: int = 9, progress: Progress | None = None
) -> Explanation:
    """Return the k patches of a data set that activate a channel most, (k, C, r, r), at most one of each image.

    A patch is the receptive field of the position with the largest activation, computed from the network; parts
    outside the image are gray. Of a layer that sees the whole image it is the whole image. In `extra` are "index" (k,),
    the numbers of the images, "activation" (k,), and "position" (k, 2), the row and column in the layer.

    Reference: *Visualizing and Understanding Convolutional Networks*, Matthew Zeiler, Rob Fergus, 2013,
    arXiv:1311.2901.
    """
    x, selector = probe.images(images), probe.selector(layer)
    if selector.channel is None:
        raise ValueError(f"layer: got '{layer}', wanted one of its channels, '{layer}:CHANNEL'")
    k = min(positive("k", k), len(x))
    best, place = [], []
    shape: tuple[int, ...] = ()
    with frozen(probe.model), torch.no_grad(), activations_of(probe.model, [selector.layer]) as kept:
        for _, part in probe.chunks(x, progress):
            probe.scores(part)
            chosen = selector.of(kept[selector.layer])
            shape = tuple(chosen.shape[1:])
            largest = chosen.flatten(1).max(1) if chosen.ndim > 1 else None
            best.append(chosen if largest is None else largest.values)
            place.append(torch.zeros(len(part), dtype=torch.long) if largest is None else largest.indices.cpu())
    top = torch.cat(best).topk(k)
    index, places = top.indices.cpu(), torch.cat(place)[top.indices.cpu()]
    where = torch.zeros(k, 2, dtype=torch.long)
    if selector.position:
        where += torch.tensor(selector.position)
    elif len(shape) == 2:
        where = torch.stack([places // shape[1], places % shape[1]], 1)
    with frozen(probe.model):
        field = receptive_fields(probe.model, x[:1], lambda image: probe.scores(image)).get(selector.layer)
    patches = torch.stack([_patch(x[i], field, tuple(at)) for i, at in zip(index, where.tolist(), strict=True)])
    extra = {"index": index, "activation": top.values.cpu(), "position": where}
    return probe.result("top patches", patches, x[index.to(x.device)], settings={"layer": layer, "k": k}, extra=extra,
                        tiles=_grid(patches.cpu()))  # fmt: skip


def _patch(image: Tensor, field: Field | None, position: tuple[int, ...]) -> Tensor:
    """Return the part of the image that a position of the layer depends on, gray where it is outside."""
    if field is None:
        return image
    patch = torch.full(
        (image.shape[0], field.rows.side, field.columns.side), 0.5, dtype=image.dtype, device=image.device
    )
    inside, outside = [], []
    for axis, i, side in zip(field, position, image.shape[1:], strict=True):
        start = axis.start + i * axis.step
        first, last = max(start, 0), min(start + axis.side, side)
        inside.append(slice(first, last))
        outside.append(slice(first - start, last - start))
    patch[:, *outside] = image[:, *inside]
    return patch


def _grid(tiles: Tensor) -> Tensor:
    """Return tiles (n, C, H, W) as a square-like grid (rows, columns, C, H, W), the rest white."""
    tiles = tiles[:MAX_TILES]
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    page = tiles.new_ones(rows * columns, *tiles.shape[1:])
    page[: len(tiles)] = tiles
    return page.view(rows, columns, *tiles.shape[1:])
