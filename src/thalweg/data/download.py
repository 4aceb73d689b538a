"""Data sets to download: from `THALWEG_DATA`, from the cache or from the network, always verified."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.data.arrays import IDX_FILES, idx_folder, read_idx_file, read_npz
from thalweg.data.assemble import Raw
from thalweg.data.dataset import Split, class_target
from thalweg.data.meter import meter
from thalweg.files import temporary_path, write_atomic

__all__ = ["cache_folder", "fetch", "read"]

Array = np.ndarray[Any, Any]

URLS = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion-mnist": "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "cifar10": "https://www.cs.toronto.edu/~kriz/",
}
CIFAR_FILE = "cifar-10-binary.tar.gz"
CIFAR_MEMBERS = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
# md5 of the uncompressed IDX files in the order of IDX_FILES; of the archive of CIFAR-10
MD5: dict[str, tuple[str, ...]] = {
    "mnist": ("6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624",
              "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"),
    "fashion-mnist": ("f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9",
                      "8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965"),
    "cifar10": ("c32a1d4ab5d03f1284b67883e8d87530",),
}  # fmt: skip
COUNTS = {"mnist": (60_000, 10_000), "fashion-mnist": (60_000, 10_000), "cifar10": (50_000, 10_000)}
CLASSES = {
    "mnist": tuple("0123456789"),
    "fashion-mnist": ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"),
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
}
VALIDATION = 5_000  # number of the last training examples, which are for validation
MAX_BYTES = 100_000_000  # of an uncompressed IDX file
RECORD = 1 + 3 * 32 * 32  # bytes of an example of CIFAR-10


def cache_folder() -> Path:
    """Return the folder of cached files: `THALWEG_CACHE`, or the platform's folder for caches."""
    own = os.environ.get("THALWEG_CACHE")
    if own:
        return Path(own).expanduser()
    import pooch

    return Path(pooch.os_cache("thalweg"))


def read(name: str) -> Raw:
    """Read `mnist`, `fashion-mnist` or `cifar10`; the last 5,000 training examples are for validation."""
    paths = fetch(name)
    if paths[0].suffix == ".npz":
        raw = read_npz(paths[0])
        train, test = raw.train, raw.test if raw.classes == tuple("0123456789") else None
    elif name == "cifar10":
        packed = [path.read_bytes() for path in paths] if len(paths) > 1 else _members(paths[0].read_bytes(), paths[0])
        train, test = _cifar(packed[:-1]), _cifar(packed[-1:])
    else:
        arrays = [read_idx_file(path) for path in paths]
        train = Split(arrays[0][:, None].copy(), arrays[1].astype(np.int64))
        test = Split(arrays[2][:, None].copy(), arrays[3].astype(np.int64))
    shape = (3, 32, 32) if name == "cifar10" else (1, 28, 28)
    for split, count in zip((train, test), COUNTS[name], strict=True):
        good = split is not None and split.x.shape == (count, *shape)
        if not good or split.y is None or not 0 <= split.y.min() <= split.y.max() < 10:  # type: ignore[union-attr]
            raise ValueError(f"{paths[0].name}: got other arrays than those of '{name}', wanted x_train and x_test of"
                             f" {COUNTS[name]} images {shape} and their labels 0..9")  # fmt: skip
    return Raw(
        kind="image", train=train, test=test, levels=256, target=class_target(CLASSES[name]), reserved=VALIDATION
    )


def fetch(name: str) -> list[Path]:
    """Return the files of `name`: from the folder that `THALWEG_DATA` names, from the cache, or downloaded into it.

    In `THALWEG_DATA` they are `<name>.npz`, or the original files in a subfolder `<name>`. Original files are checked
    against the published md5 sums.

    Raises ValueError if they can neither be found nor downloaded, or differ from the published files; a wrong download
    leaves no file.
    """
    own = os.environ.get("THALWEG_DATA")
    if own:
        folder = Path(own).expanduser()
        if not folder.is_dir():
            raise ValueError(f"THALWEG_DATA: got '{own}', wanted a folder that exists")
        if (folder / f"{name}.npz").is_file():
            return [folder / f"{name}.npz"]
        originals = _originals(name, folder / name) or (_originals(name, folder) if name == "cifar10" else [])
        if originals:
            return originals
    home = cache_folder() / name
    return _originals(name, home) or _download(name, home)


