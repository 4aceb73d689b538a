"""Receptive fields: which part of an image each value of a layer depends on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["Axis", "Field", "receptive_fields"]

WHOLE = ("mean", "sum", "mm", "addmm", "matmul", "view", "_unsafe_view", "_adaptive_avg_pool2d", "adaptive_max_pool2d")


class Axis(NamedTuple):
    """Along one axis, the value at index i depends on `side` pixels from pixel `start` + i · `step` on."""

    side: int
    step: int
    start: int


class Field(NamedTuple):
    """The receptive fields of a layer's values, along rows and columns; they may reach over the image's borders."""

    rows: Axis
    columns: Axis

    @property
    def side(self) -> int:
        """The larger of both sides, in pixels."""
        return max(self.rows.side, self.columns.side)


def receptive_fields(
    network: nn.Module, x: Tensor, forward: Callable[[Tensor], Any] | None = None
) -> dict[str, Field | None]:
    """Return the receptive field of each layer's output by name, in pixels of the images `x` (B, C, H, W).

    Side r ← r + (k − 1)·d·j, start s₀ ← s₀ − p·j and step j ← j·s, with a layer's kernel size k, dilation d, padding p
    and stride s; of several inputs the fields are joined. It is None after operations that read the whole image, as
    linear layers and global pooling do, and after transposed convolutions. `forward` is what is called, by default the
    network.

    >>> layers = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, stride=2), nn.AdaptiveAvgPool2d(1))
    >>> fields = receptive_fields(layers, torch.zeros(1, 1, 9, 9))
    >>> fields["0"].rows, fields["1"].rows, fields["2"]
    (Axis(side=3, step=1, start=-1), Axis(side=5, step=2, start=-1), None)
    """
    mode, result = _Fields(x), dict[str, Field | None]()

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def after(module: nn.Module, arguments: Any, output: Any) -> None:
            result[name] = mode.of(output) if isinstance(output, Tensor) else None

        return after

    hooks = [m.register_forward_hook(note(name)) for name, m in network.named_modules() if name]
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad(), mode:
            (forward or network)(x)
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes.items():
            module.training = training
    return result


class _Fields(TorchDispatchMode):
    """Follows the receptive field of every tensor through the operations; None is the whole image."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        pixel = Axis(1, 1, 0)
        self.known: dict[int, tuple[Tensor, Field | None]] = {id(x): (x, Field(pixel, pixel))}  # tensors stay alive

    def of(self, x: Tensor) -> Field | None:
        """Return the field of a tensor."""
        return self.known[id(x)][1] if id(x) in self.known else None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs = [leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor) and id(leaf) in self.known]
        if inputs:
            field = _after(str(func.overloadpacket.__name__), args, [self.of(x) for x in inputs])
            for output in tree_leaves(result):
                if isinstance(output, Tensor):
                    self.known[id(output)] = (output, field)
        return result


def _after(name: str, args: Any, inputs: list[Field | None]) -> Field | None:
    """Return the field after an operation."""
    known = [field for field in inputs if field is not None]
    if len(known) < len(inputs) or name in WHOLE:
        return None
    axes = [_joined([field[i] for field in known]) for i in (0, 1)]
    if name in ("convolution", "conv2d"):
        if name == "convolution" and args[6]:  # transposed
            return None
        stride, padding, dilation = args[3], args[4], args[5]
        axes = [_slid(axis, args[1].shape[2 + i], _at(stride, i), _at(padding, i), _at(dilation, i))
                for i, axis in enumerate(axes)]  # fmt: skip
    elif "pool" in name:
        kernel = args[1]
        stride = args[2] if len(args) > 2 and args[2] else kernel
        padding = args[3] if len(args) > 3 else 0
        axes = [_slid(axis, _at(kernel, i), _at(stride, i), _at(padding, i), 1) for i, axis in enumerate(axes)]
    elif name in ("constant_pad_nd", "reflection_pad2d", "replication_pad2d"):
        before = (args[1][2] if len(args[1]) > 2 else 0, args[1][0])
        axes = [axis._replace(start=axis.start - axis.step * n) for axis, n in zip(axes, before, strict=True)]
    elif name == "slice" and len(args) > 1 and args[1] in (2, 3, -1, -2):
        i = args[1] - 2 if args[1] > 0 else args[1] + 2
        first, every = (args[2] or 0) if len(args) > 2 else 0, args[4] if len(args) > 4 else 1
        first = max(first + args[0].shape[args[1]], 0) if first < 0 else first  # counted from the end
        axes[i] = axes[i]._replace(start=axes[i].start + first * axes[i].step, step=axes[i].step * every)
    return Field(*axes)


def _at(value: Any, i: int) -> int:
    """Return the entry of a setting for one axis; a single one is that of both."""
    if isinstance(value, int):
        return value
    return int(value[i] if len(value) > 1 else value[0])


def _slid(axis: Axis, kernel: int, stride: int, padding: int, dilation: int) -> Axis:
    """Return the field after a window has slid over the values."""
    side = axis.side + (kernel - 1) * dilation * axis.step
    return Axis(side, axis.step * stride, axis.start - padding * axis.step)


def _joined(axes: list[Axis]) -> Axis:
    """Return the smallest field that contains those of all inputs."""
    start, stop = min(a.start for a in axes), max(a.start + a.side for a in axes)
    return Axis(stop - start, max(a.step for a in axes), start)
