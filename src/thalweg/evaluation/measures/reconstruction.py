"""Reconstruction errors of decode(encode(x)) in raw units, with pictures of reconstructions and interpolations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.abilities import Decodes, Encodes, HasLogProb, HasPrior
from thalweg.data.dataset import Spec
from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.figures import drawable
from thalweg.evaluation.estimates.findings import Findings
from thalweg.evaluation.estimates.intervals import mean_of
from thalweg.evaluation.examples import Examples, per_example
from thalweg.evaluation.reference import Reference
from thalweg.evaluation.subset import subset

__all__ = ["MEANINGS", "between", "reconstruction", "reconstruction_measures", "similarity"]

EXACT = 1e-3  # relative to the range of an image, or the columns' standard deviation: the float32 error of an inverse
PAIRS_SHOWN, ROWS, STEPS = 8, 4, 8  # reconstructions; interpolations and their steps

MEANINGS = {
    "squared error": "The mean squared difference between a value and its reconstruction, in squared raw units; 0 is "
    "perfect. It depends on the units: compare it only on one data set.",
    "PSNR": "The peak signal-to-noise ratio of reconstructions in dB, computed per image and then averaged; higher is "
    "better, and 6 dB more means half the error. It prefers blurred images to sharp details in the wrong place.",
    "SSIM": "The structural similarity of images and their reconstructions, computed per image and then averaged: it "
    "compares local means, contrasts and correlations in a sliding window. 1 is perfect. Small images have a smaller "
    "window.",
}


def reconstruction_measures(model: Decodes, reference: Reference) -> Findings:
    """Return the errors of `reconstruction` and `similarity` of a model with an encoder and a decoder, and pictures.

    A model with `log_prob` that reconstructs every example up to float32 rounding is invertible: it gets no errors and
    no pictures of reconstructions. Interpolations are between the codes of test examples or, without an encoder,
    between draws of the prior.
    """
    findings, spec, test = Findings(), reference.spec, reference.test
    if spec.kind == "image":
        findings.attempt("interpolations", lambda: _interpolations(model, reference))
    if not isinstance(model, Encodes):
        return findings
    encode, decode = model.encode, model.decode

    def rebuild(x: Tensor) -> Tensor:
        return decode(encode(x))

    peak = spec.levels - 1 if spec.kind == "image" and spec.levels else None
    errors = reconstruction(rebuild, test, peak=peak)
    if isinstance(model, HasLogProb) and _exact(errors[0], peak, spec):
        return findings
    findings.add(errors)
    if peak is not None:
        findings.attempt("SSIM", lambda: similarity(rebuild, test, peak=peak))
        few = subset(test, PAIRS_SHOWN)
        with few.noise("reconstruction", slice(0, PAIRS_SHOWN)):
            rebuilt = rebuild(torch.from_numpy(np.array(few.x[:])).to(test.device))
        pairs = np.stack([few.x[:], _shown(rebuilt, spec)], axis=1)
        findings.figures += drawable("reconstructions", pairs, spec, "pairs")
    return findings


def _exact(error: Estimate, peak: float | None, spec: Spec) -> bool:
    assert error.parts is not None
    scale = peak or (float(np.square(spec.std).mean()) ** 0.5 if spec.std else 1.0)
    return bool(error.parts.max() <= (EXACT * scale) ** 2)


def reconstruction(
    rebuild: Callable[[Tensor], Tensor], examples: Examples, *, peak: float | None = None
) -> list[Estimate]:
    """Return the squared error of `rebuild(x)` per value, in squared raw units, and with a `peak` the PSNR in dB.

    PSNR = 10 log₁₀(peak² / squared error) of each example, averaged over examples, never of the pooled error. It is
    infinite for an exact reconstruction. Nothing is clipped or rounded.

    Raises ValueError if `rebuild` changes the shape.

    >>> x = np.zeros((3, 1, 2, 2), dtype=np.uint8)
    >>> [str(e) for e in reconstruction(lambda x: x + 1.0, Examples(x), peak=10)]
    ['1', '20 dB']
    """

    def squared(x: Tensor) -> Tensor:
        return (_same_shape(rebuild(x), x) - x.double()).square().flatten(1).mean(dim=1)

    errors = per_example(examples, "reconstruction", squared)
    protocol, varies = examples.protocol, examples.varies
    findings = [mean_of("squared error", errors, unit="", better="lower", varies=varies, protocol=protocol)]
    if peak is not None:
        with np.errstate(divide="ignore"):
            decibels = 10 * np.log10(peak**2 / errors)
        protocol = {**protocol, "peak": peak}
        findings.append(mean_of("PSNR", decibels, unit="dB", better="higher", varies=varies, protocol=protocol))
    return findings


def similarity(rebuild: Callable[[Tensor], Tensor], examples: Examples, *, peak: float) -> Estimate:
    """Return the structural similarity of `rebuild(x)` and images x (B, C, H, W), per image and then averaged.

    The window is Gaussian, 11×11 with σ = 1.5; for smaller images the largest odd one that fits, with σ in proportion.
    The mean is over the windows that lie within the image, and over channels.

    Raises ValueError for images below 3×3, and if `rebuild` changes the shape.

    Reference: *Image quality assessment: from error visibility to structural similarity*, Z. Wang et al., 2004.
    """
    side = min(11, *np.shape(examples.x)[2:])
    side -= 1 - side % 2
    sigma = 1.5 * side / 11
    if side < 3:
        raise ValueError(f"SSIM: got images of {np.shape(examples.x)[2:]}, wanted at least 3×3 for a window")

    def ssim(x: Tensor) -> Tensor:
        from torchmetrics.functional.image import structural_similarity_index_measure

        rebuilt, edge = _same_shape(rebuild(x), x), side // 2
        settings: dict[str, Any] = {"sigma": sigma, "data_range": float(peak), "reduction": "none"}
        whole = structural_similarity_index_measure(rebuilt, x.double(), return_full_image=True, **settings)[1]
        return whole[..., edge : whole.shape[-2] - edge, edge : whole.shape[-1] - edge].flatten(1).mean(dim=1)

    values = per_example(examples, "reconstruction", ssim)
    protocol = {**examples.protocol, "peak": peak, "window": f"{side}×{side} Gaussian, σ = {sigma:.3g}"}
    return mean_of("SSIM", values, unit="", better="higher", varies=examples.varies, protocol=protocol)


def between(a: Tensor, b: Tensor, steps: int, *, spherical: bool) -> Tensor:
    """Return codes (n, steps, d) from `a` to `b` (n, d), both included, along straight lines or great circles.

    Spherical: (sin((1−t)ω) a + sin(tω) b) / sin ω, with ω the angle between them. Gaussian codes have norms near √d; a
    straight line between two of them passes closer to 0, a great circle does not. Codes without a prior are
    interpolated linearly.

    Reference: *Sampling generative networks*, T. White, 2016, arXiv:1609.04468.

    >>> between(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]]), 3, spherical=True).norm(dim=2).round().tolist()
    [[2.0, 2.0, 2.0]]
    """
    t = torch.linspace(0, 1, steps, dtype=a.dtype, device=a.device)[:, None]
    lines = (1 - t) * a[:, None] + t * b[:, None]
    if not spherical:
        return lines
    angle = torch.nn.functional.cosine_similarity(a, b, dim=1).clamp(-1, 1).acos()[:, None, None]
    arcs = (torch.sin((1 - t) * angle) * a[:, None] + torch.sin(t * angle) * b[:, None]) / torch.sin(angle)
    return torch.where(torch.sin(angle) > 1e-3, arcs, lines)  # on a line through 0 there is no unique great circle


def _interpolations(model: Decodes, reference: Reference) -> Findings:
    findings, test = Findings(), reference.test
    few = subset(test, 2 * ROWS)
    with few.noise("interpolations", slice(0, 2 * ROWS)):
        if isinstance(model, Encodes):
            codes = model.encode(torch.from_numpy(np.array(few.x[:])).to(test.device))
        elif isinstance(model, HasPrior):
            codes = model.prior.sample((2 * ROWS,))
        else:
            return findings
        rows = len(codes) // 2
        if rows < 1 or not codes.is_floating_point():
            raise ValueError(f"codes: got {len(codes)} of {codes.dtype}, wanted at least two of real numbers")
        flat, spherical = codes.flatten(1), isinstance(model, (HasPrior, HasLogProb))
        path = between(flat[:rows], flat[rows : 2 * rows], STEPS, spherical=spherical)
        x = _shown(model.decode(path.reshape(rows * STEPS, *codes.shape[1:])), reference.spec)
    paths = x.reshape(rows, STEPS, *reference.spec.shape)
    findings.figures += drawable("interpolations", paths, reference.spec, "paths")
    return findings


def _same_shape(rebuilt: Tensor, x: Tensor) -> Tensor:
    if rebuilt.shape != x.shape:
        raise ValueError(f"decode: got shape {tuple(rebuilt.shape)}, wanted that of the examples, {tuple(x.shape)}")
    return rebuilt.double()


def _shown(x: Tensor, spec: Spec) -> np.ndarray[Any, Any]:
    """Return images as raw integer levels."""
    levels = spec.levels or 256
    rounded = x.detach().nan_to_num().round().clamp(0, levels - 1).cpu().numpy()
    return rounded.astype(np.uint8 if levels <= 256 else np.int64)
