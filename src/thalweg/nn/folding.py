"""Batch normalization folded into the layer before it, for inference."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any, TypeVar

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

__all__ = ["folded"]

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
AFFINE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)

M = TypeVar("M", bound=nn.Module)


def folded(network: M) -> M:
    """Return a copy of the network, in evaluation mode, with batch normalization folded into the layers before.

    A convolution, transposed or not, or a linear layer (on vectors) with weight W and bias b, followed by batch
    normalization with running mean m and variance v, is one layer with weight sW and bias s(b − m) + β, where
    s = γ/√(v + ε) for each output channel. It is computed in float64. The outputs are the same but for rounding.

    Layers are folded where the normalization is the only reader of the layer's output and both are called once.
    Normalization that precedes its convolution, has no running statistics, or follows a layer that is called several
    times stays as it is.

    Raises ValueError for a network in training mode, whose normalization uses the statistics of the batch, and for one
    whose calls cannot be traced since they depend on values.

    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).eval()
    >>> folded(network)[1]
    Identity()
    """
    if any(module.training for module in network.modules() if isinstance(module, NORMS)) or network.training:
        raise ValueError(f"network: got {type(network).__name__} in training mode, wanted evaluation mode: eval()")
    result = copy.deepcopy(network)
    if not any(type(module) in NORMS for module in result.modules()):
        return result
    for layer, norm in _pairs(result):
        _fold(layer, norm)
        for name, module in list(result.named_modules(remove_duplicate=False)):
            if module is norm:
                result.set_submodule(name, nn.Identity())
    return result


class _Tracer(fx.Tracer):
    """It looks into modules that hold layers of interest, and takes all others as one call."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in AFFINE + NORMS or not any(isinstance(part, AFFINE + NORMS) for part in m.modules())


def _pairs(network: nn.Module) -> list[tuple[Any, Any]]:
    """Return the layers and the normalizations that are called once, one after the other, without other readers."""
    try:
        graph = _Tracer().trace(network)
    except Exception as error:
        raise ValueError(f"network: got {type(network).__name__}, whose calls cannot be traced ({error})") from error
    called = {node: network.get_submodule(str(node.target)) for node in graph.nodes if node.op == "call_module"}
    calls = Counter(id(module) for module in called.values())
    read = {id(network.get_submodule(str(n.target).rpartition(".")[0])) for n in graph.nodes if n.op == "get_attr"}
    pairs = []
    for node, norm in called.items():
        before = node.args[0] if node.args else None
        layer = called.get(before) if isinstance(before, fx.Node) else None
        if type(norm) in NORMS and type(layer) in AFFINE and norm.running_mean is not None and (
            calls[id(norm)] == calls[id(layer)] == 1 and len(before.users) == 1  # type: ignore[union-attr]
            and id(layer) not in read and not parametrize.is_parametrized(layer)  # type: ignore[arg-type]
        ):  # fmt: skip
            pairs.append((layer, norm))
    return pairs


@torch.no_grad()
def _fold(layer: Any, norm: Any) -> None:
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    scale = scale if norm.weight is None else scale * norm.weight.double()
    shift = 0.0 if norm.bias is None else norm.bias.double()
    bias = 0.0 if layer.bias is None else layer.bias.double()
    weight: Tensor = layer.weight.double()
    if isinstance(layer, TRANSPOSED):  # (in, out/groups, ...)
        factors = scale.view(layer.groups, 1, -1).expand(-1, len(weight) // layer.groups, -1).flatten(0, 1)
    else:
        factors = scale
    weight = weight * factors.reshape(*factors.shape, *(1 for _ in range(weight.dim() - factors.dim())))
    dtype, grad = layer.weight.dtype, layer.weight.requires_grad
    layer.weight = nn.Parameter(weight.to(dtype), grad)
    layer.bias = nn.Parameter(((bias - norm.running_mean.double()) * scale + shift).to(dtype), grad)
