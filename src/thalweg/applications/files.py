"""Writes samples and codes to files: a picture, raw values, or text. Each file is written completely or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.files import atomic_path

__all__ = ["check_fits", "grid", "label_column", "suffix_for", "write_codes", "write_rows", "write_values"]

MAX_POINTS = 100_000  # of a scatter plot
MAX_PIXELS = 50_000_000  # of a picture; readers refuse larger ones


def check_fits(path: Path, spec: Any, n: int = 1) -> None:
    """Raise ValueError if `n` examples of that kind cannot be written to a file with that suffix."""
    kind, suffix = spec.kind, path.suffix.lower()
    fits = {
        ".png": kind == "image" or (kind == "vector" and spec.size <= 2),
        ".txt": kind == "tokens",
        ".npz": True,
        ".csv": True,
    }
    if not fits[suffix]:
        wanted = ", ".join(s for s in fits if fits[s])
        raise ValueError(f"out: got '{path}' for {kind}s of shape {tuple(spec.shape)}, wanted a suffix of {wanted}")
    if suffix == ".png" and kind == "image":
        most = MAX_PIXELS // ((height := spec.shape[1]) * spec.shape[2] * math.ceil(28 / height) ** 2)
        if n > most:
            raise ValueError(f"n: got {n:,} images for one picture, wanted at most {most:,}, or an .npz file")


def suffix_for(spec: Any) -> str:
    """Return the suffix that suits samples of that kind best: a picture if one can be drawn."""
    if spec.kind == "tokens":
        return ".txt"
    return ".png" if spec.kind == "image" or spec.size <= 2 else ".csv"


def write_values(path: Path, x: np.ndarray[Any, Any], spec: Any) -> None:
    """Write examples `x` `(n, *shape)` in the format of the suffix."""
    suffix = path.suffix.lower()
    with atomic_path(path) as temporary:
        if suffix == ".npz":
            np.savez(temporary, x=x)
        elif suffix == ".csv":
            names = list(spec.columns or [f"x{i}" for i in range(spec.size)])
            whole = [i for i, column in enumerate(spec.discrete) if column is not None and not column.values]
            write_rows(temporary, names, _rows(x.reshape(len(x), -1), whole))
        elif suffix == ".txt":
            temporary.write_text("\n".join(_text(row, spec.vocabulary) for row in x) + "\n", encoding="utf-8")
        elif spec.kind == "image":
            from PIL import Image

            Image.fromarray(grid(x, spec.levels)).save(temporary)
        else:
            _scatter(temporary, x)


def _rows(x: np.ndarray[Any, Any], whole: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table `x` (n, d) as Python numbers, those of the columns `whole` as integers."""
    for start in range(0, len(x), 10_000):  # Python numbers take several times the memory of the array
        columns = [column.astype(np.int64) if i in whole else column for i, column in enumerate(x[start:][:10_000].T)]
        yield from zip(*(column.tolist() for column in columns), strict=True)


def write_rows(path: Path, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a .csv file as in RFC 4180: cells with a comma, quote or line break are quoted; numbers keep all digits.

    Text that a spreadsheet would evaluate, which begins with = + - or @ and is not a number, gets a leading apostrophe;
    reading a table removes it from the names of columns.
    """
    import csv

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)  # lines end with \r\n, and cells that contain either are quoted
        writer.writerow(map(_cell, names))
        writer.writerows(map(_cell, row) for row in rows)


def _cell(value: Any) -> Any:
    if not (isinstance(value, str) and value.startswith(("=", "+", "-", "@"))):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def label_column(y: np.ndarray[Any, Any], classes: Sequence[str] | None) -> list[Any]:
    """Return labels `y` (n,) for a table: the names of their classes, if there are any."""
    return [classes[label] for label in y.tolist()] if classes else y.tolist()


def _text(row: np.ndarray[Any, Any], vocabulary: tuple[str, ...] | None) -> str:
    if vocabulary is None:
        return bytes(row.astype(np.uint8)).decode(errors="replace")
    return "".join(vocabulary[i] for i in row)


def grid(x: np.ndarray[Any, Any], levels: int) -> np.ndarray[Any, Any]:
    """Return images (n, C, H, W) of integers 0..levels−1 side by side, uint8 (H', W') or (H', W', 3).

    Small images are magnified by an integer factor, so that they are at least 28 pixels high.

    >>> grid(np.full((4, 1, 28, 28), 16), levels=17).shape
    (62, 62)
    """
    n, channels, height, width = x.shape
    columns = math.ceil(math.sqrt(n * height / width))
    rows = math.ceil(n / columns)
    zoom, gap = max(1, math.ceil(28 / height)), 2
    shown = np.clip(np.rint(x.astype(np.float64) * 255 / (levels - 1)), 0, 255).astype(np.uint8)
    shown = shown.repeat(zoom, axis=2).repeat(zoom, axis=3).transpose(0, 2, 3, 1)
    high, wide = height * zoom + gap, width * zoom + gap
    page = np.full((rows * high + gap, columns * wide + gap, channels), 255, dtype=np.uint8)
    for i, image in enumerate(shown):
        top, left = gap + i // columns * high, gap + i % columns * wide
        page[top : top + high - gap, left : left + wide - gap] = image
    return page[:, :, 0] if channels == 1 else page[:, :, :3]


def _scatter(path: Path, x: np.ndarray[Any, Any]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.add_subplot()
    if x.shape[1] == 1:
        axes.hist(x[:, 0], bins=max(10, min(200, len(x) // 10)), density=True)
        axes.set_ylabel("density")
    else:
        axes.scatter(x[:MAX_POINTS, 0], x[:MAX_POINTS, 1], s=min(max(8000 / len(x), 1), 20), linewidths=0)
        axes.set_aspect("equal")
    axes.set_title(f"{len(x):,} samples")
    figure.savefig(path, dpi=120)


def write_codes(
    path: Path, z: np.ndarray[Any, Any], y: np.ndarray[Any, Any] | None, classes: Sequence[str] | None = None
) -> None:
    """Write codes `z` (n, d) and labels `y` (n,) as .npz or, with the names of their classes, as .csv."""
    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".npz":
            arrays: dict[str, Any] = {"z": z} if y is None else {"z": z, "y": y}
            np.savez(temporary, **arrays)
            return
        names = [f"z{i}" for i in range(z.shape[1])] + ([] if y is None else ["label"])
        columns = [*z.T.tolist(), *([] if y is None else [label_column(y, classes)])]
        write_rows(temporary, names, zip(*columns, strict=True))
