"""A map of images in the plane by the activations of a layer: t-SNE of scikit-learn, with thumbnails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg.interpretability.figures import as_tiles, new_figure
from thalweg.interpretability.neighbors import features

if TYPE_CHECKING:
    from thalweg.interpretability.network import Network, Progress
    from thalweg.interpretability.result import Explanation

__all__ = ["embed", "spaced"]

MIN_IMAGES, MAX_COMPONENTS, NEIGHBORS = 10, 50, 5
MAX_THUMBNAILS, THUMBNAIL = 150, 1 / 18  # their number, and their side as a share of the picture
MAX_NAMED = 12  # labels in the legend


def embed(
    probe: Network,
    images: Tensor,
    layer: str,
    *,
    labels: Sequence[int] | Tensor | None = None,
    perplexity: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Explanation:
    """Return points in the plane, (n, 2), whose neighborhoods are those of the activations of a layer, by t-SNE.

    Activations are first projected to at most 50 principal components; t-SNE is scikit-learn's, which begins with the
    first two of them. Distances between groups, and their sizes, have no meaning. In `extra` is "trustworthiness", in
    [0, 1], which decreases with each of the 5 nearest points of an image that is not near it in the layer, and "labels"
    (n,), if given, the colors of the points. The picture has thumbnails of at most 150 images that do not overlap.

    The perplexity is by default 30, or (n − 1)/3 for fewer than 91 images.

    Raises ValueError for fewer than 10 images, a perplexity that is not below their number, another number of labels,
    and activations that are equal for all images.

    Reference: *Visualizing Data using t-SNE*, Laurens van der Maaten, Geoffrey Hinton, 2008. *Neighborhood Preservation
    in Nonlinear Projection Methods: An Experimental Study*, Jarkko Venna, Samuel Kaski, 2001.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE, trustworthiness

    x = probe.images(images)
    n = len(x)
    if n < MIN_IMAGES:
        raise ValueError(f"images: got {n}, wanted at least {MIN_IMAGES}")
    perplexity = min(30.0, (n - 1) / 3) if perplexity is None else perplexity
    if not 0 < perplexity < n:
        raise ValueError(f"perplexity: got {perplexity:g} for {n} images, wanted more than 0 and less than {n}")
    classes = None if labels is None else torch.as_tensor(labels).cpu()
    if classes is not None and classes.shape != (n,):
        raise ValueError(f"labels: got shape {tuple(classes.shape)} for {n} images, wanted one integer for each")
    high = features(probe, x, layer, progress=progress).cpu().numpy()
    if not np.ptp(high, axis=0).any():
        raise ValueError(f"layer: got '{layer}', whose activations are equal for all images, wanted others")
    components = min(MAX_COMPONENTS, *high.shape)
    low = PCA(components, random_state=seed).fit_transform(high) if components > 1 else np.pad(high, ((0, 0), (0, 1)))
    places = TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(low)
    k = min(NEIGHBORS, (n - 1) // 2)
    trust = float(trustworthiness(high, places, n_neighbors=k))
    extra = {"trustworthiness": torch.tensor(trust)} | ({} if classes is None else {"labels": classes})
    settings = {"layer": layer, "perplexity": perplexity, "components": components, "seed": seed,
                "trustworthiness": round(trust, 4)}  # fmt: skip
    tiles = _picture(places, x.cpu(), classes, probe.classes, f"{layer}: trustworthiness {trust:.3f}")
    return probe.result("embed", torch.from_numpy(places), x, settings=settings, extra=extra, tiles=tiles)


def spaced(places: NDArray[Any], side: float, most: int) -> list[int]:
    """Return the numbers of at most so many points around which squares of that side do not overlap, first come first.

    >>> spaced(np.array([[0.0, 0.0], [0.5, 0.5], [0.0, 1.0]]), side=1.0, most=5)
    [0, 2]
    """
    chosen: list[int] = []
    for i in range(len(places)):
        if len(chosen) < most and (np.abs(places[chosen] - places[i]).max(1) >= side).all():
            chosen.append(i)
    return chosen


def _picture(
    places: NDArray[Any], images: Tensor, labels: Tensor | None, classes: Sequence[str] | None, title: str
) -> Tensor:
    """Return the scatter with thumbnails as the only tile."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    figure = new_figure(8, 8)
    axes = figure.add_subplot(xticks=[], yticks=[], aspect="equal", title=title)
    middle, extent = (places.max(0) + places.min(0)) / 2, max(float(np.ptp(places, axis=0).max()), 1e-12)
    places = (places - middle) / extent  # in [−1/2, 1/2]
    kinds, which = (torch.zeros(len(places)) if labels is None else labels).unique(return_inverse=True)
    steps = np.arange(len(kinds))
    palette = colormaps["tab10"](steps) if len(kinds) <= 10 else colormaps["hsv"](steps / len(kinds))
    for number, kind in enumerate(kinds.tolist()):
        name = classes[kind] if labels is not None and classes and 0 <= kind < len(classes) else str(kind)
        rows = (which == number).numpy()
        axes.scatter(places[rows, 0], places[rows, 1], s=14, color=palette[number : number + 1], label=name)
    if labels is not None and len(kinds) <= MAX_NAMED:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=6, frameon=False)
    for i in spaced(places, THUMBNAIL, MAX_THUMBNAILS):
        (a, b), half = places[i], 0.47 * THUMBNAIL
        pixels = images[i].permute(1, 2, 0).numpy()
        pixels = pixels[..., [0, 0, 0]] if pixels.shape[2] < 3 else pixels[..., :3]
        box = (a - half, a + half, b - half, b + half)
        axes.imshow(pixels, extent=box, interpolation="nearest", zorder=2)
        axes.add_patch(
            Rectangle((box[0], box[2]), 2 * half, 2 * half, fill=False, edgecolor=palette[which[i]], zorder=3)
        )
    axes.set(xlim=(-0.54, 0.54), ylim=(-0.54, 0.54))
    return as_tiles(figure)
