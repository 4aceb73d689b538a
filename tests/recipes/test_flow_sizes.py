"""A size of 0 is an error and does not select the default."""

import pytest

from thalweg.data.dataset import Spec
from thalweg.recipes import recipe

PLANE = Spec(name="moons", kind="vector", shape=(2,), mean=(0.0, 0.0), std=(1.0, 1.0))
IMAGES = Spec(name="digits", kind="image", shape=(1, 8, 8), levels=17, mean=(4.9,), std=(6.0,))


@pytest.mark.parametrize(
    ("name", "spec", "size"),
    [
        ("nice", PLANE, "hidden"),
        ("nice", PLANE, "depth"),
        ("real-nvp", PLANE, "layers"),
        ("real-nvp", PLANE, "hidden"),
        ("real-nvp", IMAGES, "hidden"),
        ("real-nvp", IMAGES, "depth"),
        ("glow", PLANE, "hidden"),
        ("glow", IMAGES, "hidden"),
    ],
)
def test_refused(name, spec, size):
    with pytest.raises(ValueError, match=f"{size}: got 0"):
        recipe(name)(spec, **{size: 0})


def test_many_narrow_couplings_in_the_plane():
    flow = recipe("real-nvp")(PLANE).model
    assert len(flow.transform.layers) == 24
    assert flow.transform.layers[0].network[0].out_features == 32
    table = Spec(name="table", kind="vector", shape=(3,), mean=(0.0,) * 3, std=(1.0,) * 3)
    assert len(recipe("real-nvp")(table).model.transform.layers) == 12


@pytest.mark.parametrize("name", ["nice", "nsf", "maf", "iaf", "real-nvp", "glow"])
def test_one_number_is_too_small(name):
    line = Spec(name="line", kind="vector", shape=(1,), mean=(0.0,), std=(1.0,))
    with pytest.raises(ValueError, match=f"^{name}: got data 'line' of one number, wanted at least 2; see flow-1d$"):
        recipe(name)(line)
