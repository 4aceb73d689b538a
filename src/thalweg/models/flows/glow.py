"""Glow: steps of ActNorm, an invertible linear map of the channels and an affine coupling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from thalweg.checks import positive
from thalweg.models.flows.multiscale import MultiScale, number_of_scales
from thalweg.models.flows.transformed import TransformedFlow
from thalweg.nn.actnorm import ActNorm
from thalweg.nn.coupling_networks import DenseNetwork, PlainNetwork
from thalweg.nn.image_coupling import ChannelCoupling
from thalweg.nn.invertible_linear import InvertibleLinear
from thalweg.nn.squeeze import Squeeze
from thalweg.nn.transform import Composed, Transform

__all__ = ["Glow", "ImageGlow"]

SMALLEST = 2  # smallest side of the last scale, by default


class Glow(TransformedFlow):
    """Glow on flattened data: steps of ActNorm, a linear map in LU form and an affine coupling of the two halves.

    Vectors have no scales. The first forward pass in training initializes the ActNorm layers.

    Args:
        shape: of one raw example, of at least two values.
        layers: number of steps.
        hidden: width of the hidden layers of a coupling's network.
        depth: number of hidden layers of a coupling's network.
        context: number of context values that the flow is conditioned on; 0: none.
        settings: how raw data are mapped to R^d, see `Flow`.

    Reference: *Glow: Generative Flow with Invertible 1×1 Convolutions*, Diederik P. Kingma, Prafulla Dhariwal, 2018,
    arXiv:1807.03039.

    >>> flow = Glow((3,), mean=[0.0] * 3, std=[1.0] * 3, hidden=8)
    >>> flow.log_prob(flow.sample(4)).shape
    torch.Size([4])
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        layers: int = 8,
        hidden: int = 64,
        depth: int = 2,
        context: int = 0,
        **settings: Any,
    ) -> None:
        size = math.prod(shape)
        if size < 2:
            raise ValueError(f"shape: got {tuple(shape)} of {size} value, wanted at least 2 (a coupling has two parts)")
        network = partial(DenseNetwork, hidden=hidden, depth=depth, context=context)
        super().__init__(shape, Composed(*_steps(size, layers, network)), context=context, **settings)


class ImageGlow(TransformedFlow):
    """Glow on images.

    Each scale is a squeeze to 4C×H/2×W/2 and steps of ActNorm, an invertible 1×1 convolution and an
    affine coupling of the two halves of the channels; then half of the channels are split off.

    The channels that are split off have a learned prior, as in the paper: a mean and a scale computed from the
    remaining channels. Here it is one more coupling of the scale, so that all of z follows the base distribution, and a
    temperature is one factor on z. The scales of couplings are bounded by a learned multiple of tanh, as in Real NVP.
    The first forward pass in training initializes the ActNorm layers.

    Args:
        shape: of one raw example, (C, H, W), of even sides.
        scales: number of scales; by default up to 3, as long as sides are even and no side ends up below 2.
        layers: number of steps per scale.
        hidden: channels of the couplings' networks.
        context: number of context values that the flow is conditioned on; 0: none.
        settings: how raw data are mapped to R^d, see `Flow`.

    Raises ValueError where the sides of the image cannot be halved that often.

    Reference: *Glow: Generative Flow with Invertible 1×1 Convolutions*, Diederik P. Kingma, Prafulla Dhariwal, 2018,
    arXiv:1807.03039.

    >>> flow = ImageGlow((3, 32, 32), layers=1, hidden=8, levels=256)
    >>> flow.transform.parts
    [(6, 16, 16), (12, 8, 8), (48, 4, 4)]
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        scales: int | None = None,
        layers: int = 8,
        hidden: int = 64,
        context: int = 0,
        **settings: Any,
    ) -> None:
        channels, height, width = shape
        scales = number_of_scales(scales, height, width, min_side=SMALLEST)
        network = partial(PlainNetwork, hidden=hidden, context=context)
        transforms, outputs = [], []
        for k in range(scales):
            channels, height, width = 4 * channels, height // 2, width // 2
            level = [Squeeze(), *_steps(channels, layers, network)]
            outputs.append((channels, height, width))
            if k < scales - 1:
                channels //= 2
                level.append(ChannelCoupling(channels, channels, network(channels, 2 * channels)))  # the prior
            transforms.append(Composed(*level))
        super().__init__(shape, MultiScale(shape, transforms, outputs), context=context, **settings)


def _steps(channels: int, count: int, network: Any) -> list[Transform]:
    kept, moved = channels // 2, channels - channels // 2
    transforms: list[Transform] = []
    for _ in range(positive("layers", count)):
        coupling = ChannelCoupling(kept, moved, network(kept, 2 * moved))
        transforms.append(Composed(ActNorm(channels), InvertibleLinear(channels), coupling))
    return transforms
