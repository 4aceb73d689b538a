"""The examples that a model is evaluated on, in batches, and the context in which it is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from thalweg.checks import positive
from thalweg.devices import fast_matmul
from thalweg.randomness import fold

__all__ = ["Examples", "frozen", "per_example", "seeded"]


@dataclass(frozen=True)
class Examples:
    """Raw examples `x` `(N, *shape)`, optionally with labels `y` (N,); arrays in memory or memory-mapped.

    `protocol` describes them in the estimates; `factors` are known generative factors, (N,) each, by name. `index` is
    the place of each in its split (N,); None means 0..N−1.
    """

    x: NDArray[Any]
    y: NDArray[Any] | None = None
    protocol: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = 500
    seed: int = 0
    device: torch.device | str = "cpu"
    factors: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    index: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        positive("batch_size", self.batch_size)
        if len(self.x) == 0:
            raise ValueError("split: got no examples, wanted at least one")

    @property
    def varies(self) -> str:
        """What varies in a mean over these examples."""
        return f"{self.protocol.get('split', 'test')} examples"

    @property
    def places(self) -> NDArray[Any]:
        """The place of each example in its split, (N,)."""
        return np.arange(len(self.x)) if self.index is None else self.index

    def batches(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield the rows and the raw tensor `(B, *shape)` of each batch, in order, on the device."""
        for start in range(0, len(self.x), self.batch_size):
            rows = slice(start, min(start + self.batch_size, len(self.x)))
            yield rows, torch.from_numpy(np.array(self.x[rows])).to(self.device)

    def noise(self, name: str, rows: slice) -> AbstractContextManager[None]:
        """Seed torch's generators by (seed, name, first row) within the context."""
        return seeded(self.seed, name, rows.start, device=self.device)


def per_example(examples: Examples, name: str, measure: Callable[[Tensor], Tensor]) -> NDArray[np.float64]:
    """Return `measure(batch)` (B,) for all examples, float64 (N,), with noise from (seed, name, first row).

    Raises ValueError if the measure does not return one value per example.
    """
    values = np.empty(len(examples.x))
    for rows, x in examples.batches():
        with examples.noise(name, rows):
            value = measure(x)
        if value.shape != (len(x),):
            raise ValueError(f"{name}: got values of shape {tuple(value.shape)}, wanted ({len(x)},), one per example")
        values[rows] = value.double().cpu().numpy()
    return values


@contextmanager
def seeded(seed: int, *names: str | int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed torch's global generators by `fold(seed, *names)` within the context, and restore them afterwards."""
    device = torch.device(device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(fold(seed, *names))
        yield


@contextmanager
def frozen(model: object, device: torch.device | str | None = None) -> Iterator[torch.device]:
    """Put `model` on `device`, in evaluation mode, without gradients and with fast products, and restore it afterwards.

    Yields the device; None leaves the model where it is. Objects that are not modules are not changed.
    """
    if not isinstance(model, nn.Module):
        with torch.no_grad():
            yield torch.device(device or "cpu")
        return
    modes = {module: module.training for module in model.modules()}
    first = next(model.parameters(), None)
    home = torch.device("cpu") if first is None else first.device
    place = home if device is None else torch.device(device)
    try:
        model.to(place).eval()
        with torch.no_grad(), fast_matmul(place):
            yield place
    finally:
        model.to(home)
        for module, mode in modes.items():
            module.training = mode
