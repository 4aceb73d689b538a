"""Annealed importance sampling: a lower bound on the log-likelihood, and lower and upper bounds on simulated data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from thalweg.abilities import HasElbo, HasLogLikelihood, HasLogProb, HasPrior, Observes
from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.findings import Findings, Missing
from thalweg.evaluation.estimates.intervals import mean_of
from thalweg.evaluation.examples import seeded
from thalweg.evaluation.measures.importance import DRAWS, LatentVariableModel, importance_curve, log_weights
from thalweg.evaluation.measures.likelihood import bits_of, nats_and_bits, observation_of, quantity_of
from thalweg.evaluation.measures.observation import DecoderWithPrior, GaussianObservation, fit_observation
from thalweg.evaluation.reference import Reference
from thalweg.evaluation.statistics.hamiltonian import LEAPFROG, anneal, sigmoid_schedule
from thalweg.evaluation.subset import subset

__all__ = ["MEANINGS", "Bounds", "annealed_bounds", "annealing_measures"]

# examples, simulated examples, chains of each, chains that choose step sizes
MAX_EXAMPLES, SIMULATED, CHAINS, PILOTS = 32, 16, 8, 2
TEMPERATURES = 300  # by default
MAX_FLOP = 1e13  # FLOP, some minutes on a CPU: the limit unless temperatures are asked for

MEANINGS = {
    "AIS": "A lower bound on the log-likelihood by annealed importance sampling, in nats; higher is better. It needs "
    "a prior and a decoder but no encoder, so GANs have one, too. BDMC shows how tight it is. It is computed on few "
    "examples: compare it with other bounds only on the same examples.",
    "AIS bits/dim": "The same bound in bits per value of an example; lower is better. It is an upper bound on "
    "bits/dim.",
    "BDMC lower": "The same lower bound on examples that the model itself simulated. It depends on the model's own "
    "data: compare it only with BDMC upper, never between models.",
    "BDMC upper": "An upper bound on the log-likelihood of the same simulated examples. Its distance from BDMC lower "
    "shows how far AIS may be from the true value, if real examples are as easy as simulated ones.",
}


def annealing_measures(model: HasPrior, reference: Reference) -> Findings:
    """Return the lower bound on log p(x) of test examples by annealed importance sampling, and both bounds on simulated
    ones.

    A model needs `prior` and `log_likelihood(x, z)`. A decoder with `prior` and `decode(z)` that has no likelihood gets
    a Gaussian observation model around decode(z), with σ fitted on validation examples. Examples are simulated by
    `observe(z)`, which draws x given z. There is no result if `reference.temperatures` is 0; if it is None, 300
    temperatures are used unless that would take many minutes on a CPU.

    Raises ValueError for a prior whose support is not R^d, and what `fit_observation` raises.
    """
    findings = Findings()
    own = isinstance(model, HasLogLikelihood)
    if reference.temperatures == 0 or (not own and isinstance(model, (HasLogProb, HasElbo))):
        return findings
    _check_support(model.prior)
    if reference.temperatures is None:
        reference = replace(reference, temperatures=TEMPERATURES)
        work = _work(model, reference)
        if work > MAX_FLOP and torch.device(reference.test.device).type == "cpu":
            reason = f"{work / 1e12:.0f} TFLOP, many for a CPU; --temperatures {TEMPERATURES} has them done"
            findings.missing.append(Missing("AIS", reason))
            return findings
    decoder = model
    if not own:
        assert isinstance(model, DecoderWithPrior)  # required by the group
        decoder = fit_observation(model, reference)
    assert isinstance(decoder, ObservationModel)
    effort = findings.tables["AIS"] = {**_effort(reference), "schedule": "sigmoid, δ = 4"}
    findings.attempt("AIS", lambda: _of_test(decoder, reference, effort))
    findings.attempt("BDMC", lambda: _of_simulated(decoder, reference, effort))
    return findings


def _check_support(prior: Distribution) -> None:
    """Raise ValueError for a prior whose support is not R^d, which Hamiltonian steps would leave."""
    z, support = prior.sample(torch.Size((1,))), prior.support
    if z.ndim != 2 or not z.is_floating_point() or support is None or not support.check(z.fill_(1e6)).all():
        raise ValueError(f"prior: got {prior}, wanted one on all of R^d, where chains can go")


@torch.no_grad()
def _work(model: Any, reference: Reference) -> float:
    """Return the FLOP of all chains: products and convolutions of the decoder and of its gradient."""
    from torch.utils.flop_counter import FlopCounterMode

    assert reference.temperatures
    _, x = next(replace(reference.test, batch_size=1).batches())
    own, z = isinstance(model, HasLogLikelihood), model.prior.sample((1,))
    with FlopCounterMode(display=False) as counter:
        model.log_likelihood(x, z) if own else model.decode(z)
    chains = (
        (PILOTS + CHAINS) * MAX_EXAMPLES + (PILOTS + 2 * CHAINS) * SIMULATED + (0 if own else CHAINS * MAX_EXAMPLES)
    )
    return float(2 * counter.get_total_flops() * LEAPFROG * reference.temperatures * chains)


def _effort(reference: Reference) -> dict[str, Any]:
    return {"temperatures": reference.temperatures, "chains": CHAINS, "leapfrog steps": LEAPFROG}


@runtime_checkable
class ObservationModel(HasPrior, Protocol):
    """The prior of a code, and the observation model given a code, which takes the `noise` of dequantized data."""

    def log_likelihood(self, x: Tensor, z: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return log p(x|z), nats (B,)."""


