"""Initializations by name, and the variances of activations and gradients that they lead to."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from thalweg.checks import choice

__all__ = ["INITIALIZATIONS", "LayerStatistics", "fans", "initialize", "layer_statistics"]

INITIALIZATIONS = ("zero", "lecun", "xavier", "he", "default")
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def fans(layer: nn.Module) -> tuple[float, float]:
    """Return n_in and n_out of a linear layer or convolution: C_in and C_out times the taps of the kernel.

    In groups, channels are those of one group. Each output of a transposed convolution sees about taps/stride inputs
    per channel, so that its n_in is divided by the product of the strides.

    >>> fans(nn.Conv2d(3, 8, 5))
    (75.0, 200.0)
    """
    assert isinstance(layer, LAYERS)
    first, second = float(layer.weight[0].numel()), float(layer.weight[:, 0].numel())
    if isinstance(layer, nn.Linear):
        return first, second
    if isinstance(layer, TRANSPOSED):  # the weight is (C_in, C_out/groups, ...)
        return second / layer.groups / math.prod(layer.stride), first
    return first, second / layer.groups


def initialize(network: nn.Module, name: str, *, mode: Literal["fan_in", "fan_out"] = "fan_in") -> None:
    """Initialize all linear layers and convolutions of `network` by name.

    Weights have mean 0 and biases are 0 unless stated otherwise, with n = n_in, or n_out in the mode "fan_out":

    - `zero`: all weights 0; the gradient then reaches the last bias only, and training fails;
    - `lecun`: N(0, 1/n), which keeps the variance of signals near 1 for tanh (n_in), or that of gradients (n_out);
    - `xavier`: N(0, 2/(n_in + n_out)), between both; `mode` has no effect;
    - `he`: N(0, 2/n), for ReLU, which halves the second moment;
    - `default`: that of PyTorch, U(±1/√n_in) for weights and biases, with variance 1/(3 n_in); `mode` has no effect.

    Raises ValueError for an unknown name or mode.

    Reference: *Efficient BackProp*, Yann LeCun, Léon Bottou, Genevieve Orr, Klaus-Robert Müller, 1998. *Understanding
    the difficulty of training deep feedforward neural networks*, Xavier Glorot, Yoshua Bengio, 2010. *Delving deep into
    rectifiers*, Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun, 2015, arXiv:1502.01852.

    >>> layer = nn.Linear(4, 3)
    >>> initialize(layer, "zero")
    >>> float(layer.weight.detach().abs().sum())
    0.0
    """
    choice("init", name, INITIALIZATIONS)
    choice("mode", mode, ("fan_in", "fan_out"))
    for layer in network.modules():
        if not isinstance(layer, LAYERS):
            continue
        if name == "default":
            layer.reset_parameters()
            continue
        n_in, n_out = fans(layer)
        n = n_in if mode == "fan_in" else n_out
        variance = {"zero": 0.0, "lecun": 1 / n, "xavier": 2 / (n_in + n_out), "he": 2 / n}[name]
        nn.init.normal_(layer.weight, std=math.sqrt(variance))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


@dataclass(frozen=True)
class LayerStatistics:
    """One linear layer or convolution: variance of its outputs, of the loss's gradient in them, and ‖∂loss/∂weight‖."""

    name: str
    output_variance: float
    gradient_variance: float
    weight_gradient_norm: float


def layer_statistics(network: nn.Module, x: Tensor, loss: Callable[[Tensor], Tensor]) -> list[LayerStatistics]:
    """Return the statistics of all linear layers and convolutions for one batch, in the order of their use.

    `loss` maps the output of `network(x)` to a scalar. Variances are taken about 0: means of squares over the batch and
    the units. Gradients of the parameters are not changed. A layer must be used once.

    >>> network = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1))
    >>> [layer.name for layer in layer_statistics(network, torch.ones(3, 2), torch.mean)]
    ['0', '2']
    """
    outputs: dict[str, Tensor] = {}
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, LAYERS)}
    hooks = [
        layer.register_forward_hook(lambda _layer, _x, output, name=name: outputs.update({name: output}))
        for name, layer in layers.items()
    ]
    try:
        value = loss(network(x))
    finally:
        for hook in hooks:
            hook.remove()
    weights = [layers[name].weight for name in outputs]
    slopes = torch.autograd.grad(value, [*outputs.values(), *weights])
    return [
        LayerStatistics(name, output.square().mean().item(), slope.square().mean().item(), of_weight.norm().item())
        for (name, output), slope, of_weight in zip(
            outputs.items(), slopes[: len(outputs)], slopes[len(outputs) :], strict=True
        )
    ]
