"""Segmentation of the object that a class score depends on: colors of salient pixels, then a minimum cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg.interpretability.gradients import saliency

if TYPE_CHECKING:
    from thalweg.interpretability.network import Network, Progress, Target
    from thalweg.interpretability.result import Explanation

__all__ = ["graph_cut", "minimum_cut", "segment"]

FOREGROUND, BACKGROUND = 0.95, 0.30  # quantiles of the saliency above and below which colors are learned
COMPONENTS, SMOOTHNESS, MAX_RATIO = 3, 5.0, 100.0  # of each color model; of neighbors; bound of log ratios
PRECISION = 1000  # capacities are integers: thousandths of a nat


def segment(probe: Network, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Explanation:
    """Return which pixels belong to the object of the class, (B, H, W), bool: `graph_cut` of image and saliency.

    In `extra` is "saliency" (B, H, W).

    Reference: *Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency Maps*, Karen
    Simonyan, Andrea Vedaldi, Andrew Zisserman, 2013, arXiv:1312.6034.
    """
    found = saliency(probe, x, target, progress=progress)
    masks = torch.stack([graph_cut(*pair) for pair in zip(found.input, found.values, strict=True)])
    empty = [str(i) for i, mask in enumerate(masks) if not mask.any()]
    warnings = found.warnings + (
        (f"No pixel belongs to the object in the images {', '.join(empty)}.",) if empty else ()
    )
    return probe.result("segment", masks, found.input, target=found.target, probability=found.probability,
                        warnings=warnings, extra={"saliency": found.values})  # fmt: skip


def graph_cut(image: Tensor, saliency: Tensor) -> Tensor:
    """Return which pixels of an image (C, H, W) belong to the salient object, (H, W), bool.

    The mask y minimizes −Σ_i y_i log(p_F(c_i)/p_B(c_i)) + 5 Σ_{i~j} [y_i ≠ y_j] exp(−‖c_i − c_j‖²/2s²)/dist(i, j),
    where p_F and p_B are mixtures of three Gaussians for the colors of the 5 % most and the 30 % least salient pixels,
    i ~ j are the 8-neighbors, and s² is the mean of ‖c_i − c_j‖² over them. No pixel's label is fixed by its saliency.
    Where more than 95 % of the saliency is 0, p_F is of the pixels where it is not; without such a pixel there is no
    object.

    Raises ValueError for a saliency map of another size.

    Reference: *"GrabCut": Interactive Foreground Extraction using Iterated Graph Cuts*, Carsten Rother, Vladimir
    Kolmogorov, Andrew Blake, 2004.

    >>> image = torch.zeros(1, 8, 8)
    >>> image[:, 2:5, 2:6] = 1.0
    >>> graph_cut(image, image[0] * torch.rand(8, 8)).sum()
    tensor(12)
    """
    if image.ndim != 3 or saliency.shape != image.shape[1:]:
        shapes = f"{tuple(saliency.shape)} for an image of shape {tuple(image.shape)}"
        raise ValueError(f"saliency: got shape {shapes}, wanted (H, W) for an image (C, H, W)")
    colors = image.detach().cpu().double().permute(1, 2, 0).numpy()
    ratio = _log_ratio(colors, saliency.detach().cpu().double().numpy())
    return torch.from_numpy(minimum_cut(ratio, *_neighbors(colors)))


def _log_ratio(colors: NDArray[Any], saliency: NDArray[Any]) -> NDArray[Any]:
    """Return log(p_F(c)/p_B(c)) of each pixel, (H, W)."""
    from sklearn.mixture import GaussianMixture

    low, high = np.quantile(saliency, [BACKGROUND, FOREGROUND])
    salient = (saliency >= high) & (saliency > low)  # many values may be equal
    if not salient.any():
        return np.full(saliency.shape, -MAX_RATIO)
    log_density = []
    for seeds in (salient, saliency <= low):
        known = colors[seeds]
        known = known if len(known) > 1 else known.repeat(2, axis=0)  # as many as a mixture is fitted to
        components = min(COMPONENTS, len(np.unique(known, axis=0)))
        model = GaussianMixture(components, reg_covar=1e-4, random_state=0, max_iter=500).fit(known)
        log_density.append(model.score_samples(colors.reshape(-1, colors.shape[2])))
    return (log_density[0] - log_density[1]).reshape(saliency.shape).clip(-MAX_RATIO, MAX_RATIO)


def _neighbors(colors: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return all pairs of 8-neighbors as numbers of pixels, i and j, and the cost of different labels."""
    height, width, _ = colors.shape
    number = np.arange(height * width).reshape(height, width)
    here = [number[:, :-1], number[:-1], number[:-1, :-1], number[:-1, 1:]]
    there = [number[:, 1:], number[1:], number[1:, 1:], number[1:, :-1]]
    length = np.concatenate([np.full(a.size, d) for a, d in zip(here, (1, 1, 2**0.5, 2**0.5), strict=True)])
    i, j = (np.concatenate([a.ravel() for a in part]) for part in (here, there))
    flat = colors.reshape(height * width, -1)
    difference = ((flat[i] - flat[j]) ** 2).sum(1)
    return i, j, SMOOTHNESS * np.exp(-difference / max(2 * difference.mean(), 1e-12)) / length


def minimum_cut(ratio: NDArray[Any], i: NDArray[Any], j: NDArray[Any], cost: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the mask y, of the shape of `ratio`, that minimizes −Σ y·ratio + Σ cost·[y_i ≠ y_j], by a maximum flow.

    >>> minimum_cut(np.array([[2.0, -1.0, -3.0]]), np.array([0, 1]), np.array([1, 2]), np.array([1.5, 0.1]))
    array([[ True,  True, False]])
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    n, flat = ratio.size, ratio.ravel()
    pixels, source, sink = np.arange(n), np.full(n, n), np.full(n, n + 1)
    rows, columns = np.concatenate([i, j, source, pixels]), np.concatenate([j, i, pixels, sink])
    capacity = np.concatenate([cost, cost, flat.clip(min=0), (-flat).clip(min=0)])
    capacity = np.rint(PRECISION * capacity).astype(np.int32)
    graph = coo_array((capacity, (rows, columns)), shape=(n + 2, n + 2)).tocsr()
    residual = graph - maximum_flow(graph, n, n + 1).flow
    residual.data = residual.data.clip(min=0)
    residual.eliminate_zeros()
    reached = breadth_first_order(residual, n, return_predecessors=False)
    mask = np.zeros(n + 2, dtype=bool)
    mask[reached] = True
    return mask[:n].reshape(ratio.shape)
