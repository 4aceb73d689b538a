"""Slices of the loss as a function of the weights, along the gradient and random filter-normalized directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thalweg.checks import at_least, choice, positive
from thalweg.interpretability.figures import as_tiles, new_figure
from thalweg.interpretability.state import frozen
from thalweg.randomness import generator

if TYPE_CHECKING:
    from thalweg.interpretability.network import Network, Progress, Target
    from thalweg.interpretability.result import Explanation

__all__ = ["gradient_direction", "landscape", "losses_along", "random_direction"]

Direction = list[Tensor]  # one tensor for each parameter


def random_direction(model: nn.Module, seed: int) -> Direction:
    """Return a Gaussian direction in which each filter has the norm of the weights' filter: d ← d ‖w‖/‖d‖.

    A filter is all that one output channel or unit reads. Parameters of one dimension, biases and those of
    normalization, have the direction 0.

    Reference: *Visualizing the Loss Landscape of Neural Nets*, Hao Li, Zheng Xu, Gavin Taylor, Christoph Studer, Tom
    Goldstein, 2018, arXiv:1712.09913.
    """
    draw, direction = generator(seed, "direction"), []
    for p in model.parameters():
        d = torch.randn(p.shape, generator=draw).to(p) if p.ndim > 1 else torch.zeros_like(p)
        axes = tuple(range(1, p.ndim))
        if axes:
            length = torch.linalg.vector_norm(d, dim=axes, keepdim=True).clamp(min=1e-30)
            d = d * torch.linalg.vector_norm(p.detach(), dim=axes, keepdim=True) / length
        direction.append(d.detach())
    return direction


def gradient_direction(model: nn.Module, loss: Callable[[], Tensor]) -> Direction:
    """Return the gradient of the loss, in evaluation mode, with the norm of all weights: g ‖θ‖/‖g‖; 0 where g is 0."""
    with frozen(model):
        parameters = [p.requires_grad_() for p in model.parameters()]
        slopes = torch.autograd.grad(loss(), parameters, allow_unused=True, materialize_grads=True)
    g, w = (torch.stack(torch._foreach_norm(list(part))).norm() for part in (slopes, [p.detach() for p in parameters]))
    return [slope * (w / g if g > 0 else g) for slope in slopes]


def losses_along(
    model: nn.Module,
    loss: Callable[[], Tensor],
    directions: Sequence[Direction],
    distances: Tensor,
    *,
    progress: Progress | None = None,
) -> Tensor:
    """Return the loss at θ + a d for all distances a, (n,), or at θ + a d + b e for all pairs of them, (n, n).

    `loss()` is the loss of the model with its present weights; it is computed in evaluation mode. The weights and the
    buffers are restored bit for bit, also after an error.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.ones_(model.weight)
    >>> losses_along(model, lambda: model.weight.square().sum(), [[torch.ones(1, 1)]], torch.tensor([-1.0, 0.0, 1.0]))
    tensor([0., 1., 4.])
    """
    assert len(directions) in (1, 2)
    tensors = [*model.parameters(), *model.buffers()]
    own = [t.detach().clone() for t in tensors]
    parameters = [p.data for p in model.parameters()]
    grid = torch.cartesian_prod(*[distances] * len(directions)).view(-1, len(directions)).tolist()
    values = []
    try:
        with frozen(model), torch.no_grad():
            for i, point in enumerate(grid):
                torch._foreach_copy_(parameters, own[: len(parameters)])
                for distance, direction in zip(point, directions, strict=True):
                    torch._foreach_add_(parameters, direction, alpha=distance)
                values.append(loss().detach())
                if progress:
                    progress(i + 1, len(grid))
    finally:
        with torch.no_grad():
            for t, before in zip(tensors, own, strict=True):
                t.copy_(before)
    return torch.stack(values).view(*[len(distances)] * len(directions)).cpu()


def landscape(
    probe: Network,
    x: Tensor,
    labels: Target,
    directions: Sequence[Literal["gradient", "random"]] = ("random", "random"),
    *,
    reach: float = 1.0,
    points: int = 11,
    seed: int = 0,
    progress: Progress | None = None,
) -> Explanation:
    """Return the mean cross-entropy of labelled images on a slice of the weights, (points,) or (points, points).

    Distances are from −reach to reach, in units of the weights' norm: of that of each filter along random directions,
    and of that of all weights along the gradient. In `extra` are "distances".

    Raises ValueError for other directions, and other than one or two.
    """
    if isinstance(directions, str) or len(directions) not in (1, 2):
        raise ValueError(f"directions: got {directions!r}, wanted one or two of gradient and random")
    for one in directions:
        choice("directions", one, ("gradient", "random"))
    at_least("points", points, 2)
    positive("reach", reach)
    if labels is None:
        raise ValueError("labels: got none, wanted the classes of the images")
    x = probe.images(x)

    def loss() -> Tensor:
        parts = []
        for rows, part in probe.chunks(x):
            scores = probe.scores(part)
            parts.append(F.cross_entropy(scores, probe.targets(scores, probe.part(labels, rows, len(x))),
                                         reduction="sum"))  # fmt: skip
        return torch.stack(parts).sum() / len(x)

    chosen = [gradient_direction(probe.model, loss) if one == "gradient" else random_direction(probe.model, seed + i)
              for i, one in enumerate(directions)]  # fmt: skip
    distances = torch.linspace(-reach, reach, points)
    values = losses_along(probe.model, loss, chosen, distances, progress=progress)
    settings = {"directions": list(directions), "reach": reach, "points": points, "seed": seed}
    return probe.result("landscape", values, x, settings=settings, extra={"distances": distances},
                        tiles=_chart(values, distances, directions))  # fmt: skip


def _chart(values: Tensor, distances: Tensor, names: Sequence[str]) -> Tensor:
    """Return the curve, or the contours, as the only tile."""
    figure = new_figure(6.0, 4.8)
    axes = figure.add_subplot(xlabel=f"distance, {names[0]} direction")
    if values.ndim == 1:
        axes.plot(distances.numpy(), values.numpy())
        axes.set(ylabel="cross-entropy")
    else:
        axes.set(ylabel=f"distance, {names[1]} direction")
        figure.colorbar(axes.contourf(*[distances.numpy()] * 2, values.T.numpy(), levels=20), label="cross-entropy")
        axes.plot(0, 0, "r+")
    return as_tiles(figure)
