"""What a model costs: its parameters, and how fast it draws samples."""

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
    "parameters": "How many numbers were trained; of a baseline, fitted.",
    "samples a second": "How fast the model draws, in batches, on this machine at this moment: compare within a table.",
    "training time": "Seconds of training, without what came before and after; early stopping may leave some unused.",
    "training steps": "Rounds of the update that the budget allowed.",
    "peak memory": "Most memory the training process held: of the GPU where it trained there, else all of it resident.",
}
DRAWS = 5


def cost_measures(model: object, reference: Reference) -> Findings:
    """Return the number of parameters and the samples a second, the mean of 5 batches after one to warm up."""
    findings = Findings()
    if isinstance(model, nn.Module):
        count = sum(p.numel() for p in model.parameters())
        findings.add([known_value("parameters", count)] if count else [])
        if isinstance(model, Samples):
            findings.attempt("samples a second", lambda: _pace(model, reference))
    return findings


def known_value(name: str, value: float, unit: str = "") -> Estimate:
    """Return a number that is known, of which less is better."""
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
        "samples a second", paces[1:], unit="1/s", better="higher", kind="estimate", varies="draws", method=method
    )