class Bounds(NamedTuple):
    """Bounds on log p(x) of each example, nats (N,), valid in expectation, and the acceptance rate of proposals."""

    lower: np.ndarray[Any, Any]
    upper: np.ndarray[Any, Any] | None
    acceptance: float


@torch.no_grad()
def annealed_bounds(
    decoder: ObservationModel,
    x: Tensor,
    temperatures: int,
    *,
    codes: Tensor | None = None,
    dequantized: bool = False,
) -> Bounds:
    """Return log 1/C Σ w_c of C = 8 annealed chains per example and, with `codes`, −log 1/C Σ w'_c of as many reverse
    chains.

    `codes` (N, d) are exact draws of the posterior: the codes that `x` was generated from. E[w] = p(x) and E[w'] =
    1/p(x), so by Jensen's inequality the first is at most and the second at least log p(x) in expectation, for any
    chains, and both converge to it as `temperatures` grow. For this, step sizes are fixed in advance by two pilot
    chains per example, whose weights are discarded. Noise is from torch's global generator.

    A decoder of `dequantized` data takes the noise as `log_likelihood(x, z, noise=u)`: one more latent variable,
    uniform, drawn once per chain, so that the bound is on the probability of the levels. With `codes`, `x` contains its
    noise.

    Reference: *Sandwiching the marginal likelihood using bidirectional Monte Carlo*, R. Grosse, Z. Ghahramani, R. P.
    Adams, 2015, arXiv:1511.02543. *On the quantitative analysis of decoder-based generative models*, Y. Wu et al.,
    2017, arXiv:1611.04273.
    """
    count, prior = len(x), decoder.prior

    def likelihood(copies: int) -> Callable[[Tensor], Tensor]:
        rows = x.repeat(copies, *[1] * (x.ndim - 1))
        if not dequantized:
            return lambda z: decoder.log_likelihood(rows, z)
        noise = torch.rand(rows.shape, device=x.device) if codes is None else torch.zeros(rows.shape, device=x.device)
        return lambda z: decoder.log_likelihood(rows, z, noise=noise)

    ahead, starts = sigmoid_schedule(temperatures)[:, None].to(x.device), prior.sample((PILOTS * count,))
    pilot = anneal(prior.log_prob, likelihood(PILOTS), starts, ahead, chains=PILOTS)
    steps, z = pilot.steps[:, :count].repeat(1, CHAINS), prior.sample((CHAINS * count,))
    betas, copies = ahead.expand(-1, len(z)), CHAINS
    if codes is not None:  # the same densities and step sizes in reverse order
        z, copies = torch.cat([z, codes.repeat(CHAINS, 1)]), 2 * CHAINS
        betas = torch.cat([betas, betas.flip(0)], dim=1)
        steps = torch.cat([steps, torch.cat([steps[:-1].flip(0), steps[-1:]])], dim=1)
    run = anneal(prior.log_prob, likelihood(copies), z, betas, steps=steps)
    means = (run.log_weights[-1].view(-1, CHAINS, count).logsumexp(dim=1) - math.log(CHAINS)).cpu().numpy()
    return Bounds(means[0], None if codes is None else -means[1], run.acceptance)


