"""Files that would block a reader, fill the memory or lose digits and signs are refused in one line, by name."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thalweg.config import DataConfig
from thalweg.data import load


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def claims_much(path: Path) -> None:
    path.write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", 1 << 31, 28, 28) + bytes(100))


def claims_much_in_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(bytes([0, 0, 8, 3]) + struct.pack(">3I", 1 << 31, 28, 28)))


def npy(header: bytes, body: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


def archive(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x.npy", content)


def garbage_header(path: Path) -> None:
    archive(path, npy(b"{'descr': (((" + b" " * 20 + b"\n"))


def not_numpy(path: Path) -> None:
    archive(path, b"hello, this is no array")


def long_claim(path: Path) -> None:
    archive(path, npy(b"{'descr': '<f8', 'fortran_order': False, 'shape': (2147483648, 2)}\n", bytes(64)))


def bomb(path: Path) -> None:
    """An archive of a few kilobytes whose directory says 2 GiB: never inflated."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.npy", bytes(1 << 20))
    data = bytearray(buffer.getvalue())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", (1 << 31) - 1)
    path.write_bytes(bytes(data))


FILES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "pipe as .npz": ("a.npz", fifo, "pipe or device"),
    "pipe as .csv": ("a.csv", fifo, "pipe or device"),
    "pipe as .parquet": ("a.parquet", fifo, "pipe or device"),
    "pipe as .txt": ("a.txt", fifo, "pipe or device"),
    "pipe as IDX": ("a-idx3-ubyte", fifo, "pipe or device"),
    "device as .npz": ("a.npz", device, "pipe or device"),
    "device as .csv": ("a.csv", device, "pipe or device"),
    "device as .txt": ("a.txt", device, "pipe or device"),
    "IDX that claims much": ("a-idx3-ubyte", claims_much, "more or fewer bytes than its header states"),
    "IDX in gzip that claims much": ("a-idx3-ubyte.gz", claims_much_in_gzip, "more or fewer bytes than its header"),
    "npz with a garbage header": ("a.npz", garbage_header, "'x' is no array"),
    "npz with something else": ("a.npz", not_numpy, "'x' is no array"),
    "npz that claims much": ("a.npz", long_claim, "bytes, wanted 34,359,738,368 for shape"),
    "zip bomb": ("a.npz", bomb, "bytes of 'x' packed into"),
}


@pytest.mark.parametrize("case", FILES)
def test_refused_by_name(tmp_path: Path, case: str) -> None:
    name, make, text = FILES[case]
    make(tmp_path / name)
    with pytest.raises(ValueError) as error:
        load(DataConfig(source=str(tmp_path / name)))
    assert text in str(error.value)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_a_pipe_among_images(tmp_path: Path, cache: Path) -> None:
    for i in range(12):
        Image.new("L", (4, 4), i).save(tmp_path / f"{i}.png")
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(ValueError, match=r"'x\.png' is a pipe or device"):
        load(DataConfig(source=str(tmp_path)))


def png16(path: Path) -> None:
    """A 16-bit color PNG, which Pillow cannot write."""
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    rows = b"".join(b"\x00" + bytes(range(24)) for _ in range(4))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(data)


def ppm16(path: Path) -> None:
    path.write_bytes(b"P6\n# a comment\n4 4\n65535\n" + bytes(range(96)))


@pytest.mark.parametrize(("name", "make"), [("a.png", png16), ("a.ppm", ppm16)])
def test_sixteen_bits_are_never_cut_to_eight(tmp_path: Path, cache: Path, name: str, make: Callable) -> None:
    for i in range(12):
        Image.new("RGB", (4, 4), (i, 0, 0)).save(tmp_path / f"{i}.png")
    make(tmp_path / name)
    with pytest.raises(ValueError, match=r"got 16 bits per channel, wanted 8"):
        load(DataConfig(source=str(tmp_path)))


def rows(labels: list[str], encoding: str = "utf-8") -> bytes:
    return "\n".join(["a,k", *(f"{i}.5,{label}" for i, label in enumerate(labels))]).encode(encoding)


LABELS = {
    "leading zeros": (["01234", "1234", "0007"] * 4, ("0007", "01234", "1234")),
    "integers": (["10", "9", "-1"] * 4, ("-1", "9", "10")),
    "floats of integers": (["1.0", "2.0", "3.0"] * 4, ("1", "2", "3")),
    "texts": (["cat", "dog", "+5"] * 4, ("+5", "cat", "dog")),
    "truth": (["true", "false", "true"] * 4, ("false", "true")),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_are_as_they_are_written(tmp_path: Path, case: str) -> None:
    labels, classes = LABELS[case]
    (tmp_path / "t.csv").write_bytes(rows(labels))
    data = load(DataConfig(source=str(tmp_path / "t.csv"), label_column="k"))
    assert data.spec.classes == classes


@pytest.mark.parametrize("settings", [{"label_column": "k"}, {}])
def test_latin_1_is_refused(tmp_path: Path, settings: dict) -> None:
    (tmp_path / "t.csv").write_bytes(rows(["grün", "rot", "blau"] * 4, "latin-1"))
    with pytest.raises(ValueError, match=r"t\.csv.*UTF-8"):
        load(DataConfig(source=str(tmp_path / "t.csv"), **settings))


def test_a_latin_1_header_is_refused(tmp_path: Path) -> None:
    lines = ["größe,b", *(f"{i}.5,{i}" for i in range(12))]
    (tmp_path / "t.csv").write_bytes("\n".join(lines).encode("latin-1"))
    with pytest.raises(ValueError, match=r"t\.csv: got names of columns that are not UTF-8"):
        load(DataConfig(source=str(tmp_path / "t.csv")))


def test_integers_beyond_floats_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,id\n" + "\n".join(f"{i}.5,{9007199254740993 + i}" for i in range(12)))
    with pytest.raises(ValueError, match=r"column 'id' has integers beyond"):
        load(DataConfig(source=str(tmp_path / "t.csv")))


def test_many_columns_are_read(tmp_path: Path) -> None:
    """Names are compared in linear time: 20,000 columns."""
    n = 20_000
    names, values = ",".join(f"c{i}" for i in range(n)), np.random.default_rng(0).normal(size=(12, n))
    np.savetxt(tmp_path / "t.csv", values, delimiter=",", header=names, comments="", fmt="%.4f")
    assert load(DataConfig(source=str(tmp_path / "t.csv"))).spec.size == n
