"""Arguments from dataclasses and signatures."""

from dataclasses import dataclass
from typing import Literal

import pytest

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option, options_of_dataclass, options_of_function, read
from thalweg.config import setting


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A table of settings."""

    size: int | None = setting(None, "of a side; 100 % is all")
    rate: float = 1e-3  # a comment is no help text
    kind: Literal["a", "b"] = setting("a", "which")
    fast: bool = False


def function(
    spec: "NotThere",
    *,
    width: int = 3,
    share: float | None = None,
    deep: bool = True,
    mode: Literal["x", "y"] = "x",
) -> "NorThis":
    """Do it.

    Args:
        width: how wide, a line
            that goes on
        share: part: a half, say
        mode: x or y

    Reference: nobody, 1999.
    """


def parser(options):
    built = Parser("verb", "About.", usage="verb")
    built.group("options", options)
    return built


def test_dataclass():
    result = {o.name: o for o in options_of_dataclass(Settings)}
    assert result["size"].help == "of a side; 100 % is all"
    assert result["kind"].help == "which"
    assert result["rate"].help == ""
    assert result["rate"].default == 1e-3
    built = parser(result.values())
    assert built.parse([]) == {"json": False}
    arguments = built.parse(["--size", "3", "--rate=1e-2", "--kind", "b", "--fast", "--json"])
    assert arguments == {"json": True, "size": 3, "rate": 0.01, "kind": "b", "fast": True}
    assert built.parse(["--no-fast"])["fast"] is False


def test_function():
    result = {o.name: o for o in options_of_function(function)}
    assert list(result) == ["width", "share", "deep", "mode"]
    assert result["width"].help == "how wide, a line that goes on"
    assert result["share"].help == "part: a half, say"
    assert result["deep"].default is True
    arguments = parser(result.values()).parse(["--width", "4", "--share", "-.5", "--no-deep"])
    assert arguments == {"json": False, "width": 4, "share": -0.5, "deep": False}


def test_help_shows_defaults_and_percent_signs(capsys):
    with pytest.raises(SystemExit):
        parser(options_of_dataclass(Settings)).parse(["-h"])
    out = capsys.readouterr().out
    assert "100 % is all" in out
    assert "(default: 0.001)" in out


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("12", int, 12),
        ("-12", int | None, -12),
        ("1e3", int, 1000),
        ("90071992547409931", int, 90071992547409931),
        ("1e-3", float, 0.001),
        ("7", float | None, 7.0),
        ("b", Literal["a", "b"], "b"),
        ("3", Literal[3, 5], 3),
        ("x y", str, "x y"),
    ],
)
def test_read(text, hint, value):
    got = read("name", text, hint)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("text", "hint"), [("1.5", int), ("x", int), ("inf", int), ("", float), ("nan", float), ("c", Literal["a", "b"])]
)
def test_refuse(text, hint):
    with pytest.raises(ValueError, match=r"^name: got '.*', wanted "):
        read("name", text, hint)


def test_two_options_with_one_name_are_an_assertion_error():
    built = parser([Option("size", int)])
    with pytest.raises(AssertionError, match="--size"):
        built.group("more", [Option("size", int)])


def test_negative_numbers_are_values_in_every_spelling():
    built = parser([Option("x", float), Option("n", int, flags=("-n",))])
    for text in ("-1", "-1e-3", "-.5", "-1.5E+2"):
        assert built.parse(["--x", text])["x"] == float(text)
    with pytest.raises(ValueError, match="-n: got nothing"):
        built.parse(["-n"])