def _of_test(decoder: ObservationModel, reference: Reference, effort: dict[str, Any]) -> list[Estimate]:
    assert reference.temperatures
    test, observation = reference.test, observation_of(decoder, reference.spec)
    examples = subset(replace(test, batch_size=max(1, test.batch_size // CHAINS)), MAX_EXAMPLES)
    values, acceptance = np.empty(len(examples.x)), []
    for rows, x in examples.batches():
        with examples.noise("annealing", rows):
            bounds = annealed_bounds(decoder, x, reference.temperatures, dequantized=observation == "dequantized")
        values[rows] = bounds.lower
        acceptance.append(bounds.acceptance)
    effort |= {"examples": len(values), "acceptance": float(np.mean(acceptance))}
    if isinstance(decoder, LatentVariableModel):  # the importance-weighted bound of the encoder on the same examples
        effort[f"IWAE-{DRAWS}"] = float(importance_curve(log_weights(decoder, examples, DRAWS))[DRAWS].mean())
    method: dict[str, Any] = {"by": "prior and log_likelihood", "observation": observation, "seed": test.seed}
    if isinstance(decoder, GaussianObservation):
        method |= {"by": "prior and decode", "observation": str(decoder)}
        effort["σ"] = decoder.sigma
    if observation == "dequantized":
        method["noise"] = "drawn anew with each chain"
    return nats_and_bits(
        "AIS",
        values,
        examples,
        quantity=quantity_of(observation, reference.spec),
        bits=bits_of(observation, reference.spec),
        protocol=_effort(reference),
        method=method,
    )


def _of_simulated(decoder: ObservationModel, reference: Reference, effort: dict[str, Any]) -> list[Estimate]:
    if not isinstance(decoder, Observes):
        raise ValueError(
            f"observe: {type(decoder).__name__} cannot draw x given z, wanted observe(z) to simulate examples"
        )
    assert reference.temperatures
    test, observation = reference.test, observation_of(decoder, reference.spec)
    with seeded(test.seed, "simulated", device=test.device), torch.no_grad():
        codes = decoder.prior.sample((SIMULATED,))
        x, dequantized = decoder.observe(codes), observation == "dequantized"
        bounds = annealed_bounds(decoder, x, reference.temperatures, codes=codes, dequantized=dequantized)
    assert bounds.upper is not None
    protocol = {
        "data": "simulated by the model",
        "seed": test.seed,
        "quantity": quantity_of(observation, reference.spec),
        **_effort(reference),
    }
    shared: dict[str, Any] = {"unit": "nats", "better": "higher", "varies": "simulated examples", "protocol": protocol}
    gap = mean_of("gap", bounds.upper - bounds.lower, unit="nats", better="lower")
    effort |= {"simulated examples": SIMULATED, "gap": gap.value, "gap low": gap.low, "gap high": gap.high}
    return [
        mean_of("BDMC lower", bounds.lower, kind="lower bound", **shared),
        mean_of("BDMC upper", bounds.upper, kind="upper bound", **shared),
    ]
