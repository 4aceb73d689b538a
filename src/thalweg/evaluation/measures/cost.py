"""The cost of a model: its parameters, its sampling speed, and the multiply-adds and time of a prediction."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from thalweg.abilities import Classifies, Samples
from thalweg.devices import synchronize
from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.findings import Findings
from thalweg.evaluation.estimates.intervals import mean_of
from thalweg.evaluation.reference import Reference
from thalweg.nn.layer_table import count_macs
from thalweg.randomness import generator

__all__ = ["INFERENCE", "MEANINGS", "cost_measures", "inference_measures", "known_value"]

MEANINGS = {
    "parameters": "The number of trained parameters; of a baseline, of fitted ones.",
    "samples per second": "The sampling speed of the model, in batches, on this machine during this run: compare it "
    "only within one table.",
    "training time": "The seconds of training, without setup, validation and checkpoints. With early stopping, some "
    "of the budget may be unused.",
    "training steps": "The number of updates that the budget allowed.",
    "peak memory": "The largest memory of the training process: GPU memory if it trained on a GPU, else the resident "
    "memory of the whole process.",
}
INFERENCE = {
    "MACs": "The multiply-adds of the logits of one example, in convolutions, linear layers and matrix products; "
    "FLOPs = 2 × MACs.",
    "inference time": "The seconds per example of the logits of a batch, on this machine during this run: compare it "
    "only within one table.",
}
DRAWS = 5


def cost_measures(model: object, reference: Reference) -> Findings:
    """Return the number of parameters and the samples per second, averaged over 5 batches after a first one."""
    findings = Findings()
    if isinstance(model, nn.Module):
        count = sum(p.numel() for p in model.parameters())
        findings.add([known_value("parameters", count)] if count else [])
        if isinstance(model, Samples):
            findings.attempt("samples per second", lambda: _pace(model, reference))
    return findings


def inference_measures(model: Classifies, reference: Reference) -> Findings:
    """Return the multiply-adds of one example's logits, and the seconds per example, averaged over 5 batches after a
    first one.
    """
    findings = Findings()
    findings.attempt("MACs", partial(_macs, model, reference))
    findings.attempt("inference time", partial(_inference_time, model, reference))
    return findings


def _macs(model: Classifies, reference: Reference) -> Estimate:
    _, x = next(reference.test.batches())
    count = count_macs(model.logits, x[:1])
    if not count:
        raise ValueError(
            f"MACs: got 0 of {type(model).__name__}, wanted a convolution, linear layer or matrix product to count"
        )
    return known_value("MACs", count)


def _inference_time(model: Classifies, reference: Reference) -> Estimate:
    (_, x), seconds = next(reference.test.batches()), []
    for _ in range(DRAWS + 1):
        synchronize(x.device)
        begun = time.perf_counter()
        model.logits(x)
        synchronize(x.device)
        seconds.append((time.perf_counter() - begun) / len(x))
    estimate = mean_of(
        "inference time",
        seconds[1:],
        unit="s",
        better="lower",
        kind="estimate",
        varies="repetitions",
        protocol=_machine(len(x), x.device),
    )
    return replace(estimate, low=max(estimate.low, 0.0))


def _machine(size: int, device: torch.device | str) -> dict[str, Any]:
    return {"batch size": size, "threads": torch.get_num_threads(), "device": str(device)}


def known_value(name: str, value: float, unit: str = "") -> Estimate:
    """Return an exactly known value, of which less is better."""
    return Estimate(
        name=name, value=value, low=value, high=value, unit=unit, kind="exact", varies="nothing", n=1, better="lower"
    )


def _pace(model: Samples, reference: Reference) -> Estimate:
    size, device, paces = min(reference.test.batch_size, len(reference.test.x)), reference.test.device, []
    for i in range(DRAWS + 1):
        random = generator(reference.seed, "pace", i, device=device)
        begun = time.perf_counter()
        x = model.sample(size, random)
        if x.is_cuda:
            torch.cuda.synchronize()
        paces.append(size / max(time.perf_counter() - begun, 1e-9))
    method = _machine(size, device)
    return mean_of(
        "samples per second", paces[1:], unit="1/s", better="higher", kind="estimate", varies="draws", method=method
    )
