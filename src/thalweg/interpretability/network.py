"""A network of images as the methods see it: its layers by name, its scores, and its images in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from thalweg.checks import suggestion
from thalweg.devices import free_memory
from thalweg.interpretability.layers import Selector, parse
from thalweg.interpretability.result import Explanation
from thalweg.interpretability.state import check_normalization, frozen
from thalweg.nn.folding import NORMS, folded

__all__ = ["Network", "Progress", "Target"]

Target = int | str | Sequence[int | str] | Tensor | None
Progress = Callable[[int, int], None]  # called with the images that are done and their number
Normalize = tuple[Sequence[float], Sequence[float]] | Callable[[Tensor], Tensor] | None
MEMORY_SHARE, MAX_CHUNK = 0.25, 64  # of the free memory, for the activations of a chunk


class Network:
    """An `nn.Module` that maps images to scores, and what all methods need of it; see `Probe` for the arguments."""

    def __init__(
        self,
        model: nn.Module,
        *,
        normalize: Normalize = None,
        classes: Sequence[str] | None = None,
        layers: Literal["auto"] | Sequence[str] = "auto",
        score: str = "forward",
        shape: Sequence[int] | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise ValueError(f"model: got {type(model).__name__}, wanted a torch.nn.Module")
        check_normalization(model)
        _check_fields(normalize, classes, shape)
        self.model, self.classes, self.shape = model, tuple(classes) if classes else None, shape and tuple(shape)
        self.score, self._active = score, model
        self._normalize = normalize
        modules = [name for name, module in model.named_modules() if name]
        leaves = [name for name, module in model.named_modules() if name and not any(module.children())]
        self._layers = leaves if layers == "auto" else list(layers)
        for name in self._layers:
            if name not in modules:
                raise ValueError(f"layers: got '{name}', wanted modules of the model{suggestion(name, modules)}")
        self._selectable = modules if layers == "auto" else self._layers
        self._chunk: int | None = None
        self._copies: dict[object, nn.Module] = {}  # by the state of the model, at most two, its folded copies
        self.cautions: dict[str, str] = {}  # of methods, with this network's numbers

    def layers(self) -> list[str]:
        """Return the names of the layers that can be selected, in the order of the model's definition."""
        return list(self._layers)

    def selector(self, text: str) -> Selector:
        """Return the layer, channel and position that a text selects; see `thalweg.interpretability.layers`."""
        return parse(text, self._selectable)

    def images(self, x: Tensor) -> Tensor:
        """Return images as (B, C, H, W), float32, on the model's device; raise ValueError for others."""
        if not isinstance(x, Tensor) or x.ndim not in (3, 4) or not len(x):
            got = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise ValueError(f"x: got {got}, wanted images (B, C, H, W) or one image (C, H, W)")
        x = x if x.ndim == 4 else x[None]
        if self.shape and tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"x: got images of shape {tuple(x.shape[1:])}, wanted {self.shape}, those of the model")
        if not x.is_floating_point() or not (x.isfinite().all() and x.min() >= 0 and x.max() <= 1):
            got = "integers" if not x.is_floating_point() else f"values from {x.min():.3g} to {x.max():.3g}"
            raise ValueError(f"x: got {got}, wanted floats in [0, 1]; the model's own scale belongs to normalize=")
        first = next(self.model.parameters(), None)
        with torch.inference_mode(False):
            return x.detach().clone().to(x if first is None else first)

    def normalize(self, x: Tensor) -> Tensor:
        """Return what the model gets for images in [0, 1]."""
        if self._normalize is None:
            return x
        if callable(self._normalize):
            return self._normalize(x)
        mean, std = (torch.tensor(v, dtype=x.dtype, device=x.device).view(-1, 1, 1) for v in self._normalize)
        return (x - mean) / std

    def scores(self, x: Tensor) -> Tensor:
        """Return the scores (B, K) of images in [0, 1], differentiable in them.

        Raises ValueError for a model that returns something else, and FloatingPointError for NaN.
        """
        active, x = self._active, self.normalize(x)
        scores = active(x) if self.score == "forward" else getattr(active, self.score)(x)
        if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != len(x):
            got = f"shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else type(scores).__name__
            raise ValueError(f"model: got {got} for {len(x)} images, wanted one tensor of scores (B, K)")
        if not scores.is_floating_point():
            raise ValueError(f"model: got scores of type {scores.dtype}, wanted floats")
        if not scores.isfinite().all():
            raise FloatingPointError("model: got NaN or infinity among the scores, wanted finite numbers")
        if self.classes and len(self.classes) != scores.shape[1]:
            raise ValueError(f"classes: got {len(self.classes)} names for {scores.shape[1]} scores, wanted as many")
        return scores

    @contextmanager
    def fast(self) -> Iterator[None]:
        """Within, scores are those of a copy with batch normalization folded into the layers before, in channels_last.

        They are equal but for rounding. Layers cannot be selected in the copy. It is made again where the model has
        changed. A network whose calls cannot be traced is used as it is.
        """
        state = _fingerprint(self.model)
        if state not in self._copies:
            copy = self.model
            if any(isinstance(module, NORMS) for module in self.model.modules()):
                with suppress(ValueError):
                    copy = folded(self.model).requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._copies = dict([*self._copies.items(), (state, copy)][-2:])
        self._active = self._copies[state]
        try:
            yield
        finally:
            self._active = self.model

    def targets(self, scores: Tensor, target: Target) -> Tensor:
        """Return the class of each image, (B,): the given ones, by number or name, or the most probable ones.

        Raises ValueError for unknown classes, and for another number of them than one or B.
        """
        if target is None:
            return scores.argmax(1)
        target = target.tolist() if isinstance(target, Tensor) else target
        given = [target] if isinstance(target, int | str) else list(target)
        if len(given) not in (1, len(scores)):
            raise ValueError(f"target: got {len(given)} classes for {len(scores)} images, wanted one or as many")
        numbers = [self._class(one, scores.shape[1]) for one in given]
        return torch.tensor(numbers, device=scores.device).expand(len(scores))

    def part(self, target: Target, rows: slice, n: int) -> Target:
        """Return what is given of the classes for some of n images; raise ValueError for another number of them."""
        if target is None or isinstance(target, int | str) or len(target) == 1:
            return target
        if len(target) != n:
            raise ValueError(f"target: got {len(target)} classes for {n} images, wanted one or as many")
        return target[rows]

    def _class(self, name: int | str, number: int) -> int:
        if isinstance(name, str) and self.classes and name in self.classes:
            return self.classes.index(name)
        if isinstance(name, str) and name.isdigit():
            name = int(name)
        if isinstance(name, int) and 0 <= name < number:
            return name
        names = f", or a name{suggestion(str(name), self.classes)}" if self.classes else ""
        raise ValueError(f"target: got '{name}', wanted a class from 0 to {number - 1}{names}")

    def chunks(self, x: Tensor, progress: Progress | None = None) -> Iterator[tuple[slice, Tensor]]:
        """Yield parts of the images, as many at a time as fit into a quarter of the free memory, with their rows."""
        size = self.chunk_size(x)
        for start in range(0, len(x), size):
            rows = slice(start, min(start + size, len(x)))
            yield rows, x[rows]
            if progress:
                progress(rows.stop, len(x))

    def chunk_size(self, x: Tensor) -> int:
        """Return how many images are processed at once."""
        if self._chunk is None:
            with frozen(self.model), torch.no_grad(), _counted(self.model) as sizes:
                self.scores(x[:1])
            values = 4 * (x[0].numel() + sum(sizes))  # with their gradients
            self._chunk = int(min(MAX_CHUNK, max(1, MEMORY_SHARE * free_memory() / (4 * values))))
        return self._chunk

    def result(self, method: str, values: Tensor, x: Tensor, **fields: Any) -> Explanation:
        """Return the result of a method, with everything on the CPU."""
        return Explanation(method, values.detach().cpu(), x.detach().cpu(), **fields)


