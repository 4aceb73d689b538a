"""The files of a folder of images."""

from __future__ import annotations

from pathlib import Path

__all__ = ["SUFFIXES", "entries", "list_images"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pnm")
CLUTTER = ("thumbs.db", "desktop.ini")


def list_images(folder: Path) -> tuple[list[Path], list[int] | None, tuple[str, ...] | None]:
    """Return files in the order of their names, class indices and class names (None without subfolders)."""
    own, subfolders = entries(folder)
    if not subfolders:
        return own, None, None
    if own:
        raise ValueError(
            f"{folder.name}: got the image '{own[0].name}' beside the folder '{subfolders[0].name}', wanted only images"
            " or only folders, one per class"
        )
    names = {path.name.lower() for path in subfolders}
    if names <= {"train", "training", "val", "valid", "validation", "test"}:
        raise ValueError(f"{folder.name}: got the subfolders {', '.join(sorted(names))}, wanted one folder per class;"
                         " give one of them, or merge them")  # fmt: skip
    files: list[Path] = []
    labels: list[int] = []
    for label, subfolder in enumerate(subfolders):
        inside, deeper = entries(subfolder)
        if deeper:
            raise ValueError(f"{folder.name}: got the folder '{subfolder.name}/{deeper[0].name}', wanted only images"
                             f" in '{subfolder.name}'")  # fmt: skip
        if not inside:
            raise ValueError(f"{folder.name}: got no image in '{subfolder.name}', wanted some or no such folder")
        files += inside
        labels += [label] * len(inside)
    return files, labels, tuple(path.name for path in subfolders)


def entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return image files and subfolders, sorted by name. Hidden entries are ignored, links are refused."""
    files, subfolders = [], []
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.startswith(".") or path.name.lower() in CLUTTER:
            continue
        if path.is_symlink():
            raise ValueError(f"{folder.name}: '{path.name}' is a link, wanted the file itself")
        if path.is_dir():
            subfolders.append(path)
        elif not path.is_file():
            raise ValueError(f"{folder.name}: '{path.name}' is a pipe or device, wanted regular files")
        elif path.suffix.lower() in SUFFIXES:
            files.append(path)
        else:
            raise ValueError(f"{folder.name}: '{path.name}' is no image, wanted only files {', '.join(SUFFIXES)}")
    return files, subfolders
