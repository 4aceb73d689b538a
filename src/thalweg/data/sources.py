"""Sources of data: one table of names, and paths distinguished by their suffixes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from thalweg.checks import suggestion
from thalweg.config import DataConfig
from thalweg.data.assemble import Raw, assemble, of_classes
from thalweg.data.dataset import Dataset, Spec

__all__ = ["SOURCES", "fetch", "info", "inherited", "load", "names"]


class Source(NamedTuple):
    """One named source: its origin, kind, description and license."""

    origin: str  # embedded: part of an installed package; generated from the seed; download
    kind: str
    description: str
    license: str


_TOY = "Thalweg, Apache-2.0"
_FASHION = "Zalando Research, MIT"

# fmt: off
SOURCES: dict[str, Source] = {
    "digits": Source("embedded", "image", "1,797 scans of handwritten digits, 8×8, 17 levels, 10 classes", "scikit-learn, from UCI ML Repository, CC BY 4.0"),  # noqa: E501
    "glyphs": Source("generated", "image", "letters and digits in 12 fonts under random affine maps, factors known", "DejaVu and STIX fonts of matplotlib, free licenses"),  # noqa: E501
    "moons": Source("generated", "vector", "two interleaved half circles in the plane, exact density", _TOY),
    "rings": Source("generated", "vector", "concentric rings in the plane, exact density", _TOY),
    "pinwheel": Source("generated", "vector", "bent arms around a center, exact density", _TOY),
    "checkerboard": Source("generated", "vector", "uniform on the dark squares of a board, exact density", _TOY),
    "spiral": Source("generated", "vector", "a spiral in the plane, exact density", _TOY),
    "eight-gaussians": Source("generated", "vector", "eight Gaussians on a circle, exact density", _TOY),
    "grid-gaussians": Source("generated", "vector", "Gaussians on a square grid, exact density", _TOY),
    "three-gaussians": Source("generated", "vector", "a mixture of three Gaussians in the plane, exact density", _TOY),
    "mixture-1d": Source("generated", "vector", "a mixture of Gaussians on the line, exact density", _TOY),
    "mnist": Source("download", "image", "70,000 handwritten digits, 28×28 gray, 10 classes", "LeCun, Cortes, Burges, CC BY-SA 3.0"),  # noqa: E501
    "fashion-mnist": Source("download", "image", "70,000 pictures of clothing, 28×28 gray, 10 classes", _FASHION),
    "cifar10": Source("download", "image", "60,000 photographs, 32×32 color, 10 classes", "Krizhevsky 2009, no license stated"),  # noqa: E501
}
# fmt: on

_SPLIT = ("validation", "test")
INHERITED = (
    "image_size", "channels", "resize", "label_column", "classes", "split_by", "deduplicate", "text_unit",
    "window", *_SPLIT,
)  # fmt: skip
# the settings of DataConfig that concern each way of reading, beside `source` and `seed`
_SETTINGS: dict[str, tuple[str, ...]] = {
    "digits": ("examples", "classes", "deduplicate", *_SPLIT),
    "glyphs": ("examples", "classes", "image_size", *_SPLIT),
    "toy density": ("examples", *_SPLIT),
    "download": ("examples", "classes", "validation", "deduplicate"),
    "folder of images": ("examples", "classes", "image_size", "channels", "resize", "split_by", "deduplicate", *_SPLIT),
    ".npz file": ("examples", "classes", "deduplicate", *_SPLIT),
    "IDX data": ("examples", "classes", "deduplicate", *_SPLIT),
    "table": ("examples", "classes", "label_column", "split_by", "deduplicate", *_SPLIT),
    "text": ("examples", "text_unit", "window", *_SPLIT),
}


def load(config: DataConfig, like: Spec | None = None) -> Dataset:
    """Read or generate the data that `config` names: a name of `names()`, or a path.

    Paths are a folder of images (class subfolders optional), `.npz`, IDX files (or a folder with the four of MNIST),
    `.csv`, `.parquet`, `.txt`. A name has priority over a path: write `./digits` for a folder of that name. The result
    is a function of the configuration and of the files. Pickles are never loaded.

    `like` is the Spec of the data that a model was trained on: the data are read for that model, see `assemble`.

    Raises ValueError, in one line, for an unknown source, a setting that does not concern it, and unusable data.

    >>> data = load(DataConfig(source="digits"))
    >>> data.train.x.shape, data.train.x.dtype, data.spec.levels
    ((1437, 1, 8, 8), dtype('uint8'), 17)
    """
    way, name, read = _reader(config, like)
    _refuse_others(config, way, name)
    raw = read()
    if config.classes is not None:
        raw = of_classes(name, raw, config.classes)
    for part in _SPLIT:
        if like is None and not raw.divided and getattr(raw, part) is not None and getattr(config, part) is not None:
            raise ValueError(f"{part}: got {getattr(config, part)}, but '{name}' has a {part} set of its own")
    return assemble(name, raw, config, like)


def inherited(config: DataConfig, own: DataConfig) -> DataConfig:
    """Return `config` with the settings of `own`, a run's, for reading and splitting that it does not set itself.

    A row that the run was trained on is therefore also a training row of the other data, if they contain it.

    >>> inherited(DataConfig(source="digits"), DataConfig(source="digits", image_size=8)).image_size is None
    True
    """
    way, _, _ = _reader(config, None)
    names = [name for name in INHERITED if name in _SETTINGS[way] and getattr(config, name) is None]
    return dataclasses.replace(config, seed=config.seed or own.seed, **{name: getattr(own, name) for name in names})


def _reader(config: DataConfig, like: Spec | None) -> tuple[str, str, Callable[[], Raw]]:
    """Return the way of reading, the name of the data, and the function that reads them."""
    name = config.source
    if name in SOURCES:
        if SOURCES[name].origin == "download":
            from thalweg.data import download

            return "download", name, lambda: download.read(name)
        from thalweg.data import embedded

        if name in ("digits", "glyphs"):
            return name, name, lambda: getattr(embedded, name)(config)
        return "toy density", name, lambda: embedded.toy(name, config)
    if not name:
        raise ValueError(f"data: got an empty name, wanted a path that exists or one of {', '.join(SOURCES)}")
    path = Path(name).expanduser()
    path = path if path.name else path.resolve()  # of "." messages need the name
    if not path.exists():
        raise ValueError(f"data: got '{name}', wanted a path that exists or one of {', '.join(SOURCES)}"
                         f"{suggestion(name, SOURCES)}")  # fmt: skip
    if not (path.is_file() or path.is_dir()):
        raise ValueError(f"data: got '{name}', a pipe or device, wanted a regular file or a folder")
    return _path_reader(path, config, like)


def _path_reader(path: Path, config: DataConfig, like: Spec | None) -> tuple[str, str, Callable[[], Raw]]:
    from thalweg.data import arrays

    name, suffix = path.resolve().name, path.suffix.lower()
    if path.is_dir():
        if arrays.idx_folder(path):
            return "IDX data", name, lambda: arrays.read_idx(path)
        from thalweg.data import images

        return "folder of images", name, lambda: images.read_folder(path, config)
    if suffix == ".npz":
        return ".npz file", name, lambda: arrays.read_npz(path)
    if suffix in (".csv", ".parquet"):
        from thalweg.data import table

        return "table", name, lambda: table.read_table(path, config, like)
    if suffix == ".txt":
        from thalweg.data import text

        return "text", name, lambda: text.read_text(path, config)
    if "idx" in "".join(path.suffixes).lower() or "-idx" in path.name:
        return "IDX data", name, lambda: arrays.read_idx(path)
    raise ValueError(
        f"data: got '{path.name}', wanted a folder of images, or a file .npz, .csv, .parquet, .txt or IDX (its name has"
        " 'idx')"
    )


def _refuse_others(config: DataConfig, way: str, name: str) -> None:
    for field in dataclasses.fields(config):
        if field.name in ("source", "seed", *_SETTINGS[way]) or getattr(config, field.name) is None:
            continue
        owners = [other for other, settings in _SETTINGS.items() if field.name in settings]
        raise ValueError(
            f"{field.name}: got {getattr(config, field.name)!r} for '{name}' ({way}), wanted none: it concerns"
            f" {', '.join(owners)}"
        )


def names() -> list[dict[str, str]]:
    """Return name, origin, kind, description and license of each named source.

    >>> [row["name"] for row in names() if row["origin"] == "download"]
    ['mnist', 'fashion-mnist', 'cifar10']
    """
    return [{"name": name, **source._asdict()} for name, source in SOURCES.items()]


def fetch(name: str) -> list[Path]:
    """Return the files of a named source, downloaded where necessary; none for a source without files.

    Raises ValueError if they can neither be found nor downloaded, or differ from the published files.
    """
    from thalweg.checks import choice

    if SOURCES[choice("data", name, SOURCES)].origin != "download":
        return []
    from thalweg.data import download

    return download.fetch(name)


def info(config: DataConfig) -> dict[str, Any]:
    """Return a description of the data as an object that `json.dumps` accepts.

    >>> info(DataConfig(source="digits"))["examples"]
    {'train': 1437, 'validation': 180, 'test': 180}
    """
    import numpy as np

    from thalweg.data.quality import warnings_of

    data = load(config)
    spec = dataclasses.asdict(data.spec)
    splits = {part: data.split(part) for part in ("train", "validation", "test")}
    counts = None
    if data.spec.classes is not None:
        counts = {
            part: dict(zip(data.spec.classes, np.bincount(s.y, minlength=len(data.spec.classes)).tolist(), strict=True))
            for part, s in splits.items()
            if s.y is not None
        }
    source = SOURCES.get(config.source)
    return {
        **{key: list(value) if isinstance(value, tuple) else value for key, value in spec.items()},
        "examples": {part: len(split) for part, split in splits.items()},
        "classes": None if data.spec.classes is None else list(data.spec.classes),
        "class_counts": counts,
        "factors": sorted(data.train.factors),
        "exact_density": data.density is not None,
        "warnings": warnings_of(data),
        "description": source.description if source else f"read from {config.source}",
        "license": source.license if source else None,
    }
