"""An argparse parser whose errors are ValueErrors of one line."""

from __future__ import annotations

import argparse
import re
import typing
from collections.abc import Callable, Iterable
from typing import Any, Literal, NoReturn

from thalweg.checks import suggestion
from thalweg.cli.options import Option, plain, read

__all__ = ["Parser"]

# Names of options in other programs, and their names here.
SYNONYMS = {
    "--learning-rate": "--lr", "--epochs": "--examples or --steps", "--iterations": "--steps", "--max-steps": "--steps",
    "--batch": "--batch-size", "--output": "--out", "--name": "--run", "--dataset": "--data", "--gpu": "--device",
    "--num-samples": "-n", "--beta": "--beta1", "--decay": "--weight-decay",
    "--budget": "--minutes, --steps or --examples", "--dim": "--latent-dim",
}  # fmt: skip
JSON = "print one JSON document on stdout and nothing else"


class Parser:
    """A parser whose errors are ValueErrors of one line that name the option.

    `hint(flag)` may explain an unknown option if it resembles none of the known ones.
    """

    def __init__(self, verb: str, about: str, *, usage: str, hint: Callable[[str], str] | None = None) -> None:
        self.verb, self.hint = verb, hint
        self.many = False
        self.aliases: dict[str, str] = {}  # other names that the library has for an option
        self.parser = _Quiet(
            prog=f"thalweg {verb}",
            description=about,
            usage=f"thalweg {usage} [options]",
            allow_abbrev=False,
            argument_default=argparse.SUPPRESS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.options: dict[str, Option] = {}
        self.positionals: dict[str, tuple[str, bool]] = {}
        self.group("output", [Option("json", bool, False, JSON, ("--json",))])

    @property
    def flags(self) -> dict[str, str]:
        """The options as they are typed, by their names in Python."""
        flags = {name: option.typed[-1] for name, option in self.options.items()}
        return flags | {name: name.upper() for name in self.positionals} | self.aliases

    def positional(self, name: str, about: str, *, required: bool = True, many: bool = False) -> None:
        """Add a positional argument, or `many`, called NAME in help texts and errors."""
        self.positionals[name] = (about, required)
        self.many = self.many or many
        nargs = "*" if many else "?"
        self.parser.add_argument(name, nargs=nargs, metavar=name.upper(), help=_escaped(about) or argparse.SUPPRESS)

    def group(self, title: str, options: Iterable[Option]) -> None:
        """Add options under a common title."""
        group = self.parser.add_argument_group(title)
        for option in options:
            assert option.name not in self.options, f"two options are called {option.typed[-1]}"
            self.options[option.name] = option
            about = _escaped(
                option.help + ("" if option.default in (None, "", False) else f" (default: {option.default})")
            )
            if option.name == "json" or option.name.startswith("no_"):  # there is no --no-no-...
                group.add_argument(*option.typed, dest=option.name, action="store_true", help=about)
            elif plain(option.hint) is bool:
                group.add_argument(*option.typed, dest=option.name, action=argparse.BooleanOptionalAction, help=about)
            else:
                metavar = _metavar(plain(option.hint))
                nargs = "+" if option.many else None
                group.add_argument(*option.typed, dest=option.name, metavar=metavar, nargs=nargs, help=about)

    def parse(self, arguments: list[str]) -> dict[str, Any]:
        """Return the options that were given, converted, by their names in Python; `json` is always included."""
        parse = self.parser.parse_known_intermixed_args if self.many else self.parser.parse_known_args
        known, extra = parse(self._joined(arguments))
        for token in extra:
            flag = token.partition("=")[0]
            if not flag.startswith("-"):
                raise ValueError(f"{self.verb}: got '{token}', wanted no further argument (see thalweg {self.verb} -h)")
            typed = [flag for option in self.options.values() for flag in option.typed]
            hint = (self.hint(flag) if self.hint else "") or _synonym(flag, typed) or suggestion(flag, typed)
            raise ValueError(f"{flag}: no such option of thalweg {self.verb}, wanted one that its -h lists{hint}")
        values = {"json": False, **vars(known)}
        for name, (about, required) in self.positionals.items():
            if not values.get(name):
                values.pop(name, None)
                if required:
                    raise ValueError(f"{name.upper()}: got nothing, wanted {about}")
        for name, value in values.items():
            if name in self.options and isinstance(value, str):
                values[name] = read(name, value, self.options[name].hint)
            elif name in self.options and isinstance(value, list):
                values[name] = [read(name, one, self.options[name].hint) for one in value]
        return values

    def require(self, values: dict[str, Any], name: str) -> Any:
        """Return the value of an option without a default, or raise ValueError."""
        if name not in values:
            raise ValueError(f"{name}: got nothing, wanted {self.options[name].help}")
        return values[name]

    def _joined(self, arguments: list[str]) -> list[str]:
        """`--lr -1e-3` → `--lr=-1e-3`: argparse would take the number for an option."""
        takes = {f for o in self.options.values() if plain(o.hint) is not bool for f in o.typed if f.startswith("--")}
        joined: list[str] = []
        for token in arguments:
            if joined and joined[-1] in takes and re.fullmatch(r"-[\d.inf][\w.+-]*", token):
                joined[-1] += f"={token}"
            else:
                joined.append(token)
        return joined


def _synonym(flag: str, typed: list[str]) -> str:
    """Return a hint if the option has another name here that this verb knows."""
    own = SYNONYMS.get(flag, "")
    return f" (did you mean {own}?)" if own and own.split(" ")[0].rstrip(",") in typed else ""


class _Quiet(argparse.ArgumentParser):
    """Converts the errors of argparse to ValueErrors."""

    def error(self, message: str) -> NoReturn:
        match = re.fullmatch(r"argument (\S+): (.*)", message)
        if not match:
            raise ValueError(message)
        flag, what = match[1].split("/")[0], match[2]
        value = re.fullmatch(r"ignored explicit argument '?(.*?)'?", what)
        if value:
            raise ValueError(f"{flag}: got '{value[1]}', wanted no value")
        raise ValueError(
            f"{flag}: got nothing, wanted a value" if what == "expected one argument" else f"{flag}: {what}"
        )


def _metavar(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return "{" + ",".join(map(str, typing.get_args(hint))) + "}"
    return {int: "N", float: "X"}.get(hint, "TEXT")


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
