"""The cost of a model: its parameters, and its sampling speed."""

from __future__ import annotations

import time

import torch
from torch import nn

from thalweg.abilities import Samples
from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.findings import Findings
from thalweg.evaluation.estimates.intervals import mean_of
from thalweg.evaluation.reference import Reference
from thalweg.randomness import generator

__all__ = ["MEANINGS", "cost_measures", "known_value"]

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
    method = {"batch size": size, "threads": torch.get_num_threads(), "device": str(device)}
    return mean_of(
        "samples per second", paces[1:], unit="1/s", better="higher", kind="estimate", varies="draws", method=method
    )
