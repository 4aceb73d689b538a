"""One self-contained HTML document, without network access and scripts."""

from __future__ import annotations

from pathlib import Path

from thalweg.report.markup import Markup, tag

__all__ = ["page"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def page(title: str, content: Markup, version: str) -> str:
    """Return the document with this title, the style of all pages, and the version of this library that made it."""
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    above = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="generator", content=f"thalweg {version}"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", Markup(style)),
    ]
    return "<!doctype html>\n" + tag("html", tag("head", above), tag("body", tag("main", content)), lang="en") + "\n"