def _fingerprint(model: nn.Module) -> tuple[float, ...]:
    """Return the sum and the norm of every tensor of the model: version counters miss changes of `.data`."""
    tensors = [t.detach() for t in [*model.parameters(), *model.buffers()] if t.is_floating_point() and t.numel()]
    if not tensors:
        return ()
    sums, norms = [t.sum() for t in tensors], torch._foreach_norm(tensors)
    return tuple(torch.stack([*sums, *norms]).tolist())


def _check_fields(normalize: Normalize, classes: Sequence[str] | None, shape: Sequence[int] | None) -> None:
    """Raise ValueError for arguments that cannot be used."""
    if classes is not None and not (isinstance(classes, Sequence) and all(isinstance(name, str) for name in classes)):
        raise ValueError(f"classes: got {classes!r}, wanted a sequence of names")
    if classes is not None and len(set(classes)) < len(classes):
        raise ValueError("classes: got the same name twice, wanted different names")
    if shape is not None and not (
        isinstance(shape, Sequence) and len(shape) == 3 and all(isinstance(n, int) and n > 0 for n in shape)
    ):
        raise ValueError(f"shape: got {shape!r}, wanted that of one image, (C, H, W)")
    if normalize is None or callable(normalize):
        return
    try:
        mean, std = (torch.tensor(values, dtype=torch.float64) for values in normalize)
    except (TypeError, ValueError):
        mean = std = torch.zeros(0)
    if not len(mean) or mean.ndim != 1 or mean.shape != std.shape or not bool((mean.isfinite() & (std > 0)).all()):
        raise ValueError(
            f"normalize: got {normalize!r}, wanted a mean and a positive standard deviation per channel, or a function"
        )


@contextmanager
def _counted(model: nn.Module) -> Iterator[list[int]]:
    """Yield a list to which each forward pass adds the number of values of every layer's output."""
    sizes: list[int] = []
    hooks = [
        module.register_forward_hook(lambda _module, _arguments, output: sizes.extend(
            leaf.numel() for leaf in tree_leaves(output) if isinstance(leaf, Tensor)))
        for module in model.modules()
        if not any(module.children())
    ]  # fmt: skip
    try:
        yield sizes
    finally:
        for hook in hooks:
            hook.remove()
