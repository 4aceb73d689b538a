"""Whether a map depends on what the network has learned: maps of the same network with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from thalweg.checks import choice
from thalweg.interpretability.figures import as_tiles, new_figure
from thalweg.interpretability.gradients import maps, saliency
from thalweg.interpretability.randomization import random_weights, rank_correlations, weighted_layers

if TYPE_CHECKING:
    from thalweg.interpretability.network import Network, Progress, Target
    from thalweg.interpretability.result import Explanation

__all__ = ["foreground", "sanity"]

METHODS, MODES = ("gradient", "guided", "deconv", "saliency"), ("cascading", "independent")


def sanity(
    probe: Network,
    x: Tensor,
    method: Literal["gradient", "guided", "deconv", "saliency"] = "gradient",
    target: Target = None,
    *,
    mode: Literal["cascading", "independent"] = "cascading",
    seed: int = 0,
    progress: Progress | None = None,
) -> Explanation:
    """Return how similar the maps of networks with random layers are to the maps of the trained one, (layers, 2).

    The linear layers and convolutions, from the output to the input, have random weights: all down to this one
    (cascading), or this one alone (independent). Values are Spearman's rank correlation with the trained network's map
    of the same class, mean over the images, of the signed and of the absolute values. A map that explains what the
    network has learned is no longer similar once the layers are random.

    In `extra` are "foreground" (layers, 2), the same on the pixels that differ from the image's most frequent value,
    and "versus input" (2,), the correlation of the trained network's absolute map with the image itself, on all pixels
    and on the foreground: maps that resemble the image are similar to each other whatever the weights are. The names of
    the layers are in `settings`.

    Raises ValueError for a network without such layers, and as the method does.

    Reference: *Sanity Checks for Saliency Maps*, Julius Adebayo, Justin Gilmer, Michael Muelly, Ian Goodfellow, Moritz
    Hardt, Been Kim, 2018, arXiv:1810.03292.
    """
    choice("method", method, METHODS)
    choice("mode", mode, MODES)
    x = probe.images(x)
    layers = weighted_layers(probe, x)[::-1]
    if not layers:
        raise ValueError("model: got no linear layer or convolution, wanted one whose weights can be random")
    trained, chosen, _ = _maps(probe, x, method, target)
    where = foreground(x)
    image = x if trained.ndim == 4 else x.mean(1)
    where = where if trained.ndim == 4 else where.any(1)
    values, on_foreground = [], []
    for i, name in enumerate(layers):
        with random_weights(probe.model, layers[: i + 1] if mode == "cascading" else [name], seed):
            found, _, _ = _maps(probe, x, method, chosen)
        pairs = [(trained, found), (trained.abs(), found.abs())]
        values.append(torch.stack([rank_correlations(a, b).mean() for a, b in pairs]))
        on_foreground.append(torch.stack([rank_correlations(a, b, where).mean() for a, b in pairs]))
        if progress:
            progress(i + 1, len(layers))
    baseline = torch.stack([rank_correlations(trained.abs(), image, w).mean() for w in (None, where)])
    result, extra = torch.stack(values), {"foreground": torch.stack(on_foreground), "versus input": baseline}
    settings = {"method": method, "mode": mode, "layers": layers, "columns": ["signed", "absolute"], "seed": seed}
    tiles = _chart(layers, result, extra, f"{method}, {mode} randomization")
    return probe.result("sanity", result, x, target=tuple(chosen), settings=settings, extra=extra, tiles=tiles)


def _maps(probe: Network, x: Tensor, method: str, target: Target) -> tuple[Tensor, list[int], list[float]]:
    if method == "saliency":
        found = saliency(probe, x, target)
        assert found.target is not None
        assert found.probability is not None
        return found.values, list(found.target), list(found.probability)
    return maps(probe, x, method, target)  # type: ignore[arg-type]


def foreground(x: Tensor) -> Tensor:
    """Return where images (B, C, H, W) differ from their most frequent value, (B, C, H, W), bool.

    >>> foreground(torch.tensor([[[[0.0, 0.0, 0.5]]]]))
    tensor([[[[False, False,  True]]]])
    """
    return x != x.flatten(1).mode(1).values.view(-1, 1, 1, 1)


def _chart(layers: Sequence[str], values: Tensor, extra: dict[str, Tensor], title: str) -> Tensor:
    """Return the correlations by layer as the only tile."""
    figure = new_figure(6.4, 4.0)
    axes = figure.add_subplot(title=title, ylabel="rank correlation", xlabel="layers with random weights", ylim=(-1, 1))
    places = range(len(layers))
    for rows, style, name in ((values, "-", "all pixels"), (extra["foreground"], "--", "foreground")):
        axes.plot(places, rows[:, 0].numpy(), "o" + style, color="tab:blue", label=f"signed, {name}")
        axes.plot(places, rows[:, 1].numpy(), "s" + style, color="tab:orange", label=f"absolute, {name}")
    axes.axhline(float(extra["versus input"][0]), color="gray", linestyle=":", label="absolute map and image")
    axes.set_xticks(list(places), layers, rotation=30, ha="right")
    axes.legend(fontsize="small")
    return as_tiles(figure)
