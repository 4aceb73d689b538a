"""A table of the layers of a network: shapes, parameters, multiply-adds, latency and receptive fields."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from thalweg.nn.receptive_field import receptive_fields

__all__ = ["Layer", "LayerTable", "count_macs", "layer_table"]

REPEATS = 5  # forward passes whose median is a layer's latency


@dataclass(frozen=True)
class Layer:
    """One layer: its output's `shape` without the batch, `macs` multiply-adds and `seconds` for one batch.

    `macs` is of one example. `receptive_field` is the side in pixels of the part of the image that one output value
    depends on, None where it reads the whole image.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    seconds: float
    receptive_field: int | None = None


@dataclass(frozen=True)
class LayerTable:
    """The layers of a network in the order in which they are evaluated, with `parameters` and `macs` of the whole.

    MACs are multiply-adds of convolutions, linear layers and matrix products; FLOPs = 2 × MACs. Latencies are medians
    of the forward pass in evaluation mode, of a batch of `batch` examples with `threads` threads.
    """

    layers: tuple[Layer, ...]
    parameters: int
    macs: int
    batch: int
    threads: int

    @property
    def depth(self) -> int:
        """The number of convolutions and linear layers that have weights."""
        return sum(layer.kind.startswith(("Conv", "Linear")) for layer in self.layers)

    def share(self, kind: str, quantity: str) -> float:
        """Return the share of "parameters", "macs" or "seconds" in layers whose kind begins with `kind`."""
        total = sum(getattr(layer, quantity) for layer in self.layers)
        part = sum(getattr(layer, quantity) for layer in self.layers if layer.kind.startswith(kind))
        return part / total if total else 0.0


def layer_table(network: nn.Module, x: Tensor) -> LayerTable:
    """Return the table of the layers that a forward pass of `x` (B, ...) evaluates: modules without children.

    A module that is evaluated several times has one row, with all its multiply-adds and seconds.

    >>> table = layer_table(nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2)), torch.zeros(1, 1, 28, 28))
    >>> [(layer.kind, layer.shape, layer.macs, layer.receptive_field) for layer in table.layers]
    [('Conv2d', (6, 24, 24), 86400, 5), ('ReLU', (6, 24, 24), 0, 5), ('MaxPool2d', (6, 12, 12), 0, 6)]
    """
    leaves = {module: name for name, module in network.named_modules() if not any(module.children())}
    shapes: dict[str, tuple[int, ...]] = {}
    seconds: dict[str, list[float]] = {}
    with _evaluated(network), torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            network(x)
        with _timed(leaves, shapes, seconds):
            for _ in range(REPEATS):
                network(x)
    counts: dict[str, Any] = counter.get_flop_counts()
    prefix = f"{type(network).__name__}."
    fields = {name: field and field.side for name, field in receptive_fields(network, x[:1]).items()}
    layers = tuple(
        Layer(
            name=name or "(all)",
            kind=type(network.get_submodule(name)).__name__,
            shape=shapes[name],
            parameters=sum(p.numel() for p in network.get_submodule(name).parameters()),
            macs=sum(counts.get(prefix + name, {}).values()) // (2 * len(x)),
            seconds=statistics.median(times),
            receptive_field=fields.get(name),
        )
        for name, times in seconds.items()
    )
    total = counter.get_total_flops() // (2 * len(x))
    count = sum(p.numel() for p in network.parameters())
    return LayerTable(layers, count, total, len(x), torch.get_num_threads())


def count_macs(function: Callable[[Tensor], Any], x: Tensor) -> int:
    """Return the multiply-adds of one example in `function(x)` of a batch (B, ...); FLOPs = 2 × MACs.

    Those of convolutions, linear layers and matrix products are counted, as in the table of the layers.

    >>> count_macs(nn.Conv2d(1, 6, 5), torch.zeros(2, 1, 28, 28))  # 24² positions, 6 × 5² weights
    86400
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        function(x)
    return int(counter.get_total_flops()) // (2 * len(x))


@contextmanager
def _evaluated(network: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def _timed(
    leaves: dict[nn.Module, str], shapes: dict[str, tuple[int, ...]], seconds: dict[str, list[float]]
) -> Iterator[None]:
    """Within, note the output shape of each leaf, and the duration of each of its evaluations."""
    from thalweg.devices import synchronize

    begun: dict[str, float] = {}

    def before(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        synchronize(arguments[0].device)
        begun[leaves[module]] = time.perf_counter()

    def after(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
        name = leaves[module]
        synchronize(output.device)
        seconds.setdefault(name, []).append(time.perf_counter() - begun[name])
        shapes[name] = tuple(output.shape[1:])

    hooks = [module.register_forward_pre_hook(before) for module in leaves]
    hooks += [module.register_forward_hook(after) for module in leaves]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
