"""Space to depth and back: the change of resolution in flows on images."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from thalweg.nn.transform import Transform, TransformOutput

__all__ = ["Squeeze", "checkerboard", "squeeze", "unsqueeze"]


def squeeze(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B 4*C H//2 W//2"]:
    """Stack the four pixels of every 2×2 block along the channels: all channels of the first pixel, of the second, ...

    >>> squeeze(torch.arange(4.0).reshape(1, 1, 2, 2)).flatten().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    b, c, h, w = x.shape
    blocks = x.reshape(b, c, h // 2, 2, w // 2, 2)
    return blocks.permute(0, 3, 5, 1, 2, 4).reshape(b, 4 * c, h // 2, w // 2)


def unsqueeze(x: Float[Tensor, "B K h w"]) -> Float[Tensor, "B K//4 2*h 2*w"]:
    """Invert `squeeze`."""
    b, c, h, w = x.shape
    blocks = x.reshape(b, 2, 2, c // 4, h, w)
    return blocks.permute(0, 3, 4, 1, 5, 2).reshape(b, c // 4, 2 * h, 2 * w)


class Squeeze(Transform):
    """`squeeze` as a transform with log-determinant 0: it only permutes values.

    Reference: *Density estimation using Real NVP*, Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio, 2017, section 3.6,
    arXiv:1605.08803.

    >>> Squeeze()(torch.zeros(5, 3, 8, 6)).value.shape
    torch.Size([5, 12, 4, 3])
    """

    def forward(self, x: Float[Tensor, "B C H W"], context: Tensor | None = None) -> TransformOutput:
        """Return the squeezed image, and zeros."""
        return TransformOutput(squeeze(x), x.new_zeros(len(x)))

    def inverse(self, z: Float[Tensor, "B K h w"], context: Tensor | None = None) -> TransformOutput:
        """Return the image, and zeros."""
        return TransformOutput(unsqueeze(z), z.new_zeros(len(z)))


def checkerboard(height: int, width: int) -> Float[Tensor, "1 H W"]:
    """Return ones where row + column is even, zeros elsewhere.

    >>> checkerboard(2, 3).tolist()
    [[[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]]
    """
    places = torch.arange(height)[:, None] + torch.arange(width)
    return (places % 2 == 0).float()[None]
