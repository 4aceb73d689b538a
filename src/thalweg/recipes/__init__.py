"""Recipes: a name on the command line → a function `recipe(spec, **options) -> Run`, a complete run ready to train.

One literal table a family; the functions are imported when asked for, and import torch inside.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from thalweg.checks import choice

__all__ = ["FAMILIES", "recipe", "recipe_names"]

CLASSIFIERS = {
    "softmax-regression": "thalweg.recipes.classifiers:softmax_regression",
    "lenet5": "thalweg.recipes.classifiers:lenet5",
}
AUTOENCODERS = {
    "autoencoder": "thalweg.recipes.autoencoders:autoencoder",
    "linear-autoencoder": "thalweg.recipes.autoencoders:linear_autoencoder",
    "sparse-autoencoder": "thalweg.recipes.sparse_and_stacked:sparse_autoencoder",
    "k-sparse-autoencoder": "thalweg.recipes.sparse_and_stacked:k_sparse_autoencoder",
    "denoising-autoencoder": "thalweg.recipes.autoencoders:denoising_autoencoder",
    "stacked-denoising-autoencoder": "thalweg.recipes.sparse_and_stacked:stacked_denoising_autoencoder",
}
VAES = {
    "vae": "thalweg.recipes.vaes:vae",
    "beta-vae": "thalweg.recipes.vaes:beta_vae",
    "iwae": "thalweg.recipes.vaes:iwae",
    "vq-vae": "thalweg.recipes.vector_quantized:vq_vae",
    "vq-vae-2": "thalweg.recipes.vector_quantized:vq_vae_2",
}
AUTOREGRESSIVE = {
    "pixelcnn": "thalweg.recipes.autoregressive:pixelcnn",
}
MIXTURES = {
    "kde": "thalweg.recipes.mixtures:kde",
    "gmm": "thalweg.recipes.mixtures:gmm",
}
FLOWS = {
    "flow-1d": "thalweg.recipes.elementary_flows:flow_1d",
    "affine-flow": "thalweg.recipes.elementary_flows:affine_flow",
    "nice": "thalweg.recipes.flows:nice",
    "real-nvp": "thalweg.recipes.image_flows:real_nvp",
    "glow": "thalweg.recipes.image_flows:glow",
    "nsf": "thalweg.recipes.flows:nsf",
    "maf": "thalweg.recipes.flows:maf",
    "iaf": "thalweg.recipes.flows:iaf",
    "ffjord": "thalweg.recipes.continuous_flows:ffjord",
}
GANS = {
    "gan": "thalweg.recipes.gans:gan",
    "dcgan": "thalweg.recipes.gans:dcgan",
    "f-gan": "thalweg.recipes.gans:f_gan",
    "wgan": "thalweg.recipes.gans:wgan",
    "wgan-gp": "thalweg.recipes.gans:wgan_gp",
    "sn-gan": "thalweg.recipes.gans:sn_gan",
    "hinge-gan": "thalweg.recipes.gans:hinge_gan",
}

WAES = {
    "wae-mmd": "thalweg.recipes.waes:wae_mmd",
    "wae-gan": "thalweg.recipes.waes:wae_gan",
}

FAMILIES = {
    "classifiers": CLASSIFIERS,
    "autoencoders": AUTOENCODERS,
    "vaes": VAES,
    "autoregressive": AUTOREGRESSIVE,
    "mixtures": MIXTURES,
    "flows": FLOWS,
    "gans": GANS,
    "waes": WAES,
}


def recipe_names() -> list[str]:
    """Return every recipe's name, family by family."""
    return [name for table in FAMILIES.values() for name in table]


def recipe(name: str) -> Callable[..., Any]:
    """Return the recipe function of that name; an unknown one is a ValueError with the nearest.

    >>> recipe("vea")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: recipe: got 'vea', wanted one of ... (did you mean 'vae'?)
    """
    choice("recipe", name, recipe_names())
    module, function = next(table[name] for table in FAMILIES.values() if name in table).split(":")
    result: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return result
