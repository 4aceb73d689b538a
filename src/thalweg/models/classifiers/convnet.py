"""What the convolutional classifiers have in common: preprocessing, features and a classifier, and sizes of layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from thalweg.nn.definitions import output_size
from thalweg.nn.preprocess import Standardize

__all__ = ["ConvNet", "hidden_layers", "size_after"]


class ConvNet(nn.Module):
    """A classifier of raw images: standardized channels, then `features`, then `classifier`, which returns logits.

    `shape` is that of one image, (C, H, W); `mean` and `std` are those of its channels over the training data, by
    default 0 and 1. With `checkpointed`, the activations within each block of `features` are not stored for the
    backward pass but computed again, which takes about a third more time and far less memory; nothing else changes.
    """

    features: nn.Module
    classifier: nn.Module
    checkpointed = False

    def __init__(self, shape: Sequence[int], mean: Sequence[float] = (), std: Sequence[float] = ()) -> None:
        super().__init__()
        channels = shape[0]
        self.preprocess = Standardize(mean or (0.0,) * channels, std or (1.0,) * channels, shape)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, K) of raw `x`."""
        x = self.preprocess(x)
        if self.checkpointed and self.training and torch.is_grad_enabled():
            for child in self.features.children():
                is_block = any(child.children())
                x = checkpoint(child, x, use_reentrant=False, context_fn=_contexts(child)) if is_block else child(x)
        else:
            x = self.features(x)
        return self.classifier(x)

    def logits(self, x: Tensor) -> Float[Tensor, "B K"]:
        """Return the scores whose softmax gives the class probabilities."""
        return self(x)


def hidden_layers(maps: Sequence[int], hidden: int, classes: int) -> nn.Sequential:
    """Return the classifier of AlexNet and its successors: flatten maps (C, H, W), two hidden layers, and the logits.

    Each hidden layer has `hidden` units, ReLU, and dropout of 1/2 after it.

    >>> [type(layer).__name__ for layer in hidden_layers((2, 3, 3), 8, 10)][:4]
    ['Flatten', 'Linear', 'ReLU', 'Dropout']
    """
    channels, height, width = maps
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * width, hidden), nn.ReLU(inplace=True), nn.Dropout(0.5),
        nn.Linear(hidden, hidden), nn.ReLU(inplace=True), nn.Dropout(0.5),
        nn.Linear(hidden, classes),
    )  # fmt: skip


def _contexts(module: nn.Module) -> Callable[[], tuple[AbstractContextManager[None], AbstractContextManager[None]]]:
    """Return the contexts of the forward pass and of its repetition, which must not count in running statistics."""
    return lambda: (nullcontext(), _statistics_kept(module))


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    layers = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    before = [(layer.momentum, {name: buffer.clone() for name, buffer in layer.named_buffers()}) for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:  # the repetition is left by an exception as soon as the last tensor is computed
        for layer, (momentum, buffers) in zip(layers, before, strict=True):
            layer.momentum = momentum
            layer.load_state_dict(buffers, strict=False)


def size_after(layers: nn.Module, shape: Sequence[int]) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of the output of convolutions and poolings, applied in order, for input `shape`.

    A side n becomes ⌊(n + 2·padding − kernel)/stride⌋ + 1, or the ceiling where the layer says so.

    Raises ValueError if the image is too small for a layer.

    >>> size_after(nn.Sequential(nn.Conv2d(1, 6, 5), nn.MaxPool2d(2)), (1, 28, 28))
    (6, 12, 12)
    """
    channels, *sides = shape
    for layer in layers.modules():
        if not isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
            continue
        for i, side in enumerate(sides):
            kernel, stride, padding = (
                value[i] if isinstance(value, tuple) else int(value)
                for value in (layer.kernel_size, layer.stride, layer.padding)
            )
            try:
                sides[i] = output_size(side, kernel, stride, padding, ceil=bool(getattr(layer, "ceil_mode", False)))
            except ValueError:
                raise ValueError(
                    f"data: got images of {shape[1]}×{shape[2]}, too small for this network: a layer with a window of"
                    f" {kernel} gets a side of {side}"
                ) from None
        if isinstance(layer, nn.Conv2d):
            channels = layer.out_channels
    return channels, sides[0], sides[1]
