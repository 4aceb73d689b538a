"""Splits do not change when examples are added, keep duplicates and groups together, and warn where they cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thalweg.config import DataConfig
from thalweg.data import Dataset, info, load
from thalweg.data.quality import duplicates, warnings_of
from thalweg.data.splits import TEST, TRAIN, VALIDATION, assign, content_keys, keys_of

RNG = np.random.default_rng(0)
PARTS = ("train", "validation", "test")


def members(data: Dataset) -> dict[str, set[bytes]]:
    return {part: {x.tobytes() for x in data.split(part).x} for part in PARTS}


def write_csv(path: Path, x: np.ndarray, names: str = "a,b", extra: list[str] | None = None) -> Path:
    rows = [",".join(map(repr, row)) for row in x.tolist()]
    if extra is not None:
        rows = [f"{row},{value}" for row, value in zip(rows, extra, strict=True)]
    path.write_text("\n".join([names, *rows]) + "\n")
    return path


def write_npz(path: Path, x: np.ndarray) -> Path:
    np.savez(path, x=x)
    return path


def write_images(path: Path, x: np.ndarray) -> Path:
    path.mkdir(exist_ok=True)
    for i, row in enumerate(x):
        level = (np.abs(row[0]) * 1e4).astype(int) % 256
        Image.fromarray(np.array([[level, i % 256], [i // 256, 7]], np.uint8)).save(path / f"{i:04}.png")
    return path


WRITERS = {"t.csv": write_csv, "t.npz": write_npz, "images": write_images}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("seed", [0, 1])
def test_added_examples_do_not_change_the_split_of_others(tmp_path: Path, cache: Path, name: str, seed: int) -> None:
    x = RNG.normal(size=(300, 2))
    config = DataConfig(source=str(tmp_path / name), seed=seed)
    WRITERS[name](tmp_path / name, x[:200])
    before = load(config)
    WRITERS[name](tmp_path / name, x)
    after = load(config)
    assert before.spec.fingerprint != after.spec.fingerprint
    for part in PARTS:
        assert members(before)[part] <= members(after)[part]
    assert sum(len(after.split(part)) for part in PARTS) == 300


def test_the_order_of_the_source_is_kept_and_recorded(tmp_path: Path) -> None:
    x = RNG.normal(size=(100, 2))
    data = load(DataConfig(source=str(write_csv(tmp_path / "t.csv", x))))
    for part in PARTS:
        split = data.split(part)
        assert split.index is not None
        assert (np.diff(split.index) > 0).all()
        np.testing.assert_array_equal(split.x, x[split.index])
    np.testing.assert_array_equal(data.split("all").x, x)


def test_shares_are_met_and_the_seed_matters() -> None:
    keys = content_keys(RNG.normal(size=(20_000, 1)))
    one, two = (assign(keys, test=0.1, validation=0.3, seed=seed) for seed in (0, 1))
    for part, share in ((TEST, 0.1), (VALIDATION, 0.3), (TRAIN, 0.6)):
        assert abs((one == part).mean() - share) < 5 * np.sqrt(share * (1 - share) / 20_000)
    assert abs((one == two).mean() - (0.1**2 + 0.3**2 + 0.6**2)) < 0.02  # independent


@pytest.mark.parametrize("n", [10, 11, 15])
@pytest.mark.parametrize("seed", range(5))
def test_few_examples_leave_no_split_empty(tmp_path: Path, n: int, seed: int) -> None:
    source = write_csv(tmp_path / "t.csv", RNG.normal(size=(n, 2)))
    data = load(DataConfig(source=str(source), seed=seed))
    assert min(len(data.split(part)) for part in PARTS) >= 1
    assert len(load(DataConfig(source=str(source), seed=seed, test=0.0)).test) == 0


def test_copies_are_in_one_split_and_counted(tmp_path: Path) -> None:
    x = RNG.normal(size=(150, 2))
    source = str(write_csv(tmp_path / "t.csv", np.concatenate([x, x])))
    data = load(DataConfig(source=source))
    count = duplicates(data)
    assert count["test in training"] == count["validation in training"] == 0
    assert count["repeated"] == len(data.train) / 2
    assert "duplicates of others" in warnings_of(data)[0]
    assert "--deduplicate" in info(DataConfig(source=source))["warnings"][0]
    once = load(DataConfig(source=source, deduplicate=True))
    assert sum(len(once.split(part)) for part in PARTS) == 150
    assert not warnings_of(once)
    np.testing.assert_array_equal(once.split("all").x, x)


def test_copies_across_splits_of_the_source_are_counted(tmp_path: Path) -> None:
    x = RNG.normal(size=(60, 2))
    np.savez(tmp_path / "t.npz", x_train=x[:50], x_test=x[40:])
    data = load(DataConfig(source=str(tmp_path / "t.npz")))
    same = duplicates(data)["test in training"]
    assert same == sum(row.tobytes() in members(data)["train"] for row in x[40:50])
    assert f"{same} of 20 test examples are also training examples" in warnings_of(data)[0]
    without = load(DataConfig(source=str(tmp_path / "t.npz"), deduplicate=True))
    assert duplicates(without)["test in training"] == 0
    assert len(without.test) == 20


def test_groups_stay_together(tmp_path: Path) -> None:
    who = [f"p{i % 30}" for i in range(300)]
    source = str(write_csv(tmp_path / "t.csv", RNG.normal(size=(300, 2)), "a,b,who", who))
    data = load(DataConfig(source=source, split_by="who"))
    assert data.spec.columns == ("a", "b")
    seen = {part: {who[i] for i in data.split(part).index} for part in PARTS}  # type: ignore[union-attr]
    assert not seen["train"] & seen["test"]
    assert not seen["train"] & seen["validation"]
    assert all(seen.values())
    with pytest.raises(ValueError, match="split_by: got 'whom', wanted one of a, b, who"):
        load(DataConfig(source=source, split_by="whom"))


def test_folders_stay_together(tmp_path: Path, cache: Path) -> None:
    for folder in range(12):
        (tmp_path / "in" / f"c{folder}").mkdir(parents=True)
        for i in range(3):
            image = Image.fromarray(RNG.integers(0, 256, (4, 4)).astype(np.uint8))
            image.save(tmp_path / "in" / f"c{folder}" / f"{i}.png")
    data = load(DataConfig(source=str(tmp_path / "in"), split_by="folder"))
    seen = [{name.split("/")[0] for name in data.split(part).index} for part in PARTS]  # type: ignore[union-attr]
    assert not seen[0] & (seen[1] | seen[2])
    assert all(seen)


def test_a_subset_is_stable(tmp_path: Path) -> None:
    x = RNG.normal(size=(400, 2))
    source = str(write_csv(tmp_path / "t.csv", x))
    small, large = (load(DataConfig(source=source, examples=n)) for n in (100, 200))
    for part in PARTS:
        assert members(small)[part] <= members(large)[part]
    assert len(small.split("all")) == 100


def test_data_that_cannot_change_have_exact_shares() -> None:
    sizes = [len(load(DataConfig(source="digits")).split(part)) for part in PARTS]
    assert sizes == [1437, 180, 180]


def test_keys_distinguish_contents() -> None:
    assert len(np.unique(content_keys(np.arange(1 << 12, dtype=np.uint16)[:, None]))) == 1 << 12
    assert keys_of([b"a"])[0] == keys_of([b"a"])[0] != keys_of([b"b"])[0]
