"""Arrays in files: NumPy's .npz and the IDX files of MNIST. Pickles are never loaded."""

from __future__ import annotations

import gzip
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.data.assemble import Raw, classify
from thalweg.data.dataset import Split, class_target

__all__ = ["IDX_FILES", "idx_folder", "read_idx", "read_idx_file", "read_npz"]

Array = np.ndarray[Any, Any]

MAX_EXPANDED, MAX_RATIO = 1 << 30, 100  # largest size of an uncompressed member; beyond it, largest compression ratio
MAX_GZIP = 1032  # the largest compression ratio that gzip can reach

IDX_FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
NPZ_KEYS = ("x", "y", "x_train", "y_train", "x_validation", "y_validation", "x_test", "y_test")


def read_npz(path: Path) -> Raw:
    """Read `x` [and `y`], or `x_train` [`y_train`, `x_test`, `x_validation` ...], from a .npz file.

    Images are uint8 (N, H, W), (N, H, W, C) or (N, C, H, W) with C 1 or 3, or booleans (two levels); vectors are
    floats (N, D). Labels are integers or text (N,).

    Raises ValueError for anything else: object arrays, floats as images, an ambiguous order of axes.
    """
    arrays = _npz_arrays(path)
    main = "x_train" if "x_train" in arrays else "x"
    if main not in arrays:
        raise ValueError(f"{path.name}: got the arrays {', '.join(arrays) or 'none'}, wanted x_train or x")
    if main == "x" and any(key.startswith("x_") for key in arrays):
        raise ValueError(f"{path.name}: got both 'x' and a split, wanted x_train and x_test, or x alone")
    suffixes = {"train": "" if main == "x" else "_train", "validation": "_validation", "test": "_test"}
    xs, kinds = {}, {}
    for part, suffix in suffixes.items():
        if f"x{suffix}" in arrays:
            where = f"{path.name}: x{suffix}"
            xs[part], kinds[part] = as_examples(where, arrays[f"x{suffix}"])
            if kinds[part] != kinds["train"] or xs[part].shape[1:] != xs["train"].shape[1:]:
                raise ValueError(f"{where}: got other examples than {main}, wanted one shape and type for all")
    ys = {part: arrays.get(f"y{suffixes[part]}") for part in xs}
    for part, y in ys.items():
        check_labels(f"{path.name}: y{suffixes[part]}", y, len(xs[part]))
    if len({y is None for y in ys.values()}) > 1:
        raise ValueError(f"{path.name}: got labels for some splits only, wanted them for all or none")
    classes: tuple[str, ...] | None = None
    if ys["train"] is not None:
        classes, indices = classify(f"{path.name}: y", *ys.values())
        ys = dict(zip(ys, indices, strict=True))
    splits = {part: Split(x, ys[part]) for part, x in xs.items()}
    kind, levels = kinds["train"]
    return Raw(
        kind=kind,
        levels=levels,
        target=class_target(classes),
        train=splits["train"],
        validation=splits.get("validation"),
        test=splits.get("test"),
    )


def _npz_arrays(path: Path) -> dict[str, Array]:
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path.name}: got a file that is not a .npz archive, wanted one written by numpy.savez")
    arrays = {}
    try:
        _check_members(path)
        with np.load(path, allow_pickle=False) as archive:
            for key in archive.files:
                if key in NPZ_KEYS:
                    arrays[key] = _member(path, archive, key)
            if not arrays:
                raise ValueError(
                    f"{path.name}: got the arrays {', '.join(archive.files) or 'none'}, wanted x_train or x"
                )
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise ValueError(f"{path.name}: got a damaged archive ({error}), wanted one written by numpy.savez") from None
    return arrays


