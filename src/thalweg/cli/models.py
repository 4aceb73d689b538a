"""`thalweg models`: the recipes, their abilities and their papers."""

from __future__ import annotations

import inspect
import re
from typing import Any

from thalweg.cli.arguments import Parser
from thalweg.cli.options import Option, options_of_function
from thalweg.cli.shared import print_table
from thalweg.recipes import FAMILIES, recipe

HELP = "list the recipes with their abilities and papers"


def parser(arguments: list[str]) -> Parser:
    """Return the parser, which only has --family."""
    result = Parser(
        "models",
        f"{HELP}\n\nThe number of parameters is that of the defaults, for 28×28 gray images or points of the plane.",
        usage="models",
    )
    result.group("listing", [Option("family", str, None, f"family to list (default: all): {', '.join(FAMILIES)}")])
    return result


def run(arguments: dict[str, Any]) -> dict[str, Any]:
    """Build each recipe's model for standard data, and list its abilities."""
    from thalweg.checks import choice

    asked = [choice("family", arguments["family"], FAMILIES)] if "family" in arguments else list(FAMILIES)
    return {"models": [describe(f, name) for f in asked for name in FAMILIES[f]]}


def describe(family: str, name: str) -> dict[str, Any]:
    """Return the description of a recipe."""
    from thalweg.abilities import ABILITIES, abilities_of

    function = recipe(name)
    doc = inspect.getdoc(function) or ""
    paper = re.search(r"^References?: ((?:.+\n?)+)", doc, re.MULTILINE)
    built: dict[str, dict[str, Any]] = {}
    for spec in standard_specs():
        if spec.kind in built:
            continue
        try:
            model = function(spec).model
        except ValueError:  # the recipe does not support such data
            continue
        count = sum(p.numel() for p in model.parameters())
        built[spec.kind] = {"parameters": count, "abilities": list(abilities_of(model))}
    return {
        "name": name,
        "family": family,
        "about": doc.split("\n\n")[0].replace("\n", " "),
        "abilities": sorted({a for b in built.values() for a in b["abilities"]}, key=list(ABILITIES).index),
        "parameters": {kind: b["parameters"] for kind, b in built.items()},
        "options": {o.name: o.default for o in options_of_function(function)},
        "paper": " ".join(paper[1].replace("*", "").split()) if paper else None,
    }


def standard_specs() -> list[Any]:
    """Return Specs of 28×28 gray images with ten classes, of points of the plane with two, and of single values."""
    from thalweg.data import Spec, class_target

    digits = tuple("0123456789")
    image = Spec(
        name="28×28",
        kind="image",
        shape=(1, 28, 28),
        levels=256,
        mean=(33.3,),
        std=(78.6,),
        target=class_target(digits),
    )
    plane = Spec(
        name="plane", kind="vector", shape=(2,), mean=(0.0, 0.0), std=(1.0, 1.0), target=class_target(("a", "b"))
    )
    return [
        image,
        plane,
        Spec(name="line", kind="vector", shape=(1,), mean=(0.0,), std=(1.0,), target=class_target(("a", "b"))),
    ]


def show(document: dict[str, Any]) -> None:
    """Print a table."""
    rows = [
        [
            m["name"],
            m["family"],
            ", ".join(m["abilities"]),
            ", ".join(f"{n:,} ({kind})" for kind, n in m["parameters"].items()),
            m["paper"] or "",
        ]
        for m in document["models"]
    ]
    print_table("recipes", ["name", "family", "abilities", "parameters", "paper"], rows)
