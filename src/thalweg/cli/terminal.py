"""Prepares the standard streams: closed ones, and encodings that lack some of our characters."""

from __future__ import annotations

import codecs
import io
import os
import sys
import unicodedata

__all__ = ["prepare_streams"]

# Replacements for characters that the encoding of the terminal lacks.
ASCII = {
    "★": "*", "≈": "~", "≥": ">=", "≤": "<=", "±": "+/-", "×": "x", "–": "-", "−": "-", "—": "-", "→": "->", "←": "<-",
    "↑": "^", "↓": "v", "∞": "inf", "…": "...", "·": ".", "▸": ">", "✓": "+", "✗": "x", "²": "^2", "³": "^3",
    "α": "alpha", "β": "beta", "ε": "epsilon", "λ": "lambda", "μ": "mu", "σ": "sigma", "χ": "chi", "Δ": "Delta",
    "‖": "||", "√": "sqrt", "∈": "in", "∇": "grad", "Σ": "sum", "“": '"', "”": '"', "‘": "'", "’": "'", "█": "#",
}  # fmt: skip


def ascii_fallback(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace characters that cannot be encoded: an error handler for `codecs`.

    >>> codecs.register_error("thalweg", ascii_fallback)
    >>> "72.1 ± 0.3 %, ≥ 3 ★".encode("ascii", "thalweg")
    b'72.1 +/- 0.3 %, >= 3 *'
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = "".join(map(_plain, error.object[error.start : error.end]))
    return text, error.end


def _plain(sign: str) -> str:
    known = ASCII.get(sign)
    return known or unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode() or "?"


def prepare_streams() -> None:
    """Open the null device in place of closed standard streams, and let open ones replace characters they cannot
    encode.

    A closed descriptor would be reused by the next file that is opened, which prints would then overwrite.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free descriptor, which is this one
    codecs.register_error("thalweg", ascii_fallback)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="thalweg")