def _check_members(path: Path) -> None:
    """Raise ValueError where an array's header does not match its size, or where its expanded size is suspicious."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            key = info.filename.removesuffix(".npy")
            if key not in NPZ_KEYS:
                continue
            if info.file_size > max(MAX_EXPANDED, MAX_RATIO * info.compress_size):
                raise ValueError(
                    f"{path.name}: got {info.file_size:,} bytes of '{key}' packed into {info.compress_size:,},"
                    f" wanted at most {MAX_RATIO} times as many: save it without compression"
                )
            with archive.open(info) as file:
                try:
                    version = np.lib.format.read_magic(file)
                    reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                    shape, _, dtype = reader[version](file)
                except zipfile.BadZipFile:
                    raise
                except Exception as error:  # the parser of headers raises errors of any type
                    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                    raise ValueError(f"{path.name}: '{key}' is no array ({reason}), wanted a .npy member") from None
                wanted = math.prod(shape) * dtype.itemsize
                if not dtype.hasobject and info.file_size - file.tell() != wanted:
                    raise ValueError(
                        f"{path.name}: '{key}' has {info.file_size - file.tell():,} bytes, wanted {wanted:,} for shape"
                        f" {shape}, which its header states"
                    )


def _member(path: Path, archive: Any, key: str) -> Array:
    try:
        value = archive[key]
    except ValueError as error:
        reason = "an object array" if "allow_pickle" in str(error) else f"an unreadable array ({error})"
        raise ValueError(
            f"{path.name}: got {reason} as '{key}', wanted plain numbers (pickles are not loaded)"
        ) from None
    if not isinstance(value, np.ndarray):
        raise ValueError(f"{path.name}: got no array as '{key}', wanted a .npy member")
    return value


def check_labels(name: str, y: Array | None, n: int) -> None:
    """Raise ValueError unless `y` is None or has one label for each of `n` examples."""
    if y is not None and y.shape != (n,):
        raise ValueError(f"{name}: got labels of shape {y.shape}, wanted ({n},), one for each example")


def as_examples(name: str, x: Array) -> tuple[Array, tuple[Any, int | None]]:
    """Return raw examples with (kind, levels), inferred from type and shape; raise ValueError where they are ambiguous.

    >>> as_examples("x", np.zeros((5, 28, 28, 3), np.uint8))[0].shape
    (5, 3, 28, 28)
    """
    if x.ndim == 2 and x.dtype.kind == "f":
        return x.astype(np.float64), ("vector", None)
    got = f"{name}: got {x.dtype} of shape {x.shape}"
    if x.ndim == 2:
        raise ValueError(f"{got}, wanted floats for vectors (N, D), or uint8 (N, H, W) for images")
    if x.ndim not in (3, 4):
        raise ValueError(f"{got}, wanted vectors (N, D) or images (N, H, W), (N, H, W, C), (N, C, H, W)")
    if x.dtype != np.uint8 and x.dtype != np.bool_:
        raise ValueError(f"{got}, wanted raw images as uint8 with the values 0..255")
    if not all(x.shape[1:]):
        raise ValueError(f"{got}, wanted no empty axis")
    levels = 256 if x.dtype == np.uint8 else 2
    if x.ndim == 3:
        x = x[:, None]
    else:
        first, last = x.shape[1] in (1, 3), x.shape[3] in (1, 3)
        if first == last:
            reason = "both" if first else "neither"
            raise ValueError(
                f"{got}, {reason} of axes 1 and 3 can be 1 or 3 channels; wanted an unambiguous order of axes"
            )
        x = x.transpose(0, 3, 1, 2) if last else x
    return np.ascontiguousarray(x, dtype=np.uint8), ("image", levels)


def read_idx_file(path: Path) -> Array:
    """Read one IDX file of unsigned bytes, gzip-compressed or not.

    Raises ValueError if it is another file, or has more or fewer bytes than its header states.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] != 8 or not 1 <= head[3] <= 4:
                raise ValueError(f"{path.name}: got another header, wanted an IDX file of unsigned bytes")
            shape = tuple(int(n) for n in np.frombuffer(file.read(4 * head[3]), ">u4"))
            size = 1
            for n in shape:
                size *= n
            there = path.stat().st_size * (MAX_GZIP if path.suffix == ".gz" else 1)
            if size > there:
                raise ValueError(
                    f"{path.name}: got more or fewer bytes than its header states, wanted {size} values {shape}"
                )
            body = file.read(size + 1)  # never more than stated, whatever a compressed file holds
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path.name}: got a damaged file ({error}), wanted a complete gzip file") from None
    if len(shape) != head[3] or len(body) != size:
        raise ValueError(f"{path.name}: got more or fewer bytes than its header states, wanted {size} values {shape}")
    return np.frombuffer(body, np.uint8).reshape(shape)


def idx_folder(folder: Path) -> dict[str, Path] | None:
    """Return the four files with MNIST's names, compressed or not, or None if there are none of them.

    Raises ValueError naming the first that is missing if there are some.
    """
    files = {}
    for key, stem in IDX_FILES.items():
        for name in (stem, f"{stem}.gz", stem.replace("-idx", ".idx")):
            if (folder / name).is_file():
                files[key] = folder / name
                break
    if files and len(files) < len(IDX_FILES):
        missing = next(stem for key, stem in IDX_FILES.items() if key not in files)
        raise ValueError(f"{folder.name}: '{missing}' is missing, wanted the four files of MNIST")
    return files or None


def read_idx(path: Path) -> Raw:
    """Read an IDX file of images (N, H, W), or a folder with the four files of MNIST."""
    if path.is_dir():
        files = idx_folder(path)
        assert files is not None
        parts = {key: read_idx_file(file) for key, file in files.items()}
    else:
        parts = {"x_train": read_idx_file(path)}
    splits: dict[str, Split] = {}
    classes, labels = None, [None, None]
    if "y_train" in parts:
        classes, labels = classify(path.name, parts["y_train"], parts["y_test"])  # type: ignore[assignment]
    kind: tuple[Any, int | None] = ("image", 256)
    for part, y in zip(("train", "test"), labels, strict=True):
        if f"x_{part}" in parts:
            x, kind = as_examples(f"{path.name}: x_{part}", parts[f"x_{part}"])
            check_labels(f"{path.name}: y_{part}", y, len(x))
            splits[part] = Split(x, y)
    return Raw(
        kind=kind[0], levels=kind[1], target=class_target(classes), train=splits["train"], test=splits.get("test")
    )