def _originals(name: str, folder: Path) -> list[Path]:
    """Return the original files in a folder, verified; none if they are missing."""
    if name == "cifar10":
        archive = folder / CIFAR_FILE
        if archive.is_file():
            _check(archive, archive.read_bytes(), MD5[name][0])
            return [archive]
        for inner in (folder, folder / "cifar-10-batches-bin"):
            paths = [inner / member for member in CIFAR_MEMBERS]
            if all(path.is_file() for path in paths):
                return paths
        return []
    files = idx_folder(folder)
    for key, md5 in zip(IDX_FILES, MD5[name], strict=True):
        if files:
            _check(files[key], _plain(files[key], files[key].read_bytes()), md5)
    return [files[key] for key in IDX_FILES] if files else []


def _download(name: str, home: Path) -> list[Path]:
    """Download and verify all files before any of them is written to its place."""
    ready: dict[str, bytes] = {}
    if name == "cifar10":
        body = _get(name, CIFAR_FILE, home)
        _check(Path(CIFAR_FILE), body, MD5[name][0])
        ready = dict(zip(CIFAR_MEMBERS, _members(body, Path(CIFAR_FILE)), strict=True))
    else:
        for stem, md5 in zip(IDX_FILES.values(), MD5[name], strict=True):
            packed = Path(f"{stem}.gz")
            ready[stem] = _plain(packed, _get(name, packed.name, home))
            _check(packed, ready[stem], md5)
    for file, body in ready.items():
        write_atomic(home / file, body)
    return [home / file for file in ready]


def _get(name: str, file: str, home: Path) -> bytes:
    import pooch

    home.mkdir(parents=True, exist_ok=True)
    partial = temporary_path(home / file)
    shown = meter(file)
    try:
        pooch.HTTPDownloader(timeout=30, progressbar=shown or False)(URLS[name] + file, str(partial), None)
        return partial.read_bytes()
    except OSError as error:  # the base class of the errors of requests
        if getattr(error, "response", None) is not None:
            error.response.close()  # type: ignore[attr-defined]  # pooch leaves the connection open
        raise ValueError(
            f"{name}: cannot be downloaded from {URLS[name]}{file} ({type(error).__name__}); put {name}.npz, or the"
            f" original files in a folder {name}, into a folder and name it in THALWEG_DATA"
        ) from None
    finally:
        if shown:
            shown.close()
        partial.unlink(missing_ok=True)


def _plain(path: Path, body: bytes) -> bytes:
    if path.suffix != ".gz":
        return body
    try:
        with gzip.open(io.BytesIO(body)) as file:
            return file.read(MAX_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path.name}: got a damaged file ({error}), wanted a complete gzip file") from None


def _check(path: Path, body: bytes, md5: str) -> None:
    got = hashlib.md5(body, usedforsecurity=False).hexdigest()
    if got != md5:
        raise ValueError(f"{path.name}: got other content (md5 {got}), wanted the published file (md5 {md5})")


def _members(archive: bytes, path: Path) -> list[bytes]:
    """Return the six batches of the archive of CIFAR-10, read in memory: nothing is unpacked to disk."""
    out = []
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            for name in CIFAR_MEMBERS:
                member = tar.getmember(f"cifar-10-batches-bin/{name}")
                file = tar.extractfile(member) if member.isreg() else None
                if file is None or member.size > MAX_BYTES:
                    raise ValueError(f"{path.name}: got no file of images as {name}, wanted one")
                out.append(file.read())
    except (tarfile.TarError, KeyError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path.name}: got a damaged archive ({error}), wanted the six batches") from None
    return out


def _cifar(batches: list[bytes]) -> Split:
    if any(len(batch) % RECORD for batch in batches):
        raise ValueError(f"cifar10: got a batch of another length, wanted records of {RECORD} bytes")
    records = np.concatenate([np.frombuffer(batch, np.uint8).reshape(-1, RECORD) for batch in batches])
    return Split(records[:, 1:].reshape(-1, 3, 32, 32).copy(), records[:, 0].astype(np.int64))
