"""The accuracy of classifiers of images under noise, shift and blur of increasing severity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from thalweg.abilities import Classifies
from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.figures import Axis, Curve
from thalweg.evaluation.estimates.findings import Findings
from thalweg.evaluation.estimates.intervals import mean_of, rate
from thalweg.evaluation.examples import Examples
from thalweg.evaluation.measures.classification import answers
from thalweg.evaluation.reference import Reference
from thalweg.evaluation.subset import subset
from thalweg.randomness import generator

__all__ = ["CORRUPTIONS", "MEANINGS", "Corruption", "blurred", "corrupted", "noisy", "robustness_measures", "shifted"]

MAX_EXAMPLES = 1000  # each is classified 16 times
TRUNCATE = 4  # of the Gaussian kernel, in standard deviations
WAYS = ((-1, 0), (1, 0), (0, -1), (0, 1))  # up, down, left, right
Array = np.ndarray[Any, Any]

MEANINGS = {
    "accuracy under noise": "The mean accuracy on images with Gaussian noise of five standard deviations, from 5 to 30 "
    "% of the range of levels.",
    "accuracy under shift": "The mean accuracy on images shifted by 1 to 5 pixels, up, down, left or right; the border "
    "is filled with level 0. Of small images, little may remain.",
    "accuracy under blur": "The mean accuracy on images convolved with Gaussian kernels of five standard deviations, "
    "from 0.5 to 3 pixels. It depends on the resolution of the images.",
}


class Corruption(NamedTuple):
    """A change of images: its name, the label and values of its severities, and the change itself."""

    name: str
    label: str
    severities: tuple[float, ...]
    change: Callable[[Tensor, float, int, torch.Generator], Tensor]


def noisy(x: Tensor, std: float, levels: int, random: torch.Generator) -> Tensor:
    """Return images (B, C, H, W) plus Gaussian noise with the standard deviation `std` · (levels − 1)."""
    return x + std * (levels - 1) * torch.randn(x.shape, generator=random).to(x.device)


def shifted(x: Tensor, pixels: int, directions: Tensor) -> Tensor:
    """Return images (B, C, H, W) shifted by `pixels`, with zeros at the border.

    The `directions` (B,) are 0 up, 1 down, 2 left, 3 right.

    >>> shifted(torch.tensor([[[[1, 2, 3]]]]), 1, torch.tensor([2])).tolist()
    [[[[2, 3, 0]]]]
    """
    height, width = x.shape[-2:]
    bordered, result = F.pad(x, (pixels,) * 4), torch.empty_like(x)
    for k, (down, right) in enumerate(WAYS):
        chosen, top, left = directions == k, pixels - pixels * down, pixels - pixels * right
        result[chosen] = bordered[chosen, :, top : top + height, left : left + width]
    return result


def blurred(x: Tensor, sigma: float) -> Tensor:
    """Return images (B, C, H, W), float, convolved with a Gaussian kernel of standard deviation `sigma` in pixels.

    The kernel is cut off at 4σ and normalized; the border's pixels are continued outside.
    """
    radius = int(TRUNCATE * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    for axis in (2, 3):  # sums, since convolutions on accelerators round more than the levels allow
        size, sides = x.shape[axis], (0, 0, radius, radius) if axis == 2 else (radius, radius, 0, 0)
        bordered, x = F.pad(x, sides, mode="replicate"), torch.zeros_like(x)
        for k, weight in enumerate(weights.tolist()):
            x.add_(bordered.narrow(axis, k, size), alpha=weight)
    return x


def _shift(x: Tensor, pixels: float, levels: int, random: torch.Generator) -> Tensor:
    return shifted(x, int(pixels), torch.randint(len(WAYS), (len(x),), generator=random).to(x.device))


def _blur(x: Tensor, sigma: float, levels: int, random: torch.Generator) -> Tensor:
    return blurred(x, sigma)


CORRUPTIONS = (
    Corruption("noise", "standard deviation of the noise / range of levels", (0.05, 0.1, 0.15, 0.2, 0.3), noisy),
    Corruption("shift", "shift in pixels", (1, 2, 3, 4, 5), _shift),
    Corruption("blur", "standard deviation of the kernel in pixels", (0.5, 1, 1.5, 2, 3), _blur),
)


def corrupted(x: Tensor, corruption: Corruption, severity: float, levels: int, random: torch.Generator) -> Tensor:
    """Return raw images of the same type, clipped to 0..levels−1 and rounded; unchanged where `severity` is 0.

    >>> corrupted(torch.full((1, 1, 2, 2), 7), CORRUPTIONS[2], 0.5, 8, generator(0, "blur")).unique().tolist()
    [7]
    """
    if not severity:
        return x
    return corruption.change(x.float(), severity, levels, random).clamp(0, levels - 1).round().to(x.dtype)


def robustness_measures(model: Classifies, reference: Reference) -> Findings:
    """Return the accuracy under each corruption, averaged over its severities, with curves over the severities.

    They are of at most 1,000 examples, chosen by the seed. The draws are the same for all severities. The interval is
    Student's of the examples' means; Wilson's where all of them are equal.
    """
    spec, test = reference.spec, reference.test
    if test.y is None or spec.kind != "image" or spec.levels is None:
        return Findings()
    few = subset(test, MAX_EXAMPLES)
    correct = partial(_correct, model.logits, few, spec.levels, len(spec.classes) if spec.classes else None)
    findings = Findings()
    clean = correct(CORRUPTIONS[0], 0)
    for corruption in CORRUPTIONS:
        name = f"accuracy under {corruption.name}"
        findings.attempt(name, partial(_measured, name, corruption, clean, correct, few))
    return findings


def _correct(
    logits: Callable[[Tensor], Tensor],
    examples: Examples,
    levels: int,
    classes: int | None,
    corruption: Corruption,
    severity: float,
) -> Array:
    """Return whether each corrupted example is classified correctly, (N,)."""
    random = generator(examples.seed, corruption.name)
    got = answers(lambda x: logits(corrupted(x, corruption, severity, levels, random)), examples, classes)
    return np.asarray(got.rank < 1)


def _measured(
    name: str, corruption: Corruption, clean: Array, correct: Callable[[Corruption, float], Array], examples: Examples
) -> Findings:
    hits = np.stack([correct(corruption, severity) for severity in corruption.severities])
    protocol = {**examples.protocol, "severities": list(corruption.severities), "severity": corruption.label}
    rates = [rate(name, int(row.sum()), len(row)) for row in (clean, *hits)]
    curve = Curve(
        section="robustness",
        panel=name,
        x_axis=Axis(label=corruption.label),
        y_axis=Axis(label="accuracy, %"),
        x=[0.0, *map(float, corruption.severities)],
        y=[r.value for r in rates],
        low=[r.low for r in rates],
        high=[r.high for r in rates],
        sizes=[1.0] * len(rates),
    )
    return Findings([_mean(name, hits, varies=examples.varies, protocol=protocol)], figures=[curve])


def _mean(name: str, hits: Array, **fields: Any) -> Estimate:
    """Return the mean of `hits` (severities, N) in %, with an interval over the examples."""
    estimate = mean_of(name, 100.0 * hits.mean(axis=0), unit="%", better="higher", **fields)
    low, high, method = max(estimate.low, 0.0), min(estimate.high, 100.0), estimate.method
    if low == high:
        wilson = rate(name, round(hits.mean() * hits.shape[1]), hits.shape[1])
        low, high, method = min(wilson.low, low), max(wilson.high, high), wilson.method
    return replace(estimate, low=low, high=high, method=method)
