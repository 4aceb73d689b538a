"""Convolution and pooling by the sums that define them, and the calculators of sizes and parameters.

These are slow, and are to be read and to test against; networks use torch's layers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["convolution", "convolution_matrix", "output_size", "parameters", "pooling"]


def output_size(
    n: int, kernel: int, stride: int = 1, padding: int = 0, *, ceil: bool = False, exact: bool = False
) -> int:
    """Return ⌊(n + 2·padding − kernel)/stride⌋ + 1, the side of the output of a convolution or pooling.

    With `ceil` the quotient is rounded up, unless the last window would begin beyond the image and its padding on the
    left.

    Raises ValueError if the kernel is larger than the padded side and, with `exact`, if the windows do not end with the
    padded side.

    >>> [output_size(7, 5), output_size(7, 5, padding=2), output_size(7, 3, 2), output_size(32, 3, 2, ceil=True)]
    [3, 7, 3, 16]
    """
    free = n + 2 * padding - kernel
    if free < 0:
        raise ValueError(
            f"kernel: got {kernel} for a side of {n} with padding {padding}, wanted at most {n + 2 * padding}"
        )
    if exact and free % stride:
        raise ValueError(
            f"stride: got {stride} for a side of {n}, kernel {kernel} and padding {padding}, which give"
            f" {free / stride + 1:.4g} windows; wanted a stride that divides {free}"
        )
    size = (math.ceil(free / stride) if ceil else free // stride) + 1
    return size - 1 if ceil and (size - 1) * stride >= n + padding else size


def parameters(c_in: int, c_out: int, kernel: int | Sequence[int], *, groups: int = 1, bias: bool = True) -> int:
    """Return the number of parameters of a convolution, C_out·(C_in/groups·Π k + 1).

    >>> parameters(192, 96, (1, 1))
    18528
    """
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    if c_in % groups or c_out % groups:
        raise ValueError(f"groups: got {groups}, wanted a divisor of {c_in} and {c_out}")
    return c_out * (c_in // groups * math.prod(kernel) + bias)


def convolution(
    x: Float[Tensor, "B C *size"],
    weight: Float[Tensor, "K C *kernel"],
    bias: Float[Tensor, " K"] | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
) -> Tensor:
    """Return Y_{b,k,i} = Σ_c Σ_a W_{k,c,a} X_{b,c,s·i+a} + b_k, in one, two or three dimensions.

    i and a are indices of all dimensions, s is the stride, and X has `padding` zeros on all sides. The kernel is not
    flipped: this is the cross-correlation that all libraries call a convolution.

    Raises ValueError for a kernel larger than the padded input.

    >>> convolution(torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[[1.0, 10.0]]])).tolist()
    [[[21.0, 32.0]]]
    """
    x = _padded(x, padding, 0.0)
    sides, kernel = x.shape[2:], weight.shape[2:]
    size = [output_size(n, k, stride) for n, k in zip(sides, kernel, strict=True)]
    y = x.new_zeros(len(x), len(weight), *size)
    for place in _places(size):
        window = x[(..., *_window(place, kernel, stride))]
        y[(..., *place)] = torch.einsum("bcn,kcn->bk", window.flatten(2), weight.flatten(2))
    return y if bias is None else y + bias.view(-1, *(1 for _ in size))


def pooling(
    x: Float[Tensor, "B C *size"],
    kernel: int,
    *,
    stride: int = 0,
    padding: int = 0,
    average: bool = False,
    ceil: bool = False,
) -> Tensor:
    """Return the maximum, or the mean, of every window of each channel; the stride is by default the kernel's side.

    The mean counts the zeros of the padding, but not what a rounded-up size (`ceil`) adds beyond it.

    >>> pooling(torch.tensor([[[1.0, 5.0, 2.0, 4.0]]]), 2).tolist()
    [[[5.0, 4.0]]]
    """
    stride = stride or kernel
    size = [output_size(n, kernel, stride, padding, ceil=ceil) for n in x.shape[2:]]
    x = _padded(x, padding, 0.0 if average else -torch.inf)
    y = x.new_zeros(*x.shape[:2], *size)
    for place in _places(size):
        window = x[(..., *_window(place, [kernel] * len(size), stride))].flatten(2)
        y[(..., *place)] = window.mean(2) if average else window.amax(2)
    return y


def convolution_matrix(weight: Float[Tensor, " k"], n: int) -> Tensor:
    """Return the banded matrix A (n − k + 1, n) with A x = the convolution of x with one kernel: A_{i,i+a} = w_a.

    All rows hold the same weights, shifted: it is a Toeplitz matrix.

    >>> convolution_matrix(torch.tensor([1.0, 2.0]), 3).tolist()
    [[1.0, 2.0, 0.0], [0.0, 1.0, 2.0]]
    """
    rows = output_size(n, len(weight))
    matrix = weight.new_zeros(rows, n)
    for i in range(rows):
        matrix[i, i : i + len(weight)] = weight
    return matrix


def _padded(x: Tensor, padding: int, value: float) -> Tensor:
    return torch.nn.functional.pad(x, (padding, padding) * (x.ndim - 2), value=value)


def _places(size: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    return product(*(range(n) for n in size))


def _window(place: Sequence[int], kernel: Sequence[int], stride: int) -> tuple[Any, ...]:
    return tuple(slice(stride * i, stride * i + k) for i, k in zip(place, kernel, strict=True))
