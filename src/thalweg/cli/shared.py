"""Functions for several verbs: options of the data and the device, output files, tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from thalweg.checks import choice
from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option, options_of_dataclass
from thalweg.config import DataConfig

__all__ = [
    "add_data",
    "add_run_and_input",
    "data_config",
    "device_option",
    "out_file",
    "print_table",
    "seed_option",
    "split_choice",
    "warn",
]

DATA = "embedded or downloadable name, or a path (see thalweg data list)"
# --seed and --examples are options of the training
RENAMED = {"source": "data", "seed": "data_seed", "examples": "data_examples"}


def add_data(parser: Parser, *, source: bool = True) -> None:
    """Add the options of the data."""
    options = []
    if source:
        parser.aliases["data"] = "--data"
    for option in options_of_dataclass(DataConfig):
        if option.name == "source":
            if source:
                options.append(Option("source", str, None, DATA, ("--data",)))
        else:
            flag = "--" + RENAMED.get(option.name, option.name).replace("_", "-")
            name = RENAMED.get(option.name, option.name)
            options.append(Option(name, option.hint, option.default, option.help, (flag,)))
    parser.group("data", options)


def add_run_and_input(parser: Parser, what: str) -> None:
    """Add the run folder, and the data that its model is applied to."""
    parser.aliases["run"] = "DIR"
    parser.positional("dir", "a run folder")
    parser.positional("input", f"{what}: a name or a path (default: the run's own data)", required=False)
    parser.aliases["data"] = "INPUT"
    add_data(parser, source=False)


def data_config(arguments: dict[str, Any], source: str | None = None) -> DataConfig | None:
    """Return the data that the arguments ask for, or None if no source is given."""
    fields = {f: f if f == "source" else RENAMED.get(f, f) for f in DataConfig.__dataclass_fields__}
    settings = {field: arguments[name] for field, name in fields.items() if name in arguments}
    if source is not None:
        settings["source"] = source
    if "source" not in settings:
        if settings:
            first = next(iter(settings))
            name, value = RENAMED.get(first, first), settings[first]
            raise ValueError(f"{name}: got {value!r} without data, wanted the data that it applies to")
        return None
    try:
        return DataConfig(**settings)
    except ValueError as error:
        field, colon, rest = str(error).partition(":")
        raise ValueError(f"{RENAMED.get(field, field)}{colon}{rest}") from None


def device_option() -> Option:
    """Return the option --device."""
    return Option("device", str, "auto", "auto, cpu, cuda, cuda:1, mps ...")


def seed_option(what: str) -> Option:
    """Return the option --seed."""
    return Option("seed", int, 0, f"random seed of {what}")


def out_file(text: str | None, suffixes: Iterable[str]) -> Path:
    """Return the path to write to.

    Raises ValueError where none is given, for an unknown suffix, and for a folder that does not exist.
    """
    suffixes = list(suffixes)
    if text is None:
        raise ValueError(f"out: got nothing, wanted a file name ending in {', '.join(suffixes)}")
    path = Path(text)
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"out: got '{text}', wanted a file name ending in {', '.join(suffixes)}")
    if path.is_dir():
        raise ValueError(f"out: got '{text}', a folder, wanted a file name")
    parent = path.parent
    in_run = (parent.parent / "run.json").is_file() and parent.name == "samples"
    place = parent.parent if in_run and not parent.exists() else parent
    if not place.is_dir():
        raise ValueError(f"out: got '{text}', wanted a folder that exists, but {place} does not")
    if not os.access(place, os.W_OK):
        raise ValueError(f"out: got '{text}', wanted a folder that can be written, but {place} cannot")
    return path


def split_choice(name: str) -> str:
    """Return the split's name, or raise ValueError with the nearest."""
    from thalweg.data.dataset import SPLITS

    return choice("split", name, SPLITS)


def print_table(title: str, columns: list[str], rows: Iterable[Iterable[Any]], *, caption: str = "") -> None:
    """Print a table on stdout; if stdout is not a terminal, it is as wide as its content."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200, highlight=False)
    table = Table(
        title=title, caption=caption or None, box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left"
    )
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console.print(table)


def warn(message: str) -> None:
    """Write a message to stderr, in one line."""
    print(f"thalweg: {' '.join(message.split())}", file=sys.stderr)
