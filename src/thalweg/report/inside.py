"""What classifiers of images look at: the section of the report, and the page of one image by all methods."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from thalweg.evaluation.estimates.figures import Figure, ImageGrid
from thalweg.report.markup import Markup, number, rich, tag
from thalweg.report.mistakes import captioned
from thalweg.report.page import page
from thalweg.report.svg import Style

__all__ = ["Shown", "image_page", "looks_at"]

LEAD = (
    "A map shows what this network's score depends on, which is not an explanation of the image. Each map is scaled by "
    "itself: compare places within a map, not brightness between maps."
)


def looks_at(report: Mapping[str, Any], drawn: Mapping[str, Sequence[Figure]], styles: Mapping[str, Style]) -> Markup:
    """Return the maps and nearest training images of each model, and the reasons where there are none."""
    tables = report.get("tables", {})
    reasons = [
        tag("li", tag("b", name), f", {what}: {reason}")
        for name in styles
        for what, reason in tables.get(name, {}).get("inside", {}).items()
    ]
    known = [f for name in styles for f in drawn.get(name, []) if isinstance(f, ImageGrid) and f.section == "inside"]
    sides = []
    for panel in dict.fromkeys(figure.panel for figure in known):
        part = {name: [f for f in figures if getattr(f, "panel", "") == panel] for name, figures in drawn.items()}
        sides.append(tag("div", captioned("inside", part, report["data"], styles), class_="panels wide"))
    return rich(sides, tag("ul", reasons, class_="small") if reasons else None)


class Shown(NamedTuple):
    """A method on the page: its title, a sentence, its picture as PNG, its numbers by name, and warnings.

    Without a picture, `warnings` are the reasons.
    """

    title: str
    about: str
    png: bytes | None
    numbers: Mapping[str, Any]
    warnings: Sequence[str]


def image_page(
    title: str, image: str, picture: bytes, classes: Sequence[tuple[str, float]], shown: Sequence[Shown], version: str
) -> str:
    """Return one self-contained document of one image: the most probable `classes`, and each method."""
    probable = ", ".join(f"{name} {100 * p:.1f} %" for name, p in classes)
    content = rich(
        tag("h1", title),
        tag("p", LEAD, class_="lead"),
        tag(
            "section",
            tag("h2", "The image"),
            tag("figure", _png(picture, image), tag("figcaption", image)),
            tag("p", f"Most probable classes: {probable}", class_="small"),
            id="image",
        ),
        [_section(i, one) for i, one in enumerate(shown)],
    )
    return page(title, content, version)


def _section(i: int, one: Shown) -> Markup:
    numbers = " · ".join(f"{name}: {_text(value)}" for name, value in one.numbers.items())
    return tag(
        "section",
        tag("h2", one.title),
        tag("p", one.about, class_="lead"),
        _png(one.png, one.title) if one.png else None,
        [tag("p", warning, class_="small") for warning in one.warnings],
        tag("p", numbers, class_="small") if numbers else None,
        id=f"method-{i}",
    )


def _text(value: Any) -> str:
    if isinstance(value, int | float):
        return number(value)
    return ", ".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)


def _png(data: bytes, alt: str) -> Markup:
    return tag("img", src=Markup("data:image/png;base64," + base64.b64encode(data).decode()), alt=alt)
