"""Images that a class or a unit responds to most, by gradient ascent on the image."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from thalweg.checks import at_least, in_range, positive
from thalweg.interpretability.layers import activations_of
from thalweg.interpretability.occlusion import blurred
from thalweg.interpretability.state import frozen
from thalweg.randomness import generator

if TYPE_CHECKING:
    from thalweg.interpretability.network import Network, Progress
    from thalweg.interpretability.result import Explanation

__all__ = ["ascend"]

PENALTY_SHARE = 0.2  # of the score, that the penalty has at the end if λ is chosen automatically
ROUNDS = 4  # short ascents after which λ is adjusted
SATURATED = 1e-3  # distance from 0 or 1 within which a pixel is saturated


def ascend(
    probe: Network,
    target: int | str,
    shape: tuple[int, ...] | None = None,
    *,
    steps: int = 200,
    rate: float = 0.02,
    l2: float | None = None,
    blur: float = 0.0,
    blur_every: int = 4,
    clip_norm: float = 0.0,
    clip_contribution: float = 0.0,
    bounded: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Explanation:
    """Return the image X (1, C, H, W) that maximizes S(X) − λ‖X − ½‖², by steps along the gradient.

    S is the score of a class before the softmax, or, for a text `LAYER:CHANNEL[@ROW,COLUMN]`, the mean of that channel
    or the activation at the position. The gradient includes that of the penalty, −2λ(X − ½). Steps are those of Adam
    with `rate`, from gray with a little noise. `l2` is λ; by default it is adjusted in short ascents so that the
    penalty is about a fifth of the score, since the same λ is far too small for one network and too large for another.
    With `bounded`, X stays in [0, 1].

    Yosinski's other regularizers: every `blur_every` steps the image is blurred with the standard deviation `blur` in
    pixels; pixels whose color vector has a norm below the quantile `clip_norm` of all pixels become gray; and those
    whose contribution |Σ_c (X_c − ½) ∂S/∂X_c| is below the quantile `clip_contribution`.

    `settings` holds λ, the score, the share of the penalty in it, and the share of saturated pixels. A probability near
    1 says nothing about whether the image looks like the class: many images have it.

    References: *Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency Maps*, Karen
    Simonyan, Andrea Vedaldi, Andrew Zisserman, 2013, arXiv:1312.6034; *Understanding Neural Networks Through Deep
    Visualization*, Jason Yosinski, Jeff Clune, Anh Nguyen, Thomas Fuchs, Hod Lipson, 2015, arXiv:1506.06579.
    """
    positive("steps", steps)
    positive("rate", rate)
    at_least("blur", blur, 0)
    positive("blur_every", blur_every)
    in_range("clip_norm", clip_norm, 0.0, 1.0)
    in_range("clip_contribution", clip_contribution, 0.0, 1.0)
    wanted = shape or probe.shape
    if wanted is None:
        raise ValueError("shape: got none, wanted that of one image, (C, H, W)")
    score = _score(probe, target)
    first = next(probe.model.parameters(), torch.zeros(()))
    start = 0.5 + 0.01 * torch.randn(1, *wanted, generator=generator(seed, "ascent"))
    start = start.to(first.device, first.dtype)

    def run(weight: float, number: int) -> tuple[Tensor, float]:
        x = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([x], lr=rate)
        for step in range(number):
            value = score(x)
            (slope,) = torch.autograd.grad(value, x)
            x.grad = 2 * weight * (x.detach() - 0.5) - slope
            optimizer.step()
            with torch.no_grad():
                _regularize(x, slope, step, blur, blur_every, clip_norm, clip_contribution)
                if bounded:
                    x.clamp_(0, 1)
            if progress:
                progress(step + 1, number)
        return x.detach(), float(score(x).detach())

    with frozen(probe.model):
        weight = 0.0 if l2 is None else at_least("l2", l2, 0)
        if l2 is None:
            weight = _automatic(run, max(20, steps // 4))
        x, value = run(weight, steps)
        scores = probe.scores(x)
    penalty = weight * float((x - 0.5).square().sum())
    saturated = float(((x < SATURATED) | (x > 1 - SATURATED)).float().mean())
    settings = {"target": target, "steps": steps, "rate": rate, "l2": weight, "score": value, "penalty": penalty,
                "saturated": saturated}  # fmt: skip
    is_class = not (isinstance(target, str) and ":" in target)
    number = int(probe.targets(scores, target)[0]) if is_class else None
    warnings = []
    if saturated > 0.5:
        warnings.append(f"{100 * saturated:.0f} % of the pixels are saturated: a larger l2 gives a clearer image.")
    return probe.result(
        "ascend", x - 0.5, x, settings=settings, warnings=tuple(warnings),
        target=None if number is None else (number,),
        probability=None if number is None else (float(scores.softmax(1)[0, number]),),
        tiles=x.clamp(0, 1)[None].detach().cpu(),
    )  # fmt: skip


def _score(probe: Network, target: int | str) -> Callable[[Tensor], Tensor]:
    """Return the function that is maximized."""
    if isinstance(target, str) and ":" in target:
        selector = probe.selector(target)

        def unit(x: Tensor) -> Tensor:
            with activations_of(probe.model, [selector.layer]) as kept:
                probe.scores(x)
            return selector.of(kept[selector.layer]).mean()

        return unit

    def of_class(x: Tensor) -> Tensor:
        scores = probe.scores(x)
        return scores[0, probe.targets(scores, target)[0]]

    return of_class


def _automatic(run: Callable[[float, int], tuple[Tensor, float]], steps: int) -> float:
    """Return a λ with which the penalty is about PENALTY_SHARE of the score after some steps."""
    weight = 0.0
    for _ in range(ROUNDS):
        x, value = run(weight, steps)
        size = float((x - 0.5).square().sum())
        if not (math.isfinite(value) and value > 0 and size > 0):
            break
        aim = PENALTY_SHARE * value / size
        weight = aim if weight == 0 else math.sqrt(weight * aim)
    return weight


def _regularize(
    x: Tensor, slope: Tensor, step: int, blur: float, blur_every: int, clip_norm: float, clip_contribution: float
) -> None:
    """Blur the image and make pixels gray, in place."""
    if blur and (step + 1) % blur_every == 0:
        x.copy_(blurred(x[0], blur)[None])
    for share, size in (
        (clip_norm, (x - 0.5).square().sum(1, keepdim=True).sqrt()),
        (clip_contribution, ((x - 0.5) * slope).sum(1, keepdim=True).abs()),
    ):
        if share:
            x.copy_(torch.where(size < size.quantile(share), 0.5, x))
