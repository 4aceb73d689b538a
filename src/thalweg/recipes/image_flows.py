"""Recipes of flows with a dense form for vectors and a multi-scale, convolutional form for images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from thalweg.checks import choice
from thalweg.recipes.flows import FlowOptions, chosen, fitted, flow_settings

if TYPE_CHECKING:
    from thalweg.data import Spec
    from thalweg.training.run import Run

__all__ = ["glow", "real_nvp"]

MAX_SMALL_SIZE, MAX_MEDIUM_SIZE = 256, 1024  # number of values of an image


def real_nvp(
    spec: Spec,
    *,
    architecture: Literal["auto", "dense", "multi-scale"] = "auto",
    layers: int | None = None,
    scales: int | None = None,
    last_scale: Literal["paper", "lecture"] = "lecture",
    batch_norm: bool = False,
    hidden: int | None = None,
    depth: int | None = None,
    common: FlowOptions = FlowOptions(alpha=1e-6),
) -> Run:
    """Real NVP: affine couplings, by maximum likelihood; convolutional on images.

    Args:
        architecture: multi-scale is convolutional; dense flattens images; auto is multi-scale for images of even sides
        layers: number of coupling layers; by default 24 for vectors of two values, otherwise 12 (dense)
        scales: number of scales; half of the values are split off after each but the last; by default up to 3
            (multi-scale)
        last_scale: lecture: like the other scales; paper: four checkerboard couplings without a squeeze (multi-scale)
        batch_norm: batch normalization after every coupling (multi-scale)
        hidden: units or channels of a hidden layer of a coupling's network; by default 32 for vectors of two values,
            otherwise 64 (dense); 32 or, above 1024 values, 64 (multi-scale)
        depth: hidden layers (dense) or residual blocks (multi-scale) of a coupling's network; by default 2 or 1

    Reference: *Density estimation using Real NVP*, Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio, 2017,
    arXiv:1605.08803.
    """
    from thalweg.models.flows.real_nvp import ImageRealNVP, RealNVP

    settings = flow_settings("real-nvp", spec, common, min_size=2)
    if dense("real-nvp", spec, architecture):
        if batch_norm:
            raise ValueError("batch_norm: got True of the dense architecture, wanted multi-scale")
        plane = spec.size == 2
        layers, hidden, depth = (
            chosen(layers, 24 if plane else 12),
            chosen(hidden, 32 if plane else 64),
            chosen(depth, 2),
        )
        return fitted(RealNVP(spec.shape, layers=layers, hidden=hidden, depth=depth, **settings), steps=20_000)
    flow = ImageRealNVP(
        spec.shape,
        scales=scales,
        last_scale=last_scale,
        batch_norm=batch_norm,
        hidden=chosen(hidden, 32 if spec.size <= MAX_MEDIUM_SIZE else 64),
        depth=chosen(depth, 1),
        **settings,
    )
    return fitted(flow, lr=3e-3, **budget(spec, small=4000, large=12_000))


def glow(
    spec: Spec,
    *,
    architecture: Literal["auto", "dense", "multi-scale"] = "auto",
    scales: int | None = None,
    layers: int = 8,
    hidden: int | None = None,
    depth: int = 2,
    common: FlowOptions = FlowOptions(alpha=1e-6),
) -> Run:
    """Glow: invertible 1×1 convolutions and affine couplings, by maximum likelihood.

    Args:
        architecture: multi-scale is convolutional; dense flattens images; auto is multi-scale for images of even sides
        scales: number of scales; half of the values are split off after each but the last; by default up to 3
            (multi-scale)
        layers: number of steps, each ActNorm, linear map and coupling; per scale (multi-scale)
        hidden: units or channels of a hidden layer of a coupling's network; by default 64 or, for images above
            1024 values, 128
        depth: hidden layers of a coupling's network (dense)

    Reference: *Glow: Generative Flow with Invertible 1×1 Convolutions*, Diederik P. Kingma, Prafulla Dhariwal, 2018,
    arXiv:1807.03039.
    """
    from thalweg.models.flows.glow import Glow, ImageGlow

    settings = flow_settings("glow", spec, common, min_size=2)
    if dense("glow", spec, architecture):
        return fitted(Glow(spec.shape, layers=layers, hidden=chosen(hidden, 64), depth=depth, **settings))
    hidden = chosen(hidden, 64 if spec.size <= MAX_MEDIUM_SIZE else 128)
    flow = ImageGlow(spec.shape, scales=scales, layers=layers, hidden=hidden, **settings)
    return fitted(flow, **budget(spec, small=2000, large=8000))


def budget(spec: Spec, *, small: int, large: int) -> dict[str, int]:
    """Return the training settings for small or large images; the training takes minutes on one core."""
    if spec.size <= MAX_SMALL_SIZE:
        return {"steps": small, "batch_size": 256}
    return {"steps": large, "batch_size": 64, "validate_every": 1000}


def dense(name: str, spec: Spec, architecture: str) -> bool:
    """Return whether to build the dense form: by default for vectors and for images with a side of odd length."""
    choice("architecture", architecture, ("auto", "dense", "multi-scale"))
    if architecture == "auto":
        return spec.kind != "image" or any(side % 2 for side in spec.shape[1:])
    if architecture == "multi-scale" and spec.kind != "image":
        raise ValueError(f"{name}: got data '{spec.name}' of vectors, wanted images for the multi-scale architecture")
    return architecture == "dense"
