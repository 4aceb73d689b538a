"""A folder of image files, decoded once into a memory-mapped array."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.config import DataConfig
from thalweg.data.assemble import Raw, shares
from thalweg.data.dataset import Split, class_target
from thalweg.data.folder import SUFFIXES, list_images
from thalweg.data.splits import TEST, TRAIN, VALIDATION, assign, first_of_each, keys_of, stable_subset
from thalweg.files import atomic_path

__all__ = ["read_folder", "read_image"]

Array = np.ndarray[Any, Any]

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
MAX_PIXELS = 64_000_000  # of one file; larger ones may be decompression bombs
ROTATED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
GRAY = ("1", "L", "LA")


@dataclass(frozen=True)
class Header:
    """The properties of a file that are known before it is decoded."""

    path: Path
    size: tuple[int, int]  # width, height, upright
    gray: bool


def read_folder(folder: Path, config: DataConfig) -> Raw:
    """Read a folder of images, or of one subfolder of images per class, as uint8 (C, H, W).

    Images are in color unless all are gray or `channels` says otherwise; they are rotated as EXIF states, and
    transparent pixels are blended with white. All must have one size, or `resize` makes squares of side `image_size`:
    crop (scale the shorter side, cut out the center), pad (scale the longer side, black borders), stretch. They are
    decoded once: the cache folder keeps the array under a hash of paths, sizes, times and settings, and a memory map of
    it is returned.

    Raises ValueError naming the file that is no image, is damaged, animated, has more than 8 bits or too many pixels,
    is a link, or has another size.
    """
    if config.resize is not None and config.image_size is None:
        raise ValueError(f"resize: got '{config.resize}', wanted image_size with it")
    files, labels, classes = list_images(folder)
    if not files:
        raise ValueError(f"{folder.name}: got no image, wanted files {', '.join(SUFFIXES)} or subfolders of them")
    if config.split_by not in (None, "folder") or (config.split_by and classes is None):
        raise ValueError(f"split_by: got '{config.split_by}', wanted folder, of images in subfolders")
    if config.examples is not None and config.examples > len(files):
        raise ValueError(
            f"data_examples: got {config.examples}, wanted at most {len(files)}, which '{folder.name}' has"
        )
    names = [path.relative_to(folder).as_posix() for path in files]
    keys = _file_keys(folder, files)
    rows = first_of_each(keys) if config.deduplicate else np.arange(len(files))
    if config.examples is not None:
        rows = rows[stable_subset(keys[rows], config.examples, config.seed)]
    groups = keys if config.split_by is None else keys_of(str(label).encode() for label in labels or ())
    parts = assign(groups[rows], seed=config.seed, **shares(config))
    # The array holds one split after another, so that each is a slice of the memory map and nothing is copied.
    rows = np.concatenate([rows[parts == part] for part in (TRAIN, VALIDATION, TEST)])
    ordered = [files[i] for i in rows]
    target = _cached(folder, ordered, config)
    if not target.exists():
        _decode_all(ordered, _survey(folder, files, config), config, target)
    x = np.load(target, mmap_mode="r", allow_pickle=False)
    y = None if labels is None else np.array(labels, np.int64)[rows]
    index = np.array(names)[rows]
    ends = np.cumsum([0, *(int((parts == part).sum()) for part in (TRAIN, VALIDATION, TEST))])
    train, validation, test = (
        Split(x[a:b], None if y is None else y[a:b], index=index[a:b]) for a, b in itertools.pairwise(ends)
    )
    return Raw(
        kind="image",
        train=train,
        validation=validation,
        test=test,
        levels=256,
        target=class_target(classes),
        divided=True,
    )


def read_image(path: Path, config: DataConfig, shape: tuple[int, int, int] | None = None) -> Array:
    """Return one image file as uint8 (C, H, W), of that `shape`, or of the file's own size.

    It is resized as `config` says, by default cropped, and otherwise read like the files of a folder.

    Raises ValueError for a file that does not exist, and for those that `read_folder` refuses.
    """
    if not path.is_file():
        raise ValueError(f"image: got '{path}', wanted an image file that exists")
    path = path.resolve()  # errors name its folder
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = _header(path)
        channels = 1 if config.channels == "gray" or (config.channels is None and header.gray) else 3
        wanted = shape or (channels, header.size[1], header.size[0])
        return _decode(path, wanted, replace(config, resize=config.resize or "crop"))


def _file_keys(folder: Path, files: list[Path]) -> Array:
    """Return a hash of each file's bytes, uint64 (N,), kept in the cache folder."""
    target = _cached(folder, files, DataConfig(source="keys")).with_suffix(".keys.npy")
    if not target.exists():
        keys = keys_of(path.read_bytes() for path in files)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as temporary:
            np.save(temporary, keys)
    return np.asarray(np.load(target, allow_pickle=False))


