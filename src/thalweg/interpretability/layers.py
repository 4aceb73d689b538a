"""Layers of a network by name: `conv3`, its channel 12 `conv3:12`, and one position of that channel `conv3:12@5,7`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import Tensor, nn

from thalweg.checks import suggestion

__all__ = ["Selector", "activations_of", "parse"]


class Selector(NamedTuple):
    """A layer's name, and optionally one of its channels and a position (row, column) in it."""

    layer: str
    channel: int | None = None
    position: tuple[int, int] | None = None

    def of(self, activation: Tensor) -> Tensor:
        """Return what is selected of an activation (B, K, H, W) or (B, K): (B, H, W), or (B,) with a position.

        Raises ValueError for a channel or a position that the layer does not have.
        """
        shape = tuple(activation.shape[1:])
        if self.channel is None:
            return activation
        if not 0 <= self.channel < shape[0]:
            raise ValueError(f"layer: got channel {self.channel} of '{self.layer}', wanted 0 to {shape[0] - 1}")
        chosen = activation[:, self.channel]
        if self.position is None:
            return chosen
        if len(shape) != 3:
            raise ValueError(f"layer: got a position in '{self.layer}', whose output {shape} has no height and width")
        row, column = self.position
        if not (0 <= row < shape[1] and 0 <= column < shape[2]):
            raise ValueError(
                f"layer: got position {row},{column} in '{self.layer}', wanted one in {shape[1]}×{shape[2]}"
            )
        return chosen[:, row, column]


def parse(text: str, known: Sequence[str]) -> Selector:
    """Return the selector of a text, `layer[:channel[@row,column]]`.

    Raises ValueError for an unknown layer, naming a similar one, and for what is no number.

    >>> parse("features.3:12@5,7", ["features.3"])
    Selector(layer='features.3', channel=12, position=(5, 7))
    """
    layer, colon, rest = text.partition(":")
    if layer not in known:
        raise ValueError(
            f"layer: got '{layer}', wanted a layer of the network{suggestion(layer, known) or ': ' + _some(known)}"
        )
    channel, at, position = rest.partition("@")
    try:
        row, column = (int(n) for n in position.split(",")) if at else (0, 0)
        return Selector(layer, int(channel) if colon else None, (row, column) if at else None)
    except ValueError:
        raise ValueError(
            f"layer: got '{text}', wanted LAYER, LAYER:CHANNEL or LAYER:CHANNEL@ROW,COLUMN with numbers"
        ) from None


def _some(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:8]) + (" and others" if len(names) > 8 else "")


@contextmanager
def activations_of(model: nn.Module, names: Sequence[str], *, tensors_only: bool = True) -> Iterator[dict[str, Tensor]]:
    """Yield a mapping that holds, after each forward pass, the outputs of the named layers.

    Of a layer that is used several times it is the last output. Outputs keep their history, so that gradients in them,
    or from them, can be computed; those that a later layer changes in place are copied before.

    Raises ValueError in the forward pass for a layer that returns something else than a tensor; with `tensors_only`
    false such a layer is left out.

    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True))
    >>> with activations_of(network, ["0"]) as kept:
    ...     _ = network(-Tensor(1, 2).fill_(1))
    >>> kept["0"].shape
    torch.Size([1, 3])
    """
    kept: dict[str, Tensor] = {}
    modules = dict(model.named_modules())

    def keep(name: str) -> Callable[[nn.Module, Any, Any], Any]:
        def hook(module: nn.Module, arguments: Any, output: Any) -> Any:
            if not isinstance(output, Tensor) and not tensors_only:
                return output
            if not isinstance(output, Tensor):
                raise ValueError(f"layer: got '{name}', which returns {type(output).__name__}, wanted a tensor")
            kept[name] = output
            return output.clone()  # a following in-place operation changes the copy

        return hook

    handles = [modules[name].register_forward_hook(keep(name)) for name in names]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()
