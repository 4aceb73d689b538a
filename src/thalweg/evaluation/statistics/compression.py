"""Rate and distortion of latent codes that are quantized, entropy-coded to bytes, and decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from thalweg.checks import positive
from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.intervals import mean_of
from thalweg.evaluation.statistics.entropy_coding import pack, unpack

__all__ = ["Point", "curve", "distortion", "point", "quantize"]


class Point(NamedTuple):
    """A point of a rate-distortion curve: the setting of the coder (step or quality), the number of bytes, and
    estimates.

    `rate` is in bits/pixel (all channels together), `error` the mean squared error per value in squared raw units,
    `psnr` in dB, per image and then averaged. `parts` is the number of bytes by purpose.
    """

    setting: float
    total: int
    rate: Estimate
    error: Estimate
    psnr: Estimate
    parts: dict[str, int]


def quantize(z: NDArray[Any], step: float) -> NDArray[np.int64]:
    """Return round(z / Δ), with Δ the `step` as float32; the reconstruction is Δ times that.

    >>> quantize(np.array([0.26, -1.0]), 0.5).tolist()
    [1, -2]
    """
    positive("step", step)
    return np.rint(np.asarray(z, dtype=np.float64) / np.float32(step)).astype(np.int64)


def curve(
    codes: NDArray[Any],
    decode: Callable[[NDArray[np.float64]], NDArray[Any]],
    images: NDArray[Any],
    steps: list[float],
    *,
    peak: float,
    varies: str = "test examples",
    protocol: Mapping[str, Any] | None = None,
) -> list[Point]:
    """Return a point for each step Δ: codes (N, d) are quantized, packed, unpacked, decoded and compared with the
    images.

    `decode(z)` returns images (N, C, H, W) in raw units, which are clipped to [0, peak] and not rounded. The network's
    weights, which the receiver already has, are not counted; everything else is. The interval of a rate is Student's
    over the bits of each image's own values.

    Raises ValueError if a step is too small, AssertionError if the bytes do not reproduce the codes.
    """
    points = []
    for step in steps:
        symbols = quantize(codes, step)
        data, parts = pack(symbols, step)
        back, width = unpack(data)
        assert np.array_equal(back, symbols), "the bytes do not give the codes back"
        assert width == np.float32(step)
        own = np.zeros(len(symbols))
        for column in symbols.T:
            _, place, counts = np.unique(column, return_inverse=True, return_counts=True)
            own -= np.log2(counts[place] / len(column))
        decoded = decode(back.astype(np.float64) * float(width))
        shared: dict[str, Any] = {"varies": varies, "protocol": protocol or {}}
        points.append(point(step, len(data), own, images, decoded, parts, peak=peak, **shared))
    return points


def point(
    setting: float,
    total: int,
    own: NDArray[np.float64],
    images: NDArray[Any],
    decoded: NDArray[Any],
    parts: dict[str, int],
    *,
    peak: float,
    varies: str,
    protocol: Mapping[str, Any] | None,
) -> Point:
    """Return a point with `total` bytes, of which the `own` bits (N,) vary by image and the rest is shared equally."""
    pixels = images.shape[2] * images.shape[3]
    bits = own + (8 * total - own.sum()) / len(own)
    shared: dict[str, Any] = {"varies": varies, "protocol": protocol}
    rate = mean_of("rate", bits / pixels, unit="bits/pixel", better="lower", **shared)
    error, psnr = distortion(images, decoded, peak=peak, **shared)
    return Point(setting, total, rate, error, psnr, parts)


def distortion(
    images: NDArray[Any],
    decoded: NDArray[Any],
    *,
    peak: float,
    varies: str = "test examples",
    protocol: Mapping[str, Any] | None = None,
) -> tuple[Estimate, Estimate]:
    """Return the mean squared error per value, and the PSNR in dB per image, averaged; reconstructions are clipped to
    [0, peak].

    PSNR = 10 log₁₀(peak² / squared error) of each image; it is infinite, and so is the mean, if one image is exact.

    >>> x = np.zeros((3, 1, 2, 2), dtype=np.uint8)
    >>> [str(e) for e in distortion(x, x + 1.0, peak=10)]
    ['1', '20 dB']
    """
    apart = np.clip(np.asarray(decoded, dtype=np.float64), 0, peak) - images
    errors = np.square(apart).reshape(len(images), -1).mean(axis=1)
    with np.errstate(divide="ignore"):
        decibels = 10 * np.log10(peak**2 / errors)
    protocol = {**(protocol or {}), "peak": peak}
    return (
        mean_of("squared error", errors, unit="", better="lower", varies=varies, protocol=protocol),
        mean_of("PSNR", decibels, unit="dB", better="higher", varies=varies, protocol=protocol),
    )