def _cached(folder: Path, files: list[Path], config: DataConfig) -> Path:
    from thalweg.data.download import cache_folder

    digest = hashlib.blake2b(digest_size=12)
    digest.update(repr((1, str(folder.resolve()), config.image_size, config.channels, config.resize)).encode())
    for path in files:
        stat = path.stat()
        digest.update(repr((path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns)).encode())
    return cache_folder() / f"images-{digest.hexdigest()}.npy"


def _survey(folder: Path, files: list[Path], config: DataConfig) -> tuple[int, int, int]:
    """Read all headers; return the one shape (C, H, W) that the images will have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's warnings of metadata and of large files, which `_header` refuses
        headers = [_header(path) for path in files]
    size = headers[0].size
    target = None if config.image_size is None else (config.image_size, config.image_size)
    if config.resize is None:
        for other in headers:
            if other.size != size:
                raise ValueError(
                    f"{folder.name}: '{_named(files[0])}' is {_by(size)} and '{_named(other.path)}' is"
                    f" {_by(other.size)}, wanted one size: give --resize crop|pad|stretch --image-size N"
                )
        if target not in (None, size):
            raise ValueError(
                f"image_size: got {config.image_size}, but the images of '{folder.name}' are {_by(size)}; wanted"
                " --resize crop|pad|stretch with it"
            )
    width, height = target or size
    gray = config.channels == "gray" or (config.channels is None and all(header.gray for header in headers))
    return (1 if gray else 3), height, width


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"


def _header(path: Path) -> Header:
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # MPO: photographs of some phones
            mode, turn = image.mode, image.getexif().get(0x0112)
            bits = _bits(path, image)
    except Image.DecompressionBombError:
        raise ValueError(f"{_named(path)}: got more than {MAX_PIXELS} pixels, wanted a smaller image") from None
    except Exception as error:  # decoders raise errors of any type on damaged files
        raise ValueError(
            f"{_named(path)}: got no readable image ({_reason(error)}), wanted {', '.join(FORMATS)}"
        ) from None
    if width * height > MAX_PIXELS:
        raise ValueError(f"{_named(path)}: got {width}×{height} pixels, wanted at most {MAX_PIXELS}")
    if frames > 1:
        raise ValueError(f"{_named(path)}: got an animation of {frames} frames, wanted a single image")
    if bits > 8:
        raise ValueError(f"{_named(path)}: got {bits} bits per channel, wanted 8")
    if mode.startswith(("I", "F")):
        raise ValueError(f"{_named(path)}: got pixels of type {mode}, wanted 8 bits per channel")
    size = (height, width) if turn in ROTATED else (width, height)
    return Header(path, size, mode in GRAY)


def _named(path: Path) -> str:
    """Return the name of a file with that of its folder, since the folders of two classes may have equal names."""
    return f"{path.parent.name}/{path.name}"


def _bits(path: Path, image: Any) -> int:
    """Return the bits per channel of the file, which Pillow silently reduces to 8."""
    with path.open("rb") as file:
        head = file.read(256)
    if image.format == "PNG":
        return head[24]
    if image.format == "TIFF":
        return int(max(np.ravel(image.tag_v2.get(258, 8))))
    portable = re.match(rb"P[2356]\s+(?:#[^\n]*\n\s*)*\d+\s+\d+\s+(\d+)", head) if image.format == "PPM" else None
    return 16 if portable and int(portable[1]) > 255 else 8


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].split(" '/")[0]


def _decode(path: Path, shape: tuple[int, int, int], config: DataConfig) -> Array:
    """Decode one file to (C, H, W)."""
    from PIL import Image, ImageOps

    channels, height, width = shape
    try:
        with Image.open(path, formats=FORMATS) as file:
            image: Any = ImageOps.exif_transpose(file)
            if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image = image.convert("L" if channels == 1 else "RGB")
    except Exception as error:  # decoders raise errors of any type on damaged files
        raise ValueError(f"{path.name}: got a damaged image ({_reason(error)}), wanted a complete one") from None
    if image.size != (width, height):
        if config.resize == "crop":
            image = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
        elif config.resize == "pad":
            image = ImageOps.pad(image, (width, height), Image.Resampling.BICUBIC)
        else:
            image = image.resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _decode_all(files: list[Path], shape: tuple[int, int, int], config: DataConfig, target: Path) -> None:
    """Decode all files into `target`, which appears only when it is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as temporary:
        out = np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(files), *shape))

        def decode(start: int) -> None:
            for i in range(start, min(start + 64, len(files))):
                out[i] = _decode(files[i], shape, config)

        with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            warnings.simplefilter("ignore")
            for _ in pool.map(decode, range(0, len(files), 64)):
                pass
        out.flush()
