"""The methods by the names that the command line offers, with what each takes and what its picture shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from thalweg.checks import choice
from thalweg.interpretability.layers import activations_of
from thalweg.interpretability.state import frozen
from thalweg.randomness import fold

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thalweg.interpretability.network import Network
    from thalweg.interpretability.probe import Probe
    from thalweg.interpretability.result import Explanation

__all__ = ["METHODS", "Method", "Subject", "explain", "last_hidden", "searched"]

EMBEDDED = 500  # images at most in the plane
SEARCHED = 2000  # images at most, among which patches and neighbors are searched


@dataclass(frozen=True)
class Subject:
    """What is explained: images `x` (B, C, H, W) in [0, 1], and what the user chose.

    `images` returns the images among which patches and neighbors are searched, or raises ValueError for none.
    """

    x: Tensor
    images: Callable[[], Tensor]
    layer: str | None = None
    target: int | str | None = None


class Method(NamedTuple):
    """A method: its title, a sentence for its picture, the choices of the user that it takes, and its call."""

    title: str
    about: str
    takes: tuple[str, ...]
    call: Callable[[Probe, Subject], Explanation]


def explain(probe: Probe, name: str, subject: Subject) -> Explanation:
    """Return the result of a method by its name; raise ValueError for choices that it does not take."""
    method = METHODS[choice("method", name, METHODS)]
    for option in ("layer", "target"):
        if getattr(subject, option) is not None and option not in method.takes:
            others = ", ".join(other for other in METHODS if option in METHODS[other].takes)
            raise ValueError(f"{option}: got '{getattr(subject, option)}' with {name}, wanted none; {others} take it")
    return method.call(probe, subject)


class Layer(NamedTuple):
    """A layer that was executed: its name, the shape of its output for one image, and whether it has weights."""

    name: str
    shape: tuple[int, ...]
    weighted: bool


def executed(probe: Network, x: Tensor) -> list[Layer]:
    """Return the layers without sublayers, in the order in which they are first called for an image."""
    found: dict[str, Layer] = {}
    leaves = {module: name for name, module in probe.model.named_modules() if name and not any(module.children())}

    def hook(module: Any, arguments: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            weighted = any(p.ndim > 1 for p in module.parameters())
            found.setdefault(leaves[module], Layer(leaves[module], tuple(output.shape[1:]), weighted))

    handles = [module.register_forward_hook(hook) for module in leaves]
    try:
        with frozen(probe.model), torch.no_grad():
            probe.scores(probe.images(x)[:1])
    finally:
        for handle in handles:
            handle.remove()
    return list(found.values())


def last_hidden(probe: Network, x: Tensor) -> str:
    """Return the layer whose output the output layer, the last one with weights, receives.

    Raises ValueError for a network with fewer than two layers with weights.
    """
    layers = executed(probe, x)
    weighted = [i for i, layer in enumerate(layers) if layer.weighted]
    if len(weighted) < 2:
        raise ValueError("layer: got a network without hidden layer, wanted one with at least two layers with weights")
    return layers[weighted[-1] - 1].name


def searched(x: NDArray[Any], levels: int, seed: int = 0) -> Tensor:
    """Return raw images (N, C, H, W) in [0, 1], a random part of them if there are more than 2,000."""
    if len(x) > SEARCHED:
        x = x[np.sort(np.random.default_rng(fold(seed, "searched images")).choice(len(x), SEARCHED, replace=False))]
    return torch.from_numpy(np.array(x, dtype=np.float32)) / (levels - 1)


def _convolutions(probe: Probe, subject: Subject) -> Sequence[str]:
    names = [layer.name for layer in executed(probe, subject.x) if layer.weighted and len(layer.shape) == 3]
    if not names:
        raise ValueError("layer: got a network without convolution, wanted one, or a layer of another kind by its name")
    return names


def _first(probe: Probe, subject: Subject) -> str:
    """Return the chosen layer, by default the first convolution."""
    return subject.layer or _convolutions(probe, subject)[0]


def _channel(probe: Probe, subject: Subject) -> str:
    """Return the chosen channel, by default that of the last convolution with the largest sum for the first image."""
    layer = subject.layer or _convolutions(probe, subject)[-1]
    if ":" in layer:
        return layer
    name = probe.selector(layer).layer
    with frozen(probe.model), torch.no_grad(), activations_of(probe.model, [name]) as kept:
        probe.scores(probe.images(subject.x)[:1])
    return f"{name}:{int(kept[name][0].clamp(min=0).flatten(1).sum(1).argmax())}"


def _most_probable(probe: Probe, subject: Subject) -> int | str:
    """Return what ascends: the class or the channel that was chosen, by default the class of the first image."""
    if subject.target is not None and subject.layer is not None:
        raise ValueError(f"target: got '{subject.target}' with a layer, wanted one of both")
    if subject.target is not None or subject.layer is not None:
        return subject.target if subject.target is not None else _channel(probe, subject)
    with frozen(probe.model), torch.no_grad():
        return int(probe.scores(probe.images(subject.x)[:1]).argmax())


def _backpropagated(name: str) -> Callable[[Probe, Subject], Explanation]:
    def call(probe: Probe, subject: Subject) -> Explanation:
        if subject.target is not None and subject.layer is not None:
            raise ValueError(f"target: got '{subject.target}' with a layer, wanted one of both")
        result: Explanation = getattr(probe, name)(subject.x, subject.target, layer=subject.layer)
        return result

    return call


def _embedded(probe: Probe, subject: Subject) -> Explanation:
    """Return the embedding of at most 500 of the searched images."""
    images = subject.images()[:EMBEDDED]
    layer = subject.layer or last_hidden(probe, images)
    return probe.embed(images, layer)


BOTH = ("layer", "target")
METHODS = {
    "saliency": Method(
        "Saliency", "How much the score of the class changes with each pixel: the largest absolute derivative of the "
        "channels.", ("target",), lambda p, s: p.saliency(s.x, s.target)),
    "gradient": Method(
        "Gradient", "The derivative of the score of the class, or of the mean of a channel, in each pixel; gray is 0.",
        BOTH, _backpropagated("gradient")),
    "guided": Method(
        "Guided backpropagation", "The gradient without its negative parts at every rectifier. It shows edges that the "
        "network detects, and depends little on the class.", BOTH, _backpropagated("guided")),
    "deconv": Method(
        "DeconvNet", "The signal that is projected back through the transposed layers, rectified at every rectifier.",
        BOTH, _backpropagated("deconv")),
    "occlusion": Method(
        "Occlusion", "The probability of the class when a gray square covers the image at that place: where it is dark,"
        " the class depends on what is covered.", BOTH, lambda p, s: p.occlusion(s.x, s.target, layer=s.layer)),
    "activations": Method(
        "Activations", "The output of a layer for the first image, one tile for each channel.", ("layer",),
        lambda p, s: p.activations(s.x, _first(p, s))),
    "filters": Method(
        "Filters", "The weights of a convolution, each filter scaled by itself.", ("layer",),
        lambda p, s: p.filters(_first(p, s))),
    "top-patches": Method(
        "Patches", "The parts of the searched images with the largest activations of a channel.", ("layer",),
        lambda p, s: p.top_patches(s.images(), _channel(p, s))),
    "neighbors": Method(
        "Neighbors", "Each image (left) with the nearest of the searched images by the activations of a layer, and "
        "below by pixels.", ("layer",),
        lambda p, s: p.neighbors(s.x, s.images(), s.layer or last_hidden(p, s.x))),
    "ascend": Method(
        "Gradient ascent", "An image that was changed until the class, or the channel, responds to it most.", BOTH,
        lambda p, s: p.ascend(_most_probable(p, s), tuple(s.x.shape[1:]))),
    "adversary": Method(
        "Adversarial images", "The image, a change of at most 8/255 per pixel (magnified), and their sum, with the "
        "class that the network then gives it.", ("target",), lambda p, s: p.adversary(s.x, s.target)),
    "segment": Method(
        "Segmentation", "The object of the class: a cut between the colors of salient and of other pixels.",
        ("target",), lambda p, s: p.segment(s.x, s.target)),
    "embed": Method(
        "Embedding", "The searched images in the plane, by t-SNE of the activations of a layer: near images are similar"
        " to the network.", ("layer",), _embedded),
    "sanity": Method(
        "Sanity check", "The rank correlation of the gradient with that of the network with random weights, from the "
        "last layer to the first: a map that depends on what was learned loses it.", ("target",),
        lambda p, s: p.sanity(s.x, target=s.target)),
}  # fmt: skip
