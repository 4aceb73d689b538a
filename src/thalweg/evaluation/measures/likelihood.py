"""Log-likelihood of the raw data in nats and bits/dim: exact or a bound, and of which quantity."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from thalweg.abilities import HasElbo, HasLogProb
from thalweg.checks import choice, positive
from thalweg.data.dataset import Spec
from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.findings import Findings
from thalweg.evaluation.estimates.intervals import mean_of
from thalweg.evaluation.examples import Examples, per_example
from thalweg.evaluation.reference import Reference

__all__ = [
    "MEANINGS",
    "bits_of",
    "divergence",
    "likelihood",
    "likelihood_measures",
    "nats_and_bits",
    "observation_of",
    "quantity_of",
]

MEANINGS = {
    "log-likelihood": "The mean log-likelihood of held-out examples, in nats per example; higher is better. Only "
    "values of the same quantity and kind are comparable: a lower bound differs from the true value by an unknown "
    "gap, and a density of raw values depends on their units.",
    "bits/dim": "The mean number of bits per value that a lossless code built from the model would use; lower is "
    "better. 8 means no compression of images with 256 levels. It is an upper bound unless it is marked as exact. "
    "Only discrete data have it.",
    "KL from truth": "The KL divergence from the distribution that generated the data, where that is known, to the "
    "model, in nats per example; 0 is perfect. The estimate can be below 0 by chance, but its interval then "
    "usually contains 0.",
}

# The quantity of log_prob, by the model's observation. Different quantities are not comparable.
OBSERVATIONS = {
    "discrete": "probability of the raw levels",
    "dequantized": "probability of the raw levels",
    "continuous": "density of the raw values",
    "binarized": "probability of the data binarized at half range",
}
MASSES = ("discrete", "binarized")  # whose log_prob is never above 0; a density may be
ROUNDING = 1e-4  # nats, of a sum in float32
MIXED = "probability of the discrete columns and density of the others"


@runtime_checkable
class StatesObservation(Protocol):
    """A model that states what its log-probabilities refer to: a key of `OBSERVATIONS`."""

    observation: str


def likelihood_measures(model: HasLogProb | HasElbo, reference: Reference) -> Findings:
    """Return the log-likelihood by `log_prob`, or otherwise by `elbo`, and the divergence from a known density."""
    findings, spec, exact = Findings(), reference.spec, isinstance(model, HasLogProb)
    quantity = model.log_prob if isinstance(model, HasLogProb) else model.elbo
    observation = observation_of(model, spec)
    shared: dict[str, Any] = {"bound": not exact, "draws": reference.draws}
    bits = bits_of(observation, spec)
    about = quantity_of(observation, spec)
    findings.add(likelihood(quantity, reference.test, observation=observation, bits=bits, quantity=about, **shared))
    if reference.density is not None and observation == "continuous":
        findings.add(divergence(reference.density.log_prob, quantity, reference.test, **shared))
    return findings


def observation_of(model: object, spec: Spec) -> str:
    """Return the observation that log_prob or elbo refers to: the model's own, or the one that the kind of data
    implies.
    """
    if isinstance(model, StatesObservation) and model.observation:
        return model.observation
    implied = {"vector": "continuous", "tokens": "discrete"}.get(spec.kind)
    if implied is None:
        raise ValueError(f"observation: {type(model).__name__} states none, wanted discrete, dequantized or binarized")
    return implied


def bits_of(observation: str, spec: Spec) -> bool:
    """Return whether a log-probability of that observation is of the raw data, so that bits/dim are defined.

    Vectors have bits/dim only if every column is discrete and the model dequantizes them.
    """
    # A density has no bits: at discrete values it can be arbitrarily high, and elsewhere it depends on the unit.
    if spec.kind == "vector":
        return observation != "continuous" and bool(spec.discrete) and all(spec.discrete)
    return observation != "binarized" and not (spec.levels and observation == "continuous")


def quantity_of(observation: str, spec: Spec) -> str:
    """Return the quantity that a log-probability of that observation measures, as protocols state it.

    >>> from thalweg.config import Discrete
    >>> from thalweg.data import Spec
    >>> quantity_of("dequantized", Spec(name="table", kind="vector", shape=(2,), discrete=(None, Discrete())))
    'probability of the discrete columns and density of the others'
    """
    quantity = OBSERVATIONS[choice("observation", observation, OBSERVATIONS)]
    if spec.kind == "vector" and observation in ("discrete", "dequantized"):
        return "probability of the raw values" if all(spec.discrete) else MIXED
    return quantity


def likelihood(
    log_prob: Callable[[Tensor], Tensor],
    examples: Examples,
    *,
    observation: str,
    bound: bool = False,
    draws: int = 1,
    bits: bool = True,
    quantity: str | None = None,
) -> list[Estimate]:
    """Return the mean of `log_prob(x)` (B,) in nats per example and, for the raw data, in bits/dim.

    bits/dim = −nats / (D ln 2), so a lower bound in nats is an upper bound in bits/dim. `observation` is what log_prob
    refers to: "discrete", the probability of raw integer levels; "continuous", a density of raw values; "dequantized",
    a density of the levels plus uniform noise, whose mean over the noise is a lower bound on the discrete
    log-probability (Jensen); "binarized", the probability of the data thresholded at half range, which has no bits/dim
    of the raw data. `bound`: log_prob is an evidence lower bound.

    `draws` of the noise are averaged; `method` has the standard deviation between the means of single draws, √draws
    times that of the value.

    Reference: *A note on the evaluation of generative models*, L. Theis, A. van den Oord, M. Bethge, 2016,
    arXiv:1511.01844.

    >>> x = np.zeros((10, 4), dtype=np.uint8)
    >>> fair = lambda x: torch.full((len(x),), -4 * math.log(256), dtype=torch.float64)
    >>> [str(e) for e in likelihood(fair, Examples(x), observation="discrete")]
    ['-22.1807 nats', '8 bits/dim']
    """
    quantity = quantity or OBSERVATIONS[choice("observation", observation, OBSERVATIONS)]
    name = "elbo" if bound else "log_prob"
    values = _draws(log_prob, examples, name, draws)
    bounded = bound or observation == "dequantized"
    method: dict[str, Any] = {"by": name, "observation": observation, "draws": draws, **_seeds(examples)}
    if draws == 1 and observation == "dequantized":
        method["noise"] = "one dequantization draw"
    spread = float(values.mean(axis=1).std(ddof=1)) if draws > 1 else None
    return nats_and_bits(
        "log-likelihood",
        values.mean(axis=0),
        examples,
        quantity=quantity,
        bound=bounded,
        bits=bits and observation != "binarized",
        spread=spread,
        method=method,
    )


def nats_and_bits(
    name: str,
    values: np.ndarray[Any, Any],
    examples: Examples,
    *,
    quantity: str,
    bits: bool,
    method: Mapping[str, Any],
    bound: bool = True,
    spread: float | None = None,
    protocol: Mapping[str, Any] | None = None,
) -> list[Estimate]:
    """Return the mean of log-probabilities `values` (n,) in nats and, with `bits`, in bits/dim.

    bits/dim = −nats / (D ln 2). `bound`: the values are lower bounds, so the bits are upper bounds. `spread` is the
    standard deviation between draws, in nats.

    Raises ValueError for log-probabilities above 0 where `method` states a discrete or binarized observation: any of
    exact ones, the mean of bounds, which are estimates.
    """
    if method.get("observation") in MASSES and quantity != MIXED:
        highest = float(values.mean() if bound else values.max())
        if highest > ROUNDING:
            which = "a mean" if bound else "a value"
            raise ValueError(
                f"{name}: got {which} of {highest:.4g} nats, wanted at most 0, as no probability exceeds 1"
            )
    size = int(np.prod(np.shape(examples.x)[1:]))
    shared: dict[str, Any] = {
        "varies": examples.varies,
        "protocol": {**examples.protocol, **(protocol or {}), "quantity": quantity},
    }

    def method_of(scale: float) -> dict[str, Any]:
        return dict(method) if spread is None else {**method, "standard deviation between draws": spread * scale}

    kind = "lower bound" if bound else "exact"
    findings = [mean_of(name, values, unit="nats", better="higher", kind=kind, method=method_of(1.0), **shared)]
    if bits:
        kind, scale = "upper bound" if bound else "exact", 1 / (size * math.log(2))
        of_bits = "bits/dim" if name == "log-likelihood" else f"{name} bits/dim"
        method = method_of(scale)
        findings.append(
            mean_of(of_bits, -scale * values, unit="bits/dim", better="lower", kind=kind, method=method, **shared)
        )
    return findings


def divergence(
    truth: Callable[[Tensor], Tensor],
    log_prob: Callable[[Tensor], Tensor],
    examples: Examples,
    *,
    bound: bool = False,
    draws: int = 1,
) -> Estimate:
    """Return KL(truth‖model) in nats: the mean of log p(x) − log q(x) over examples x of the truth.

    The interval is of the differences per example, so what p and q share cancels. If log_prob is a lower bound on log
    q, the value is an upper bound. The estimate can be below 0 by chance.

    >>> x = np.zeros((5, 2), dtype=np.float32)
    >>> str(divergence(lambda x: torch.zeros(len(x)), lambda x: torch.full((len(x),), -0.5), Examples(x)))
    '0.5 nats'
    """
    name = "elbo" if bound else "log_prob"
    model = _draws(log_prob, examples, name, draws).mean(axis=0)
    exact = per_example(examples, "density", lambda x: torch.as_tensor(truth(x.cpu())))
    return mean_of(
        "KL from truth",
        exact - model,
        unit="nats",
        better="lower",
        varies=examples.varies,
        kind="upper bound" if bound else "exact",
        protocol=examples.protocol,
        method={"by": name, "draws": draws, **_seeds(examples)},
    )


def _draws(log_prob: Callable[[Tensor], Tensor], examples: Examples, name: str, draws: int) -> np.ndarray[Any, Any]:
    """Return the values (draws, N), each draw with its own noise."""
    positive("draws", draws)
    return np.stack([per_example(examples, name if i == 0 else f"{name} {i}", log_prob) for i in range(draws)])


def _seeds(examples: Examples) -> dict[str, Any]:
    return {"seed": examples.seed, "batch size": examples.batch_size}
