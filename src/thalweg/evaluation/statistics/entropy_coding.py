"""Entropy coding of integers into bytes, with their histograms, and decoding."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["pack", "unpack"]

HEADER = struct.Struct("<IIf")  # examples, latent dimensions, step
MAX_RANGE = 2**16  # range of the values of one latent dimension


def pack(symbols: NDArray[np.int64], step: float) -> tuple[bytes, dict[str, int]]:
    """Return integers (N, d) as bytes that `unpack` decodes, and the number of bytes of each part.

    Every latent dimension has its own histogram over all N examples. It is sent first: the smallest value, the range,
    and the count c of each value, in Elias's gamma code of c + 1. Then an asymmetric numeral systems coder uses
    −log₂(c/N) bits for each value. So nothing but this format is shared with the reader.

    Raises ValueError for a latent dimension that spans more than 65,536 values: the step is too small.

    Reference: *Asymmetric numeral systems*, J. Duda, 2013, arXiv:1311.2540. *Understanding entropy coding with
    asymmetric numeral systems (ANS): a statistician's perspective*, R. Bamler, 2022, arXiv:2201.01741. *Universal
    codeword sets and representations of the integers*, P. Elias, 1975.

    >>> data, parts = pack(np.array([[3, 0], [3, 1], [4, 0]]), 0.5)
    >>> len(data) == sum(parts.values()), unpack(data)[0].tolist(), unpack(data)[1]
    (True, [[3, 0], [3, 1], [4, 0]], 0.5)
    """
    from constriction import stream

    n, d = symbols.shape
    span = int((symbols.max(axis=0) - symbols.min(axis=0)).max()) + 1
    if span > MAX_RANGE:
        raise ValueError(f"step: got {step:.3g}, with which a code takes {span} values, wanted at most {MAX_RANGE}")
    tables, coder = [], stream.stack.AnsCoder()
    for column in symbols.T[::-1]:  # the coder is a stack: last in, first out
        least = int(column.min())
        counts = np.bincount(column - least)
        tables.append(_gamma(_unsigned(least) + 1) + _gamma(len(counts)) + "".join(_gamma(int(c) + 1) for c in counts))
        distribution, values = _distribution(counts)
        if distribution is not None:
            coder.encode_reverse(np.searchsorted(values, column - least).astype(np.int32), distribution)
    table = "".join(tables[::-1])
    head, body = (
        HEADER.pack(n, d, step),
        int(table.ljust(-(-len(table) // 8) * 8, "0"), 2).to_bytes(-(-len(table) // 8)),
    )
    words = coder.get_compressed().astype("<u4").tobytes()
    return head + body + words, {"header": len(head), "histograms": len(body), "codes": len(words)}


def unpack(data: bytes) -> tuple[NDArray[np.int64], float]:
    """Return the integers (N, d) and the step that were given to `pack`."""
    from constriction import stream

    n, d, step = HEADER.unpack_from(data)
    bits, at = "".join(f"{byte:08b}" for byte in data[HEADER.size :]), 0

    def read() -> int:
        nonlocal at
        zeros = bits.index("1", at) - at
        value, at = int(bits[at + zeros : at + 2 * zeros + 1], 2), at + 2 * zeros + 1
        return value

    histograms = []
    for _ in range(d):
        least, length = _signed(read() - 1), read()
        histograms.append((least, np.array([read() - 1 for _ in range(length)])))
    coder = stream.stack.AnsCoder(np.frombuffer(data[HEADER.size + -(-at // 8) :], dtype="<u4").astype(np.uint32))
    symbols = np.empty((n, d), dtype=np.int64)
    for column, (least, counts) in zip(symbols.T, histograms, strict=True):
        distribution, values = _distribution(counts)
        column[:] = least + (values[0] if distribution is None else values[coder.decode(distribution, n)])
    return symbols, step


def _distribution(counts: NDArray[np.int64]) -> tuple[Any, NDArray[np.int64]]:
    """Return the coder's distribution of the values that occur, and these values; None for a single value."""
    from constriction import stream

    (values,) = np.nonzero(counts)
    distribution = stream.model.Categorical(counts[values] / counts.sum(), perfect=False) if len(values) > 1 else None
    return distribution, values


def _gamma(number: int) -> str:
    """Return Elias's gamma code of n ≥ 1: as many zeros as n has further binary digits, then its binary digits."""
    digits = f"{number:b}"
    return "0" * (len(digits) - 1) + digits


def _unsigned(number: int) -> int:
    return 2 * number if number >= 0 else -2 * number - 1


def _signed(number: int) -> int:
    return number // 2 if number % 2 == 0 else -(number + 1) // 2
