"""No text from outside becomes an element or an attribute of the report page, in any field."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

import fake_report
from thalweg.evaluation.estimates.figures import Curve, Matrix, from_json, to_json
from thalweg.report.html import html

# what the program itself chooses from a list; all other text may come from outside
OWN = {"schema", "version", "kind", "family", "better", "state", "group", "type", "section", "scale", "fixed"}
NAMED = {"versions", "options", "protocol", "method", "cells", "tables"}  # whose keys come from outside
HOSTILE = {
    "element": "<b>x</b>",
    "script": "</title></style></pre><script>document.title='changed'</script>",
    "attribute": '" onload="document.title=1" x="',
    "single quotes": "' onmouseover='document.title=1' x='",
    "image": "<img src=x onerror=document.title=1>",
    "drawing": "</svg><svg onload=document.title=1>",
    "comment": "<!-- ",
    "declaration": "<![CDATA[ <b>",
    "escaped once": "&lt;script&gt;&quot; &#60;b&#62;",
    "instruction": "<?php <b ?>",
    "template": "{{<b>}} ${<b>} %s {0}",
    "line": "a\n<b>\r\t<b>\x00\u2028",
}


class Structure(HTMLParser):
    """The elements of a page in order with the names of their attributes, and all of its text and values."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.text += "".join(f"\n{value}" for _, value in attrs)

    def handle_endtag(self, tag: str) -> None:
        self.elements.append((f"/{tag}", ()))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.elements.append(("comment", ()))

    unknown_decl = handle_pi = handle_comment


def changed(document: Any, names: set[str], change: Callable[[str], str], field: str = "") -> Any:
    """Return the document with every text from outside changed, and every key that is one."""
    if isinstance(document, dict):
        return {
            change(key) if field in NAMED or key in names else key: changed(value, names, change, key)
            for key, value in document.items()
        }
    if isinstance(document, list):
        return [changed(value, names, change, field) for value in document]
    return change(document) if isinstance(document, str) and field not in OWN else document


def page_with(change: Callable[[str], str], plane: bool) -> Structure:
    report = fake_report.of_plane() if plane else fake_report.report(seeds=2)
    report["models"][0]["seeds"][0] |= {"state": "failed", "reason": "a failing own model"}
    report["warnings"] = ["a warning"]
    report["measures"][0]["cells"]["vae"]["flag"] = "a flag"
    report["measures"][1]["note"] = "a note"
    report["measures"][0]["protocol"]["classes"] = ["of a list"]
    names = {model["name"] for model in report["models"]}
    pictures = (fake_report.plane if plane else fake_report.pictures)(report)
    for figures in pictures.values():
        for i, figure in enumerate(figures):
            if isinstance(figure, (Curve, Matrix)):
                figures[i] = from_json(changed(to_json(figure), set(), change))
    curves = fake_report.curves(report)
    for seeds in curves.values():
        for seed in seeds:
            for record in seed["records"]:
                record |= {change(name) + "/loss": 1.0 for name in ("own player", "second")}
    named = [{change(name) if name in names else name: value for name, value in d.items()} for d in (pictures, curves)]
    return Structure(html(changed(report, names, change), *named))


@pytest.mark.parametrize("plane", [False, True])
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_text_adds_no_elements(case: str, plane: bool) -> None:
    hostile = HOSTILE[case]
    page = page_with(lambda text: text + hostile, plane)
    harmless = page_with(lambda text: text + "x" * len(hostile), plane)
    assert page.elements == harmless.elements
    shown = hostile.replace("\x00", "\ufffd").replace("\r", "\ufffd")
    assert page.text.count(shown.split("\n")[0]) >= 0.9 * harmless.text.count("x" * len(hostile)) > 50


def test_changed_elements_of_the_page_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above turns red where one place forgets to escape."""
    from thalweg.report import markup

    monkeypatch.setattr(markup.html, "escape", lambda text, quote=True: text)
    page, harmless = (page_with(lambda text, more=more: text + more, False) for more in ("<b>x</b>", "x" * 8))
    assert page.elements != harmless.elements
