"""How well a code keeps an example: decode(encode(x)) against x, in raw units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from thalweg.evaluation.estimate import Estimate
from thalweg.evaluation.examples import Examples, per_example
from thalweg.evaluation.findings import Findings
from thalweg.evaluation.intervals import mean_of
from thalweg.evaluation.reference import Reference

__all__ = ["reconstruction", "reconstruction_measures"]


def reconstruction_measures(model: Any, reference: Reference) -> Findings:
    """Return what `reconstruction` gives of a model with `encode` and `decode`."""
    found, spec = Findings(), reference.spec
    if hasattr(model, "encode") and hasattr(model, "decode"):
        peak = spec.levels - 1 if spec.kind == "image" else None
        found.add(reconstruction(lambda x: model.decode(model.encode(x)), reference.test, peak=peak))
    return found


def reconstruction(
    rebuild: Callable[[Tensor], Tensor], examples: Examples, *, peak: float | None = None
) -> list[Estimate]:
    """Return the squared error of `rebuild(x)` a dimension, in squared raw units, and with a `peak` the PSNR in dB.

    PSNR = 10 log₁₀(peak² / squared error) of each example, then averaged over examples, never of the pooled error.
    An example rebuilt exactly has an infinite one.

    Raises ValueError if `rebuild` changes the shape.

    >>> x = np.zeros((3, 1, 2, 2), dtype=np.uint8)
    >>> [str(e) for e in reconstruction(lambda x: x + 1.0, Examples(x), peak=10)]
    ['1', '20 dB']
    """

    def squared(x: Tensor) -> Tensor:
        rebuilt = rebuild(x)
        if rebuilt.shape != x.shape:
            raise ValueError(f"decode: got shape {tuple(rebuilt.shape)}, wanted that of the examples, {tuple(x.shape)}")
        return (rebuilt.double() - x.double()).square().flatten(1).mean(dim=1)

    errors = per_example(examples, "reconstruction", squared)
    protocol, varies = dict(examples.protocol or {}), examples.varies
    found = [mean_of("squared error", errors, unit="", better="lower", varies=varies, protocol=protocol)]
    if peak is not None:
        with np.errstate(divide="ignore"):
            decibels = 10 * np.log10(peak**2 / errors)
        protocol = {**protocol, "peak": peak}
        found.append(mean_of("PSNR", decibels, unit="dB", better="higher", varies=varies, protocol=protocol))
    return found
