"""Arrays, tables and text from files that the tests write."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from thalweg.config import DataConfig
from thalweg.data import Dataset, load

pytestmark = pytest.mark.system("S34")

RNG = np.random.default_rng(0)
PARTS = ("train", "validation", "test")


def read(path: Path, **settings) -> Dataset:
    return load(DataConfig(source=str(path), **settings))


def together(data: Dataset) -> np.ndarray:
    """All examples of all splits, sorted, as rows."""
    rows = np.concatenate([data.split(part).x.reshape(len(data.split(part)), -1) for part in PARTS])
    return rows[np.lexsort(rows.T)]


def sizes(data: Dataset) -> list[int]:
    return [len(data.split(part)) for part in PARTS]


@pytest.mark.parametrize(
    ("stored", "shape"),
    [((30, 6, 5), (1, 6, 5)), ((30, 6, 5, 3), (3, 6, 5)), ((30, 3, 6, 5), (3, 6, 5)), ((30, 6, 5, 1), (1, 6, 5))],
)
def test_npz_images(tmp_path, stored, shape):
    x = RNG.integers(0, 256, stored).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(30) % 3 + 5)
    data = read(tmp_path / "a.npz")
    assert (data.spec.shape, data.spec.levels, data.spec.classes) == (shape, 256, ("5", "6", "7"))
    assert sum(sizes(data)) == 30
    assert min(sizes(data)) >= 1
    expected = (x.transpose(0, 3, 1, 2) if stored[-1] in (1, 3) else x).reshape(30, -1)
    np.testing.assert_array_equal(together(data), expected[np.lexsort(expected.T)])


def test_npz_labels_stay_with_their_examples(tmp_path):
    x = RNG.normal(size=(40, 2))
    np.savez(tmp_path / "a.npz", x=x, y=np.where(x[:, 0] > 0, "right", "left"))
    data = read(tmp_path / "a.npz")
    assert data.spec.classes == ("left", "right")
    for part in PARTS:
        np.testing.assert_array_equal(data.split(part).y, data.split(part).x[:, 0] > 0)


def test_npz_with_its_own_test_set(tmp_path):
    x = RNG.normal(size=(50, 2)).astype(np.float32)
    np.savez(tmp_path / "a.npz", x_train=x[:40], x_test=x[40:])
    data = read(tmp_path / "a.npz", examples=20)
    np.testing.assert_array_equal(data.test.x, x[40:])
    assert sum(sizes(data)) == 30
    assert sizes(data)[2] == 10
    with pytest.raises(ValueError, match=r"test: got 0\.3, but 'a\.npz' has a test set of its own"):
        read(tmp_path / "a.npz", test=0.3)


def test_npz_booleans_are_two_levels_and_a_black_channel_has_std_one(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((20, 4, 4), bool))
    spec = read(tmp_path / "a.npz").spec
    assert (spec.levels, spec.mean, spec.std) == (2, (0.0,), (1.0,))


def test_one_class_is_kept(tmp_path):
    np.savez(tmp_path / "a.npz", x=RNG.normal(size=(20, 2)), y=np.zeros(20, int))
    assert read(tmp_path / "a.npz").spec.classes == ("0",)


def test_mean_and_std_are_those_of_the_training_examples(tmp_path):
    x = RNG.integers(0, 256, (50, 5, 4, 3)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x=x)
    data = read(tmp_path / "a.npz")
    assert data.spec.mean == pytest.approx(data.train.x.mean((0, 2, 3)))
    assert data.spec.std == pytest.approx(data.train.x.std((0, 2, 3)))


def test_large_offsets_do_not_spoil_the_std(tmp_path):
    np.savez(tmp_path / "a.npz", x=1e4 + RNG.normal(size=(3000, 1)))
    data = read(tmp_path / "a.npz")
    assert data.spec.std == pytest.approx(data.train.x.astype(float).std(0), rel=1e-3)


def idx(a: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, a.ndim]) + np.array(a.shape, ">u4").tobytes()
    return head + a.astype(np.uint8).tobytes()


@pytest.mark.parametrize("packed", [False, True])
def test_idx_file_and_folder(tmp_path, packed):
    x, y = RNG.integers(0, 256, (60, 4, 5)).astype(np.uint8), np.arange(60) % 10
    folder = tmp_path / "idx"
    folder.mkdir()
    end = ".gz" if packed else ""
    parts = {"train-images-idx3-ubyte": x[:40], "train-labels-idx1-ubyte": y[:40]}
    parts |= {"t10k-images-idx3-ubyte": x[40:], "t10k-labels-idx1-ubyte": y[40:]}
    for name, a in parts.items():
        (folder / f"{name}{end}").write_bytes(gzip.compress(idx(a)) if packed else idx(a))
    data = read(folder)
    np.testing.assert_array_equal(data.test.x, x[40:, None])
    np.testing.assert_array_equal(data.test.y, y[40:])
    assert sum(sizes(data)) == 60
    assert sizes(data)[2] == 20
    single = read(folder / f"train-images-idx3-ubyte{end}")
    assert single.train.y is None
    assert sum(sizes(single)) == 40


def test_csv_with_labels(tmp_path):
    lines = [f"{i},{i / 2},{'cat' if i % 2 else 'dog'},{i % 3 == 0}" for i in range(20)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,animal,flag", *lines]))
    data = read(tmp_path / "t.csv", label_column="animal")
    assert (data.spec.columns, data.spec.classes) == (("a", "b", "flag"), ("cat", "dog"))
    assert data.train.x.dtype == np.float64
    np.testing.assert_array_equal(data.train.y, data.train.x[:, 0] % 2 == 0)
    np.testing.assert_array_equal(data.train.x[:, 1], data.train.x[:, 0] / 2)
    np.testing.assert_array_equal(together(data)[:, 0].sum(), 190)


def test_parquet_is_read_as_csv_is(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet

    table = pa.table({"a": np.arange(20), "b": RNG.normal(size=20), "k": pa.array(list("xy") * 10).dictionary_encode()})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    data = read(tmp_path / "t.parquet", label_column="k")
    assert (data.spec.columns, data.spec.classes, data.spec.shape) == (("a", "b"), ("x", "y"), (2,))
    assert together(data)[:, 0].sum() == 190


@pytest.mark.parametrize("values", [[3, 4] * 10, [3.0, 4.0] * 10, [True, False] * 10])
def test_labels_may_be_integers_or_booleans(tmp_path, values):
    rows = "\n".join(f"{i},{value}" for i, value in enumerate(values))
    (tmp_path / "t.csv").write_text("a,k\n" + rows)
    assert len(read(tmp_path / "t.csv", label_column="k").spec.classes) == 2


def test_text_is_cut_in_order_and_every_token_is_there_once(tmp_path):
    text = "".join(chr(97 + i % 26) for i in range(4099))
    (tmp_path / "t.txt").write_text(text)
    data = read(tmp_path / "t.txt", window=10)
    assert (data.spec.kind, data.spec.levels, data.spec.shape) == ("tokens", 256, (10,))
    assert sizes(data) == [369, 20, 20]
    pieces = b"".join(data.split(part).x.tobytes() for part in PARTS)
    assert pieces == text.encode()[:4090]
    assert read(tmp_path / "t.txt").spec.shape == (128,)


def test_text_by_characters(tmp_path):
    text = "žluťoučký kůň\n" * 200
    (tmp_path / "t.txt").write_text(text, encoding="utf-8")
    data = read(tmp_path / "t.txt", text_unit="characters", window=14, examples=50)
    assert data.spec.vocabulary == tuple(sorted(set(text)))
    assert data.spec.levels == len(set(text))
    assert "".join(data.spec.vocabulary[i] for i in data.train.x[0]) == text[:14]
    assert len(data.train) == 50


def test_more_characters_than_a_byte_holds(tmp_path):
    text = "".join(chr(0x4E00 + i % 400) for i in range(4000))
    (tmp_path / "t.txt").write_text(text, encoding="utf-8")
    data = read(tmp_path / "t.txt", text_unit="characters", window=16)
    assert data.train.x.dtype == np.int64
    assert data.train.x.max() == 399
