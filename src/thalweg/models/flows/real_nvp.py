"""Real NVP: affine couplings of vectors, and multi-scale convolutional couplings of images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

from torch import nn

from thalweg.checks import choice
from thalweg.models.flows.multiscale import MultiScale, number_of_scales
from thalweg.models.flows.transformed import TransformedFlow
from thalweg.nn.coupling import Coupling, Couplings
from thalweg.nn.coupling_networks import ResidualNetwork
from thalweg.nn.elementwise import AffineMap
from thalweg.nn.flow_batch_norm import FlowBatchNorm
from thalweg.nn.image_coupling import ChannelCoupling, CheckerboardCoupling
from thalweg.nn.squeeze import Squeeze
from thalweg.nn.transform import Composed, Transform

__all__ = ["ImageRealNVP", "RealNVP"]

SMALLEST = 4  # smallest side of the last scale, by default
Shape = tuple[int, int, int]


class RealNVP(TransformedFlow):
    """Real NVP on flattened data: `layers` affine couplings of alternating parts, see `Couplings`.

    Args:
        shape: of one raw example, of at least two values.
        layers: number of couplings.
        hidden: width of the hidden layers of a coupling's network.
        depth: number of hidden layers of a coupling's network.
        context: number of context values that the flow is conditioned on; 0: none.
        settings: how raw data are mapped to R^d, see `Flow`.

    Reference: *Density estimation using Real NVP*, Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio, 2017,
    arXiv:1605.08803.

    >>> import torch
    >>> flow = RealNVP((3,), mean=[0.0] * 3, std=[1.0] * 3, hidden=8)
    >>> flow.log_prob(flow.sample(4)).shape
    torch.Size([4])
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        layers: int = 10,
        hidden: int = 128,
        depth: int = 2,
        context: int = 0,
        **settings: Any,
    ) -> None:

        def coupling(kept: int, moved: int) -> Coupling:
            return Coupling(kept, moved, AffineMap(moved), hidden=hidden, depth=depth, context=context)

        super().__init__(shape, Couplings(math.prod(shape), layers, coupling), context=context, **settings)


class ImageRealNVP(TransformedFlow):
    """Real NVP on images.

    Each scale is three checkerboard couplings, a squeeze to 4C×H/2×W/2 and three channel
    couplings; then half of the channels are split off. The last scale is like the others ("lecture"), or four
    checkerboard couplings without a squeeze, as in the paper ("paper").

    The networks of s and t are residual, without the paper's batch normalization inside, so that training and
    evaluation agree. For images of even sides, those of the checkerboard couplings process blocks of 2×2 pixels.

    Args:
        shape: of one raw example, (C, H, W).
        scales: number of scales; by default up to 3, as long as sides are even and no side is below 4 after the last
            squeeze.
        last_scale: "lecture" or "paper".
        hidden: channels of the networks.
        depth: residual blocks of each network.
        batch_norm: batch normalization after every coupling, see `FlowBatchNorm`.
        context: number of context values that the flow is conditioned on; 0: none.
        settings: how raw data are mapped to R^d, see `Flow`.

    Raises ValueError where the sides of the image cannot be halved that often.

    Reference: *Density estimation using Real NVP*, Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio, 2017,
    arXiv:1605.08803.

    >>> flow = ImageRealNVP((3, 32, 32), hidden=8, levels=256)
    >>> flow.transform.parts
    [(6, 16, 16), (12, 8, 8), (48, 4, 4)]
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        scales: int | None = None,
        last_scale: Literal["paper", "lecture"] = "lecture",
        hidden: int = 32,
        depth: int = 1,
        batch_norm: bool = False,
        context: int = 0,
        **settings: Any,
    ) -> None:
        couplings = partial(_couplings, hidden=hidden, depth=depth, context=context, batch_norm=batch_norm)
        transform = _scales(shape, scales, last_scale, couplings)
        super().__init__(shape, transform, context=context, **settings)


def _scales(
    shape: Sequence[int], scales: int | None, last_scale: str, couplings: Callable[..., list[Transform]]
) -> MultiScale:
    channels, height, width = shape
    spared = int(choice("last_scale", last_scale, ("paper", "lecture")) == "paper")  # the last scale's squeeze
    scales = number_of_scales(scales, height, width, min_side=SMALLEST, unsqueezed=spared)
    transforms, outputs = [], []
    for k in range(scales):
        at = (channels, height, width)
        if k == scales - 1 and spared:
            transforms.append(Composed(*couplings(at, 4, checkered=True)))
        else:
            first, at = couplings(at, 3, checkered=True), (4 * channels, height // 2, width // 2)
            transforms.append(Composed(*first, Squeeze(), *couplings(at, 3, checkered=False)))
        outputs.append(at)
        channels, height, width = at[0] // 2, at[1], at[2]
    return MultiScale(shape, transforms, outputs)


def _couplings(
    shape: Shape, count: int, *, checkered: bool, hidden: int, depth: int, context: int, batch_norm: bool
) -> list[Transform]:
    """Return couplings of alternating parts, each followed by batch normalization if `batch_norm`."""
    channels, height, width = shape
    network = partial(ResidualNetwork, hidden=hidden, depth=depth, context=context)
    transforms: list[Transform] = []
    for k in range(count):
        if checkered:
            shrink = height % 2 == 0 and width % 2 == 0
            reader: nn.Module = network(channels, 2 * channels, shrink=shrink)
            coupling: Transform = CheckerboardCoupling(shape, reader, odd=k % 2 == 1)
        else:
            kept = channels // 2  # the number of channels is a multiple of four
            coupling = ChannelCoupling(kept, kept, network(kept, 2 * kept), swap=k % 2 == 1)
        transforms.append(Composed(coupling, FlowBatchNorm(channels)) if batch_norm else coupling)
    return transforms
