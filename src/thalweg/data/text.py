"""Text files as windows of bytes or characters."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from thalweg.checks import in_range
from thalweg.config import DataConfig
from thalweg.data.assemble import Raw
from thalweg.data.dataset import Split

__all__ = ["read_text"]


def read_text(path: Path, config: DataConfig) -> Raw:
    """Read a .txt file as consecutive windows of `config.window` tokens (default 128) without overlap.

    Tokens are bytes (256 levels) or, with `text_unit` "characters", the characters of the file in the order of their
    code points (`Raw.vocabulary`). The file is divided into three consecutive parts: training, then
    validation and test, 5 % each unless the configuration says otherwise; an epoch thus reads every token once. An
    incomplete window at the end of a part is left out.

    Raises ValueError for a file that is not UTF-8 where characters are wanted, or too short.
    """
    data = path.read_bytes()
    vocabulary: tuple[str, ...] | None = None
    if config.text_unit == "characters":
        try:
            points = np.frombuffer(data.decode("utf-8").encode("utf-32-le"), np.uint32)
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path.name}: byte {error.start} is not UTF-8, wanted UTF-8 text, or text_unit bytes"
            ) from None
        used = np.unique(points)
        vocabulary = tuple(chr(point) for point in used)
        tokens = np.searchsorted(used, points).astype(np.uint8 if len(used) <= 256 else np.int64)
    else:
        tokens = np.frombuffer(data, np.uint8)
    window = config.window or 128
    n = len(tokens)
    shares = [0.05 if share is None else share for share in (config.validation, config.test)]
    in_range("validation + test", sum(shares), 0.0, 0.9)
    counts = [max(1, round(share * (n // window))) if share else 0 for share in shares]
    counts = [n // window - sum(counts), *counts]
    if counts[0] < 10:
        raise ValueError(
            f"{path.name}: got {n} {config.text_unit or 'bytes'}, wanted at least {10 * window} for training, 10"
            f" windows of {window}; give a smaller window or a longer text"
        )
    ends = np.cumsum([0, *counts])
    pieces = [tokens[start * window : stop * window].reshape(-1, window) for start, stop in itertools.pairwise(ends)]
    if config.examples is not None and not 10 <= config.examples <= len(pieces[0]):
        raise ValueError(
            f"data_examples: got {config.examples}, wanted from 10 to the {len(pieces[0])} windows for training"
        )
    return Raw(
        kind="tokens",
        train=Split(pieces[0][: config.examples].copy()),
        validation=Split(pieces[1].copy()),
        test=Split(pieces[2].copy()),
        divided=True,
        levels=len(vocabulary) if vocabulary else 256,
        vocabulary=vocabulary,
    )
