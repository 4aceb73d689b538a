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
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["Layer", "LayerTable", "count_macs", "layer_table", "receptive_fields"]

REPEATS = 5  # forward passes whose median is a layer's latency
WHOLE = ("mean", "sum", "mm", "addmm", "matmul", "view", "_unsafe_view", "_adaptive_avg_pool2d", "adaptive_max_pool2d")


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
    fields = receptive_fields(network, x[:1])
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


def receptive_fields(network: nn.Module, x: Tensor) -> dict[str, int | None]:
    """Return the receptive field of each layer's output by name, in pixels of the images `x` (B, C, H, W).

    r ← r + (k − 1)·d·j and j ← j·s, with a layer's kernel size k, dilation d and stride s, and the product j of the
    strides before it; of several inputs the largest field counts. It is None after operations that read the whole
    image, as linear layers and global pooling do. The field is the geometric one; borders of the image may cut it.

    >>> layers = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3, stride=2), nn.AdaptiveAvgPool2d(1))
    >>> receptive_fields(layers, torch.zeros(1, 1, 9, 9))
    {'0': 3, '1': 5, '2': None}
    """
    mode, result = _Fields(x), dict[str, int | None]()

    def note(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def after(module: nn.Module, arguments: Any, output: Tensor) -> None:
            field = mode.of(output)
            result[name] = field[0] if field else None

        return after

    hooks = [m.register_forward_hook(note(name)) for name, m in network.named_modules() if not any(m.children())]
    try:
        with _evaluated(network), torch.no_grad(), mode:
            network(x)
    finally:
        for hook in hooks:
            hook.remove()
    return result


class _Fields(TorchDispatchMode):
    """Follows the receptive field and the stride of every tensor through the operations; None is the whole image."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.known: dict[int, tuple[Tensor, tuple[int, int] | None]] = {id(x): (x, (1, 1))}  # tensors are kept alive

    def of(self, x: Tensor) -> tuple[int, int] | None:
        """Return the field and the stride of a tensor."""
        return self.known[id(x)][1] if id(x) in self.known else None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs = [leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor) and id(leaf) in self.known]
        if inputs:
            field = self._after(str(func.overloadpacket.__name__), args, [self.of(x) for x in inputs])
            for output in tree_leaves(result):
                if isinstance(output, Tensor):
                    self.known[id(output)] = (output, field)
        return result

    def _after(self, name: str, args: Any, inputs: list[tuple[int, int] | None]) -> tuple[int, int] | None:
        known = [value for value in inputs if value is not None]
        if len(known) < len(inputs) or name in WHOLE:
            return None
        field, jump = max(r for r, _ in known), max(j for _, j in known)
        if name in ("convolution", "conv2d"):
            kernel, stride, dilation = args[1].shape[2], args[3][0], args[5][0]
        elif "pool" in name:
            kernel, dilation = args[1][0], 1
            stride = args[2][0] if len(args) > 2 and args[2] else kernel
        elif name == "slice" and len(args) > 4:  # every args[4]-th pixel
            kernel, dilation, stride = 1, 1, args[4] if args[1] == 3 else 1
        else:
            return field, jump
        return field + (kernel - 1) * dilation * jump, jump * stride
