"""Options of the command line, from the fields of dataclasses and the signatures of functions."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import textwrap
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from thalweg.checks import suggestion
from thalweg.config import keyword_options, option_groups

__all__ = ["Option", "options_of_dataclass", "options_of_function", "plain", "read"]


@dataclass(frozen=True)
class Option:
    """An option of the command line: its name in Python, its annotation, its default and its help text."""

    name: str
    hint: Any = str
    default: Any = None
    help: str = ""
    flags: tuple[str, ...] = ()  # as it is typed; by default --the-name
    many: bool = False  # one or more values, a list

    @property
    def typed(self) -> tuple[str, ...]:
        """The option as it is typed."""
        return self.flags or ("--" + self.name.replace("_", "-"),)


def plain(hint: Any) -> Any:
    """Return the annotation without its `| None`.

    >>> plain(int | None)
    <class 'int'>
    """
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = [a for a in typing.get_args(hint) if a is not type(None)]
        assert len(inner) == 1, f"an option has one type, not {hint}"
        return inner[0]
    return hint


def read(name: str, text: str, hint: Any) -> Any:
    """Return the value of `text` according to the annotation, or raise ValueError with the option's name.

    >>> read("steps", "1e3", int | None)
    1000
    >>> read("likelihood", "gausian", Literal["bernoulli", "gaussian"])
    Traceback (most recent call last):
    ValueError: likelihood: got 'gausian', wanted one of bernoulli, gaussian (did you mean 'gaussian'?)
    """
    hint = plain(hint)
    if typing.get_origin(hint) is Literal:
        known = {str(value): value for value in typing.get_args(hint)}
        if text not in known:
            raise ValueError(f"{name}: got '{text}', wanted one of {', '.join(known)}{suggestion(text, known)}")
        return known[text]
    if hint is str:
        return text
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or (hint is int and number != int(number)):
        raise ValueError(f"{name}: got '{text}', wanted {'an integer' if hint is int else 'a number'}")
    if hint is int and re.fullmatch(r"[+-]?\d+", text):
        return int(text)  # integers beyond 2⁵³ are exact
    return hint(number)


def options_of_dataclass(cls: type) -> list[Option]:
    """Return the fields of a dataclass as options; the help is in a field's metadata."""
    hints = typing.get_type_hints(cls)
    return [
        Option(
            f.name,
            hints[f.name],
            None if f.default is dataclasses.MISSING else f.default,
            f.metadata.get("help", ""),
        )
        for f in dataclasses.fields(cls)
    ]


def options_of_function(function: Callable[..., Any]) -> list[Option]:
    """Return the keyword-only parameters of a function as options, with the fields of option groups in their place.

    The help is in the docstring's `Args` or, of the fields of a group, in their metadata; `Args` take precedence.
    """
    groups = option_groups(function).values()
    helps = {f.name: f.metadata.get("help", "") for group in groups for f in dataclasses.fields(group)}
    helps |= _args_section(function)
    return [
        Option(name, hint, default, helps.get(name, "")) for name, (hint, default) in keyword_options(function).items()
    ]


def _args_section(function: Callable[..., Any]) -> dict[str, str]:
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)*)", inspect.getdoc(function) or "", re.MULTILINE)
    if not section:
        return {}
    entries = re.findall(r"^(\w+):[ ]?((?:.*\n?)(?:[ \t]+.*\n?|\n)*)", textwrap.dedent(section[1]), re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}
