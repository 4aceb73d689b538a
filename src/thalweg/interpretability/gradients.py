"""Maps by one backward pass: saliency, the gradient, guided backpropagation and DeconvNet, of classes and channels."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from thalweg.interpretability.layers import activations_of
from thalweg.interpretability.randomization import random_weights, rank_correlations, weighted_layers
from thalweg.interpretability.relu import ReluRule, Rule
from thalweg.interpretability.state import frozen

if TYPE_CHECKING:
    from thalweg.interpretability.layers import Selector
    from thalweg.interpretability.network import Network, Progress, Target
    from thalweg.interpretability.result import Explanation

__all__ = ["backpropagated", "maps", "saliency"]

CAUTION_IMAGES = 8  # on which the similarity to maps of random weights is measured


def saliency(probe: Network, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Explanation:
    """Return the saliency maps M = max over channels of |∂S_k/∂x|, (B, H, W), for the score S_k before the softmax.

    Reference: *Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency Maps*, Karen
    Simonyan, Andrea Vedaldi, Andrew Zisserman, 2013, arXiv:1312.6034.
    """
    found = backpropagated(probe, x, "gradient", target, progress=progress)
    values = found.values.abs().amax(1)
    return probe.result(
        "saliency", values, found.input, target=found.target, probability=found.probability, warnings=found.warnings
    )


def backpropagated(
    probe: Network,
    x: Tensor,
    rule: Rule,
    target: Target = None,
    *,
    layer: str | None = None,
    other: str = "refuse",
    progress: Progress | None = None,
) -> Explanation:
    """Return the signal that arrives at the images, (B, C, H, W), by a rule at the rectifiers; see `ReluRule`.

    It begins with 1 at the score of the class, before the softmax. With `layer`, `LAYER:CHANNEL[@ROW,COLUMN]`, it
    begins in that channel: with the rules gradient and guided, 1/n at each of its n positions, which gives the mean of
    the gradients over the positions, or 1 at the selected position; with the rule deconv, the activation itself at
    the selected position, or at that of the channel's largest activation.

    Results of guided and deconv have a warning with the similarity of their maps to those of the same network with
    random weights in all layers but the first; see `Probe.sanity`.

    Raises ValueError for a network without rectifiers, and for one with other nonlinearities unless `other` is
    "gradient", with which their derivative is used; both only for the rules guided and deconv.
    """
    if other not in ("refuse", "gradient"):
        raise ValueError(f"other: got '{other}', wanted refuse or gradient")
    x = probe.images(x)
    selector = probe.selector(layer) if layer else None
    values, targets, probabilities = maps(probe, x, rule, target, selector=selector, other=other, progress=progress)
    warnings = [] if values.any() else ["The signal is 0 everywhere: nothing that was selected is active."]
    if rule != "gradient":
        warnings += _caution(probe, x, rule, other, None if selector else (values, targets))
    settings: dict[str, Any] = {"rule": rule} | ({"layer": layer} if layer else {})
    return probe.result(rule, values, x, target=tuple(targets) if not selector else None,
                        probability=tuple(probabilities) if not selector else None, settings=settings,
                        warnings=tuple(warnings))  # fmt: skip


def maps(
    probe: Network,
    x: Tensor,
    rule: Rule,
    target: Target,
    *,
    selector: Selector | None = None,
    other: str = "gradient",
    progress: Progress | None = None,
) -> tuple[Tensor, list[int], list[float]]:
    """Return the signal at the images, and for classes their numbers and probabilities; see `backpropagated`."""
    targets, probabilities = list[int](), list[float]()
    with frozen(probe.model), nullcontext() if selector else probe.fast():
        values = torch.empty_like(x)
        for rows, part in probe.chunks(x, progress):
            part = part.clone(memory_format=torch.channels_last).requires_grad_()
            with ReluRule(rule) as hits, activations_of(probe.model, [selector.layer] if selector else []) as kept:
                scores = probe.scores(part)
            if rule != "gradient":
                _check(hits, other)
            if not selector and not scores.requires_grad:
                raise ValueError("model: got scores without a gradient in the images, wanted a differentiable network")
            if selector:
                start, weight = _start(selector, kept[selector.layer], rule)
            else:
                chosen = probe.targets(scores, probe.part(target, rows, len(x)))
                start, weight = scores.gather(1, chosen[:, None])[:, 0], torch.ones(len(part), device=part.device)
                targets += chosen.tolist()
                probabilities += scores.detach().softmax(1).gather(1, chosen[:, None])[:, 0].tolist()
            (values[rows],) = torch.autograd.grad(start, part, weight.to(start))
    return values, targets, probabilities


def _caution(probe: Network, x: Tensor, rule: Rule, other: str, known: tuple[Tensor, list[int]] | None) -> list[str]:
    """Return a sentence that says how little the maps of classes change if all layers but the first are random.

    It is measured once for each probe and rule, on the first images, with one further pass; with a second one where
    the maps of classes are not yet known.
    """
    if rule not in probe.cautions:
        layers, x = weighted_layers(probe, x), x[:CAUTION_IMAGES]
        values, targets = known or maps(probe, x, rule, None, other=other)[:2]
        values, targets = values[: len(x)], targets[: len(x)]
        if len(layers) < 2 or not values.any():
            return []
        with random_weights(probe.model, layers[1:], seed=0):
            found, _, _ = maps(probe, x, rule, targets, other=other)
        number = float(rank_correlations(values.abs(), found.abs()).mean())
        probe.cautions[rule] = (
            f"With random weights in all layers but the first, the absolute maps of {rule} have a rank correlation of"
            f" {number:.2f} with those of this network; a value near 1 means that they do not depend on what it has"
            " learned."
        )
    return [probe.cautions[rule]]


def _start(selector: Selector, activation: Tensor, rule: Rule) -> tuple[Tensor, Tensor]:
    """Return what the signal begins at, (B,) or (B, H, W), and its value there."""
    if selector.channel is None:
        raise ValueError(f"layer: got '{selector.layer}', wanted one of its channels, '{selector.layer}:CHANNEL'")
    chosen = selector.of(activation)
    if rule != "deconv":
        return chosen, torch.full_like(chosen, 1 / chosen[0].numel())
    flat = chosen.flatten(1) if chosen.ndim > 1 else chosen[:, None]
    largest = flat.max(1)
    return flat.gather(1, largest.indices[:, None])[:, 0], largest.values.detach()


def _check(rule: ReluRule, other: str) -> None:
    """Raise ValueError for a network to which the rule does not apply."""
    if not rule.hits:
        raise ValueError(f"model: got no rectifier in the forward pass, wanted one for the rule {rule.rule}")
    if rule.others and other == "refuse":
        names = ", ".join(sorted(rule.others))
        raise ValueError(
            f"model: got the nonlinearities {names}, for which the rule {rule.rule} is not defined; wanted rectifiers"
            " only, or other='gradient' to use their derivative"
        )
