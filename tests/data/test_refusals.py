"""Error messages are one line that names the file, column or setting, and what was wanted."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from thalweg.config import DataConfig
from thalweg.data import load

pytestmark = pytest.mark.system("S34")

FLOATS = np.random.default_rng(0).normal(size=(20, 3))
IMAGES = np.zeros((20, 4, 4), np.uint8)


def assert_refused(path: Path | str, *parts: str, **settings) -> None:
    with pytest.raises(ValueError) as caught:
        load(DataConfig(source=str(path), **settings))
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message


def changed(value: float) -> np.ndarray:
    x = FLOATS.copy()
    x[7, 2] = value
    return x


def constant() -> np.ndarray:
    x = FLOATS.copy()
    x[:, 1] = 3
    return x


NPZ = {
    "objects": ({"x": np.array([{}] * 20, object)}, ["a.npz", "an object array as 'x'", "pickles are not loaded"]),
    "no x": ({"images": IMAGES}, ["a.npz", "images", "wanted x_train or x"]),
    "x and a split": ({"x": FLOATS, "x_test": FLOATS}, ["got both 'x' and a split"]),
    "nan": ({"x": changed(np.nan)}, ["a.npz", "nan in row 7", "column 2", "finite"]),
    "infinity": ({"x": changed(np.inf)}, ["a.npz", "inf in row 7", "column 2"]),
    "too large for squares": ({"x": changed(1e300)}, ["a.npz", "1e+300 in row 7", "below 1e+150"]),
    "constant": ({"x": constant()}, ["a.npz", "column 1 has one value"]),
    "float images": ({"x": IMAGES.astype(float)}, ["x: got float64 of shape (20, 4, 4)", "uint8"]),
    "integer vectors": ({"x": IMAGES[:, 0]}, ["x: got uint8 of shape (20, 4)", "wanted floats"]),
    "axes: both": ({"x": np.zeros((20, 3, 9, 3), np.uint8)}, ["(20, 3, 9, 3)", "both of axes 1 and 3"]),
    "axes: neither": ({"x": np.zeros((20, 4, 9, 4), np.uint8)}, ["(20, 4, 9, 4)", "neither of axes 1 and 3"]),
    "rank": ({"x": np.zeros(20)}, ["got float64 of shape (20,)"]),
    "labels: count": ({"x": FLOATS, "y": np.zeros(19, int)}, ["y: got labels of shape (19,), wanted (20,)"]),
    "labels: floats": ({"x": FLOATS, "y": np.zeros(20)}, ["y: got labels of type float64"]),
    "labels: some": (
        {"x_train": FLOATS, "y_train": np.zeros(20, int), "x_test": FLOATS}, ["labels for some splits only"],
    ),
    "unlike": ({"x_train": FLOATS, "x_test": FLOATS[:, :2]}, ["x_test: got other examples than x_train"]),
    "few": ({"x": FLOATS[:9]}, ["a.npz: got 9 examples, wanted at least 10"]),
}  # fmt: skip


@pytest.mark.parametrize("case", NPZ)
def test_npz(tmp_path, case):
    arrays, parts = NPZ[case]
    np.savez(tmp_path / "a.npz", **arrays)
    assert_refused(tmp_path / "a.npz", *parts)


def test_npz_that_is_none(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"\x80\x04nothing")
    assert_refused(tmp_path / "a.npz", "a.npz", "wanted one written by numpy.savez")
    np.savez_compressed(tmp_path / "b.npz", x=FLOATS)
    whole = bytearray((tmp_path / "b.npz").read_bytes())
    whole[100:140] = bytes(40)
    (tmp_path / "b.npz").write_bytes(whole)
    assert_refused(tmp_path / "b.npz", "b.npz", "damaged")


HEAD = bytes([0, 0, 8, 3]) + np.array([20, 2, 2], ">u4").tobytes()
IDX = {
    "short": (HEAD + bytes(79), ["x-idx3-ubyte", "more or fewer bytes", "wanted 80"]),
    "long": (HEAD + bytes(81), ["x-idx3-ubyte", "more or fewer bytes"]),
    "other type": (bytes([0, 0, 13, 1]) + bytes(8), ["x-idx3-ubyte", "wanted an IDX file of unsigned bytes"]),
    "empty": (b"", ["x-idx3-ubyte", "another header"]),
}


@pytest.mark.parametrize("case", IDX)
def test_idx(tmp_path, case):
    body, parts = IDX[case]
    (tmp_path / "x-idx3-ubyte").write_bytes(body)
    assert_refused(tmp_path / "x-idx3-ubyte", *parts)
    (tmp_path / "x-idx3-ubyte.gz").write_bytes(gzip.compress(body))
    assert_refused(tmp_path / "x-idx3-ubyte.gz", *parts)


def test_damaged_gzip_and_missing_file_of_four(tmp_path):
    (tmp_path / "x-idx3-ubyte.gz").write_bytes(gzip.compress(HEAD + os.urandom(80))[:-20])
    assert_refused(tmp_path / "x-idx3-ubyte.gz", "x-idx3-ubyte.gz", "damaged")
    (tmp_path / "four").mkdir()
    (tmp_path / "four" / "train-images-idx3-ubyte").write_bytes(HEAD + bytes(80))
    assert_refused(tmp_path / "four", "'train-labels-idx1-ubyte' is missing")


ROWS = [f"{i},{i * i},{'xy'[i % 2]}" for i in range(20)]
CSV = {
    "text column": (["a,b,k", *ROWS], {}, ["t.csv", "column 'k' is text", "--label-column 'k'"]),
    "date column": (["a,b", *[f"{i},2020-01-{i + 10}" for i in range(20)]], {}, ["column 'b' is date32"]),
    "unknown label": (["a,b,kind", *ROWS], {"label_column": "kin"}, ["label_column: got 'kin'", "did you mean 'kind'"]),
    "fractional label": (["a,b", *[f"{i},{i / 3}" for i in range(20)]], {"label_column": "b"},
                         ["got 0.3333333333333333 in label column 'b'", "wanted integers"]),
    "infinite label": (["a,b", *[f"{i},{'inf' if i == 4 else i}" for i in range(20)]], {"label_column": "b"},
                       ["got inf in label column 'b'"]),
    "missing label": (["a,b", *[f"{i},{i if i != 4 else ''}" for i in range(20)]], {"label_column": "b"},
                      ["no value in row 4, column 'b'"]),
    "only labels": (["k", *"ab" * 10], {"label_column": "k"}, ["no column beside 'k'"]),
    "missing number": (["a,b", *[f"{i},{i if i != 4 else ''}" for i in range(20)]], {}, ["nan in row 4", "column 'b'"]),
    "infinity": (["a,b", *[f"{i},{i if i != 4 else 'inf'}" for i in range(20)]], {}, ["inf in row 4", "column 'b'"]),
    "constant": (["a,b", *[f"{i},5" for i in range(20)]], {}, ["t.csv", "column 'b' has one value"]),
    "no header": ([f"{i},{i * i}" for i in range(20)], {}, ["t.csv", "wanted a header"]),
    "semicolons": (["a;b", *[f"{i};5" for i in range(20)]], {}, ["wanted commas"]),
    "doubled": (["a,a", *[f"{i},{i * i}" for i in range(20)]], {}, ["column 'a' twice"]),
    "ragged": (["a,b", *[f"{i},5" for i in range(20)], "1,2,3"], {}, ["t.csv", "wanted .csv"]),
    "empty": (["a,b"], {}, ["t.csv", "empty table"]),
    "few": (["a,b", "1,2", "3,4"], {}, ["t.csv: got 2 examples, wanted at least 10"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CSV)
def test_csv(tmp_path, case):
    lines, settings, parts = CSV[case]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    assert_refused(tmp_path / "t.csv", *parts, **settings)


def test_parquet_that_is_none(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"nothing of the kind")
    assert_refused(tmp_path / "t.parquet", "t.parquet", "wanted .parquet")


def test_text(tmp_path):
    (tmp_path / "t.txt").write_bytes(b"short")
    assert_refused(tmp_path / "t.txt", "t.txt", "got 5 bytes", "wanted at least 1280")
    (tmp_path / "u.txt").write_bytes(b"good" * 1000 + b"\xff" + b"good" * 1000)
    assert_refused(tmp_path / "u.txt", "u.txt", "byte 4000 is not UTF-8", text_unit="characters")
    (tmp_path / "e.txt").write_bytes(b"")
    assert_refused(tmp_path / "e.txt", "e.txt", "got 0 bytes")


SETTINGS = [
    ("digits", {"window": 64}, ["window: got 64 for 'digits'", "it concerns text"]),
    ("digits", {"image_size": 16}, ["image_size: got 16 for 'digits'", "glyphs, folder of images"]),
    ("moons", {"resize": "crop"}, ["resize: got 'crop' for 'moons'", "folder of images"]),
    ("glyphs", {"label_column": "a"}, ["label_column: got 'a' for 'glyphs'", "it concerns table"]),
    ("mnist", {"test": 0.2}, ["test: got 0.2 for 'mnist'"]),
    ("digits", {"examples": 5000}, ["data_examples: got 5000, wanted at most 1797", "'digits'"]),
    ("digits", {"examples": 5}, ["data_examples: got 5, wanted at least 10"]),
    ("digits", {"validation": 0.6, "test": 0.4}, ["digits: got no training example"]),
    ("glyphs", {"image_size": 4}, ["image_size: got 4"]),
    ("digit", {}, ["data: got 'digit'", "did you mean 'digits'?"]),
    ("no/such/folder", {}, ["data: got 'no/such/folder'", "wanted a path that exists"]),
]


@pytest.mark.parametrize(("source", "settings", "parts"), SETTINGS)
def test_settings(source, settings, parts):
    assert_refused(source, *parts, **settings)


def test_unknown_suffix(tmp_path):
    (tmp_path / "model.pkl").write_bytes(b"")
    assert_refused(tmp_path / "model.pkl", "'model.pkl'", "wanted a folder of images")
