"""Images with captions on the page."""

from __future__ import annotations

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from thalweg.evaluation.estimates.figures import ImageGrid
from thalweg.report.mistakes import _reduced, captioned
from thalweg.report.svg import styles

MODELS = styles({"models": [{"name": "net", "family": "classifiers"}, {"name": "majority", "family": "baseline"}]})


def parsed(markup):
    return ElementTree.fromstring("<div>" + re.sub(r"(<img [^>]*)>", r"\1/>", markup) + "</div>")


def pixels(source):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))), dtype=int)


@pytest.mark.parametrize("channels", [1, 3])
def test_each_figure_is_a_row_of_images_above_its_caption(channels):
    """Images of 4 × 6 pixels of one level each, so that their order can be read from the picture."""
    levels = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, channels, 4, 6), dtype=np.uint8)
    grids = [
        ImageGrid("mistakes", levels[3:4], panel="most confident mistakes", caption="<3> → b, 90.0 %"),
        ImageGrid("mistakes", levels, panel="most frequent confusions", caption="a → b, 5 examples"),
        ImageGrid("samples", levels, caption="another section"),
    ]
    drawn = {"net": grids, "majority": grids}
    markup = captioned("mistakes", drawn, {"levels": 6}, MODELS)
    page = parsed(markup)
    one, row = page.findall("figure")  # a baseline has none
    assert ["".join(f.find("figcaption").itertext()) for f in (one, row)] == [
        "netmost confident mistakes", "netmost frequent confusions"]  # fmt: skip
    assert [image.get("alt") for image in page.iter("img")] == ["Image: <3> → b, 90.0 %", "5 images: a → b, 5 examples"]
    assert [item.find("small").text for item in page.iter("li")] == ["<3> → b, 90.0 %", "a → b, 5 examples"]
    first, second = (pixels(image.get("src")) for image in page.iter("img"))
    assert first.shape == (4, 6, 2 if channels == 1 else 4)
    assert (first[..., :-1] == 3 * 51).all()
    assert [second[0, 7 * i, 0] for i in range(5)] == [0, 51, 102, 153, 204]
    assert captioned("mistakes", {}, {"levels": 6}, MODELS) == ""


def test_large_images_are_reduced_to_means_of_blocks():
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 160, 81)).astype(np.uint8)
    small = _reduced(x)
    assert small.shape == (2, 3, 80, 40)
    assert small[1, 2, 3, 5] == pytest.approx(x[1, 2, 6:8, 10:12].mean())
    assert (_reduced(x[..., :80, :80]) == x[..., :80, :80]).all()
