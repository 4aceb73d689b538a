"""HTML from functions: everything but `Markup` is escaped, so no name, reason or path can become a tag."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable
from typing import Any

__all__ = ["Markup", "number", "rich", "tag"]

VOID = {"br", "col", "img", "link", "meta"}
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
Child = Any  # text, a number, Markup, None, or an iterable of these


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def rich(*children: Child) -> Markup:
    """Return the children concatenated; everything but Markup is escaped.

    >>> rich("a < b", Markup("<br>"), ["c", 1])
    'a &lt; b<br>c1'
    """
    return Markup("".join(map(_piece, children)))


def tag(name: str, /, *children: Child, **attributes: Any) -> Markup:
    """Return an element. `class_` becomes class, `stroke_width` becomes stroke-width; attributes that are None are
    omitted.

    >>> tag("p", "1 < 2", class_="note", id=None)
    '<p class="note">1 &lt; 2</p>'
    """
    text = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_piece(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{text}>" if name in VOID else f"<{name}{text}>{rich(*children)}</{name}>")


def _piece(child: Child) -> str:
    if child is None or isinstance(child, Markup):
        return child or ""
    if isinstance(child, float):
        return f"{child:.5g}" if abs(child) < 1e4 else f"{child:.1f}"
    if isinstance(child, Iterable) and not isinstance(child, str):
        return "".join(map(_piece, child))
    return html.escape(UNPRINTABLE.sub("\ufffd", str(child)))


def number(value: Any, digits: int = 4) -> str:
    """Return a number as text: with thousands separators, a minus sign, and at most `digits` significant digits.

    >>> number(12345678), number(-0.000012345), number("-inf"), number(None)
    ('12,345,678', '−1.234×10⁻⁵', '−∞', '–')
    """
    if value is None or isinstance(value, bool):
        return "–" if value is None else str(value).lower()
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    known = float(value)
    if math.isnan(known):
        return "–"
    if math.isinf(known):
        return "∞" if known > 0 else "−∞"
    text = f"{known:.{digits}g}"
    if "e" in text:
        base, power = text.split("e")
        if 0 <= int(power) < 9:
            return f"{round(known):,}".replace("-", "−")
        raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return ("" if base == "1" else f"{base}×").replace("-", "−") + f"10{raised}"
    if abs(known) >= 1e4:
        text = f"{known:,.0f}"
    return text.replace("-", "−")
