"""Folders of image files: decoding, sizes, classes, the cache, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thalweg.config import DataConfig
from thalweg.data import Batches, Dataset, images, load

pytestmark = pytest.mark.system("S34")

RNG = np.random.default_rng(0)


def read(folder: Path, **settings) -> Dataset:
    return load(DataConfig(source=str(folder), **settings))


def picture(width: int = 6, height: int = 4, gray: bool = False) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (height, width) if gray else (height, width, 3)).astype(np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve color pictures 6×4."""
    path = tmp_path / "pictures"
    path.mkdir()
    for i in range(12):
        picture().save(path / f"{i:02}.png")
    return path


def everything(data: Dataset) -> set[bytes]:
    return {x.tobytes() for part in ("train", "validation", "test") for x in data.split(part).x}


def test_pixels_are_those_of_the_files(folder):
    data = read(folder)
    assert (data.spec.shape, data.spec.levels, data.spec.classes) == ((3, 4, 6), 256, None)
    assert sum(len(data.split(part)) for part in ("train", "validation", "test")) == 12
    files = {np.asarray(Image.open(path)).transpose(2, 0, 1).tobytes() for path in folder.iterdir()}
    assert everything(data) == files


def test_class_subfolders(tmp_path):
    for name in ("dog", "cat", ".hidden"):
        (tmp_path / "set" / name).mkdir(parents=True)
    for i in range(10):
        Image.new("L", (4, 4), i).save(tmp_path / "set" / "cat" / f"{i}.png")
        Image.new("L", (4, 4), 100 + i).save(tmp_path / "set" / "dog" / f"{i}.bmp")
    (tmp_path / "set" / ".hidden" / "notes").write_text("not looked at")
    data = read(tmp_path / "set")
    assert data.spec.classes == ("cat", "dog")
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(data.split(part).y, data.split(part).x[:, 0, 0, 0] >= 100)
    assert len(read(tmp_path / "set", examples=12).split("all")) == 12


@pytest.mark.parametrize(
    ("modes", "channels", "expected"),
    [("LL", None, 1), ("LR", None, 3), ("LL", "rgb", 3), ("RR", "gray", 1), ("RR", None, 3)],
)
def test_gray_or_color(tmp_path, modes, channels, expected):
    for i in range(12):
        picture(gray=modes[i % 2] == "L").save(tmp_path / f"{i}.png")
    assert read(tmp_path, channels=channels).spec.shape == (expected, 4, 6)


def test_exif_turns_the_picture_upright(tmp_path):
    source = picture(6, 4)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 270° when shown upright
    for i in range(12):
        source.save(tmp_path / f"{i}.png", exif=exif)
    x = read(tmp_path).train.x[0]
    np.testing.assert_array_equal(x, np.rot90(np.asarray(source), 3).transpose(2, 0, 1))


def test_transparent_pixels_are_blended_with_white(tmp_path):
    for i in range(12):
        Image.new("RGBA", (4, 4), (10, 20, 30, 0)).save(tmp_path / f"{i}.png")
    assert (read(tmp_path).train.x == 255).all()


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
def test_resize(tmp_path, resize):
    for i in range(12):
        image = Image.new("L", (12 + 2 * (i % 2), 6), 200)  # white with a dark left third
        image.paste(20, (0, 0, 4, 6))
        image.save(tmp_path / f"{i}.png")
    data = read(tmp_path, resize=resize, image_size=6)
    assert data.spec.shape == (1, 6, 6)
    x = data.train.x[:, 0].astype(int)
    if resize == "crop":  # the middle: little or nothing of the dark part
        assert (x[:, :, 2:] > 150).all()
    elif resize == "pad":
        assert (x[:, 0] == 0).all()
        assert (x[:, -1] == 0).all()
    else:
        assert (x[:, :, 0] < 60).all()
        assert (x[:, :, -1] > 150).all()


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("channels", [1, 3])
def test_one_file_is_read_as_in_its_folder(tmp_path, cache, resize, channels):
    """With the settings of a folder; of several ways to resize, crop is the default."""
    (tmp_path / "in").mkdir()
    x = np.random.default_rng(0).integers(0, 256, (12, 20, 3)).astype(np.uint8)
    for i in range(12):  # enough for all splits
        Image.fromarray(x + np.uint8(i)).save(tmp_path / "in" / f"{i}.png")
    kind = "gray" if channels == 1 else "rgb"
    config = DataConfig(source=str(tmp_path / "in"), image_size=8, resize=resize, channels=kind)
    split = load(config).train
    path = tmp_path / "in" / str(split.index[0])
    one = images.read_image(path, config, (channels, 8, 8))
    assert np.array_equal(one, split.x[0])
    default = images.read_image(path, DataConfig(source="other"), (channels, 8, 8))
    assert np.array_equal(default, one) == (resize == "crop")
    assert images.read_image(path, DataConfig(source="other")).shape == (3, 12, 20)


