"""Options that several recipes share are defined once: their types, help texts and checks are those of one class."""

import dataclasses
import inspect
from collections import defaultdict

import pytest

from thalweg.cli.options import Option, options_of_function
from thalweg.config import option_groups
from thalweg.data import Spec
from thalweg.recipes import FAMILIES, recipe, recipe_names
from thalweg.recipes.vaes import VAEOptions, vae

PLANE = Spec(name="plane", kind="vector", shape=(2,), mean=(0.0, 0.0), std=(1.0, 1.0))


def options(name: str) -> dict[str, Option]:
    return {option.name: option for option in options_of_function(recipe(name))}


@pytest.mark.parametrize("family", ["vaes", "gans", "waes"])
def test_no_option_is_written_twice(family: str):
    """Within a family, an option with the same default and the same help text comes from the same group."""
    written = defaultdict(list)
    for name in FAMILIES[family]:
        function = inspect.unwrap(recipe(name))
        grouped = {f.name for group in option_groups(function).values() for f in dataclasses.fields(group)}
        for option in options(name).values():
            if option.name not in grouped:
                written[option.name, str(option.hint), option.default, option.help].append(name)
    assert not {option: names for option, names in written.items() if len(names) > 1}


def test_every_option_has_a_type_a_default_and_a_help_text():
    for name in recipe_names():
        for option in options(name).values():
            assert option.help, f"{name}: {option.name}"
            assert option.default is not inspect.Parameter.empty


def test_fields_of_a_group_are_options_with_the_recipe_s_own_defaults():
    assert (options("vae")["latent_dim"].default, options("beta-vae")["latent_dim"].default) == (20, 10)
    assert (options("gan")["n_critic"].default, options("wgan")["n_critic"].default) == (1, 5)
    assert options("beta-vae")["depth"].help == "hidden layers of the encoder and of the decoder (dense)"
    assert options("vae")["depth"].help.endswith("; 0 is affine, as in probabilistic PCA")  # the recipe's own text
    assert "common" not in options("vae")


def test_flat_options_are_those_of_the_group():
    flat = recipe("vae")(PLANE, latent_dim=3, depth=0, gradient="score-function").model
    grouped = vae(PLANE, common=VAEOptions(latent_dim=3, depth=0), gradient="score-function").model
    assert str(flat) == str(grouped)
    assert flat.latent_dim == 3
    with pytest.raises(TypeError, match="latent_dims"):
        recipe("vae")(PLANE, latent_dims=3)
