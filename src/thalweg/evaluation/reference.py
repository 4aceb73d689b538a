"""What a model is measured against: held-out examples, the training examples, features, a known density."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from thalweg.abilities import HasLogProb
from thalweg.checks import at_least, positive
from thalweg.data.dataset import Spec
from thalweg.evaluation.examples import Examples

__all__ = ["Features", "Reference", "raw_features"]


@dataclass(frozen=True)
class Features:
    """What samples are compared by: `extract` takes raw examples `(B, *shape)` to (B, d); protocols have the `name`."""

    name: str
    extract: Callable[[Tensor], Tensor]

    def of(self, x: Tensor, batch_size: int = 500) -> Tensor:
        """Return the features (n, d), float64 on the CPU, of raw examples `(n, *shape)`.

        Raises ValueError for features of another shape, FloatingPointError where they are not finite.
        """
        parts = []
        with torch.no_grad():
            for part in x.split(batch_size):
                values = self.extract(part)
                if values.ndim != 2 or len(values) != len(part):
                    raise ValueError(
                        f"features: got shape {tuple(values.shape)} of {len(part)} examples, wanted (B, d)"
                    )
                parts.append(values.double().cpu())
        features = torch.cat(parts)
        broken = int((~features.isfinite()).any(dim=1).sum())
        if broken:
            raise FloatingPointError(f"features: {broken} of {len(features)} are not finite")
        return features


def raw_features(spec: Spec) -> Features:
    """Return the data themselves as features: columns standardized by the training split, or pixels / (levels − 1)."""
    if spec.kind == "image":
        scale = spec.levels - 1 if spec.levels else 1
        return Features("pixels", lambda x: x.double().flatten(1) / scale)
    if not spec.mean:
        return Features("columns", lambda x: x.double().flatten(1))
    mean, std = torch.tensor(spec.mean).double(), torch.tensor(spec.std).double()
    return Features("standardized columns", lambda x: (x.double().flatten(1) - mean) / std)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The examples that a model is measured on, and all that its measures may need beside them.

    `test` are the examples measured on; `training` those the model learned from (for copies, probes and neighbors);
    `validation` those that choose what a measure must fit (a bandwidth, an observation's σ). `density` has the true
    `log_prob` where it is known. `anomalies` are examples of other data, by name. `draws` of a likelihood's noise are
    averaged; `samples` are drawn; `temperatures` are the steps of annealed importance sampling,
    0 for none, None for 300 where a CPU bears them.

    Raises ValueError for numbers out of range.
    """

    spec: Spec
    test: Examples
    features: Features
    training: Examples | None = None
    validation: Examples | None = None
    density: HasLogProb | None = None
    anomalies: Mapping[str, Examples] = field(default_factory=dict)
    draws: int = 1
    samples: int | None = None
    temperatures: int | None = 0

    def __post_init__(self) -> None:
        positive("draws", self.draws)
        if self.samples is not None:
            positive("samples", self.samples)
        if self.temperatures is not None:
            at_least("temperatures", self.temperatures, 0)

    @property
    def seed(self) -> int:
        """Of every draw."""
        return self.test.seed