def test_decoded_once_memory_mapped_and_anew_when_a_file_changes(folder, cache, monkeypatch):
    first = read(folder)
    assert isinstance(first.train.x, np.memmap)
    assert len([path for path in cache.iterdir() if ".keys" not in path.name]) == 1

    def never(*_: object) -> None:
        raise AssertionError("decoded again")

    with monkeypatch.context() as patch:
        patch.setattr(images, "_decode", never)
        again = read(folder)
    assert again.spec == first.spec
    Image.new("RGB", (6, 4)).save(folder / "03.png")
    os.utime(folder / "03.png", ns=(1, 1))
    assert read(folder).spec.fingerprint != first.spec.fingerprint
    with Batches(first.train, 4, resident="no") as ahead:
        x, _ = ahead.get(0)
    assert x.shape == (4, 3, 4, 6)


def assert_refused(folder: Path, *parts: str, **settings) -> None:
    with pytest.raises(ValueError) as caught:
        read(folder, **settings)
    for part in parts:
        assert part in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value)


def damaged(path: Path) -> None:
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3)).astype(np.uint8)).resize((6, 4)).save(path)
    path.write_bytes(path.read_bytes()[:-40])


def truncated_jpeg(path: Path) -> None:
    picture(64, 64).save(path)
    path.write_bytes(path.read_bytes()[:-2000])


def animation(path: Path) -> None:
    picture().save(path, save_all=True, append_images=[picture(), picture()])


def sixteen_bits(path: Path) -> None:
    Image.fromarray(np.full((4, 6), 40_000, np.uint16)).save(path)


def bomb(path: Path) -> None:
    Image.new("1", (20_000, 4_000)).save(path)


def larger_bomb(path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(path)


FILES = {
    "non-image": ("notes.md", lambda path: path.write_text("hello"), ["'notes.md' is no image"]),
    "wrong content": ("a.png", lambda path: path.write_text("hello"), ["a.png", "no readable image"]),
    "truncated png": ("a.png", damaged, ["a.png", "truncated"]),
    "truncated jpeg": ("a.jpg", truncated_jpeg, ["a.jpg", "damaged image", "truncated"]),
    "animation": ("a.gif", animation, ["a.gif", "an animation of 3 frames"]),
    "16 bits": ("a.png", sixteen_bits, ["a.png", "got 16 bits per channel, wanted 8"]),
    "bomb": ("a.png", bomb, ["a.png", "20000×4000 pixels"]),
    "larger bomb": ("a.png", larger_bomb, ["a.png", "pixels"]),
    "other size": ("a.png", lambda path: picture(5, 5).save(path), ["6×4", "a.png' is 5×5", "--resize crop|pad|str"]),
    "link": ("a.png", lambda path: path.symlink_to("00.png"), ["'a.png' is a link"]),
    "mixed": ("deep", lambda path: path.mkdir(), ["beside the folder 'deep'"]),
}


@pytest.mark.parametrize("case", FILES)
def test_refused_by_name_and_nothing_left(folder, cache, case):
    name, make, parts = FILES[case]
    make(folder / name)
    settings = {"resize": "stretch", "image_size": 6} if "truncated" in case else {}
    assert_refused(folder, *parts, **settings)
    assert not cache.exists() or all(".keys" in path.name for path in cache.iterdir())


def test_refused_folders_and_settings(folder, tmp_path):
    assert_refused(folder, "resize: got 'crop', wanted image_size", resize="crop")
    assert_refused(folder, "image_size: got 8", "6×4", "--resize", image_size=8)
    assert_refused(folder, "data_examples: got 50, wanted at most 12", examples=50)
    (tmp_path / "empty").mkdir()
    assert_refused(tmp_path / "empty", "empty: got no image")
    (tmp_path / "split" / "train").mkdir(parents=True)
    (tmp_path / "split" / "test").mkdir()
    assert_refused(tmp_path / "split", "the subfolders test, train, wanted one folder per class")
    (tmp_path / "deep" / "cat" / "inner").mkdir(parents=True)
    assert_refused(tmp_path / "deep", "the folder 'cat/inner'")
    (tmp_path / "hole" / "cat").mkdir(parents=True)
    assert_refused(tmp_path / "hole", "no image in 'cat'")


def test_odd_metadata_raises_no_warning(tmp_path):
    for i in range(12):
        image = Image.new("P", (4, 4), i % 3)
        image.save(tmp_path / f"{i}.png", transparency=b"\x00\xff\xff")
    assert read(tmp_path).spec.shape == (3, 4, 4)
